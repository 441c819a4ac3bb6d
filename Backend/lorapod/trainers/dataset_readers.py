"""Which live training reads a dataset, whatever worker runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lorapod.errors import NotFound, UnsafePath
from lorapod.processes.order import TrainingOrder, read_order
from lorapod.processes.record import ProcessRecord
from lorapod.processes.store.port import OrderStore
from lorapod.workspace import Workspace


class DatasetReaders:
    """Finds the trainings that need a folder of the workspace to stay as it is."""

    def __init__(
        self, workspace: Workspace, orders: OrderStore, live: Callable[[], Iterable[ProcessRecord]]
    ) -> None:
        """Look through the live processes of all workers, as `live` returns them, and their `orders`."""
        self._workspace = workspace
        self._orders = orders
        self._live = live

    def find(self, folder: Path, other_than: str | None = None) -> str | None:
        """Return the id of a live training that reads `folder`, or None.

        A training reads its dataset from the moment it is accepted, since the dataset is checked then; one that
        fetches its dataset first, once that is fetched.

        Args:
            folder: absolute path.
            other_than: a process to leave out.

        Raises:
            OSError: the state store cannot be read.
        """
        for record in self._live():
            if record.training is None or record.process_id == other_than:
                continue
            if any(self._overlap(path, folder) for path in self._paths(record)):
                return record.process_id
        return None

    def _paths(self, record: ProcessRecord) -> Iterator[Path]:
        """Every folder that the training reads, and other paths of its config."""
        try:
            order = read_order(TrainingOrder, self._orders, record.process_id)
        except NotFound:
            order = None  # its record was written a moment ago, and its order is not written yet
        fetched = order is None or order.dataset_source is None or "images" in record.dataset
        if fetched:
            yield from self._resolved(record.dataset.get("path"))
        if order is None:
            return
        if order.dataset_source is None:
            yield from self._resolved(order.dataset_path)
        for text in _texts(order.config):
            yield from self._resolved(text)

    def _resolved(self, text: object) -> Iterator[Path]:
        if isinstance(text, str):
            try:
                yield self._workspace.safe_path(text)
            except UnsafePath:
                return

    def _overlap(self, read: Path, folder: Path) -> bool:
        """Return whether one lies in the other; a text such as `.` that means the whole workspace names no dataset."""
        if read == self._workspace.root:
            return False
        return read.is_relative_to(folder) or folder.is_relative_to(read)


def _texts(value: object) -> Iterator[str]:
    """Every text in JSON data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
