"""Which live process uses a folder or file of the workspace, whatever worker runs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import NotFound, UnsafePath
from lorapod.processes.order import OrderT, TaskOrder, TrainingOrder, read_order
from lorapod.processes.store.port import OrderStore
from lorapod.records.process_id import is_process_id
from lorapod.records.record import ProcessRecord
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class FolderUse:
    """A path that a live process uses."""

    path: Path
    process_id: str


class FolderUsers:
    """Finds the processes that need a path of the workspace to stay as it is."""

    def __init__(
        self,
        workspace: Workspace,
        orders: OrderStore,
        live: Callable[[], Iterable[ProcessRecord]],
        find: Callable[[str], ProcessRecord] | None = None,
    ) -> None:
        """Look through the live processes of all workers.

        Args:
            workspace: whose paths are asked for.
            orders: what the processes were asked to do.
            live: returns the processes that have not ended.
            find: returns the record of any process, or raises `NotFound`; None: what an order means by a process id is
                its output folder alone.
        """
        self._workspace = workspace
        self._orders = orders
        self._live = live
        self._find = find

    def reader_of(self, folder: Path, other_than: str | None = None) -> str | None:
        """Return the id of a live process that needs the dataset in `folder` to stay as it is, or None.

        A training reads its dataset from the moment it is accepted, since the dataset is checked then; one that
        fetches its dataset first, once that is fetched. A captioning changes it, also from that moment.

        Args:
            folder: absolute path.
            other_than: a process to leave out.

        Raises:
            OSError: the state store cannot be read.
        """
        for record in self._live():
            if record.process_id == other_than:
                continue
            if record.training is None:
                used = self._resolved(record.task.dataset if record.task is not None else None)
            else:
                used = self._read(record)
            if any(self._overlap(path, folder) for path in used):
                return record.process_id
        return None

    def writer_of(self, folder: Path) -> str | None:
        """Return the id of a live process that changes the dataset in `folder`, or None.

        Raises:
            OSError: the state store cannot be read.
        """
        for record in self._live():
            changed = self._resolved(record.task.dataset if record.task is not None else None)
            if any(self._overlap(path, folder) for path in changed):
                return record.process_id
        return None

    def use_of(self, paths: Collection[Path], names: Collection[str] = ()) -> FolderUse | None:
        """Return which live process reads or writes one of `paths`, something in it or something around it, or None.

        Args:
            paths: absolute.
            names: under which an order may mean them without their paths, as the name of a model.

        Raises:
            OSError: the state store cannot be read.
        """
        if not paths:
            return None
        asked = dict.fromkeys(paths)
        around = {folder: path for path in asked for folder in path.parents}
        for record in self._live():
            own = (record.output_folder(self._workspace), self._workspace.log_path(record.process_id))
            for used in (*own, *self._read(record)):
                if used in (self._workspace.root, self._workspace.output):
                    continue  # a text such as `.` names no folder
                inside = next((path for path in (used, *used.parents) if path in asked), None)
                if (path := inside or around.get(used)) is not None:
                    return FolderUse(path=path, process_id=record.process_id)
            if names and not set(names).isdisjoint(self._order_texts(record)):
                return FolderUse(path=next(iter(asked)), process_id=record.process_id)
        return None

    def _order_texts(self, record: ProcessRecord) -> Iterator[str]:
        if record.training is None:
            task = self._order(record, TaskOrder)
            return _texts(task.input if task else {})
        training = self._order(record, TrainingOrder)
        return _texts(training.config if training else {})

    def _read(self, record: ProcessRecord) -> Iterator[Path]:
        """Every folder that the process reads, and other paths that its order names."""
        if record.training is None:
            yield from (path for text in self._order_texts(record) for path in self._named(text))
            return
        training = self._order(record, TrainingOrder)
        fetched = training is None or training.dataset_source is None or "images" in record.dataset
        if fetched:
            yield from self._resolved(record.dataset.get("path"))
        if training is None:
            return
        if training.dataset_source is None:
            yield from self._resolved(training.dataset_path)
        if training.start_from is not None:
            yield from self._resolved(training.start_from["path"])
        for text in _texts(training.config):
            yield from self._resolved(text)

    def _order(self, record: ProcessRecord, order_type: type[OrderT]) -> OrderT | None:
        try:
            return read_order(order_type, self._orders, record.process_id)
        except NotFound:
            return None  # its record was written a moment ago, and its order is not written yet

    def _named(self, text: str) -> Iterator[Path]:
        """What a request means by a text: a path, or a process whose output it uses."""
        yield from self._resolved(text)
        if "/" in text or len(text) >= _ID_MAX_CHARACTERS or "\0" in text:
            return
        yield self._workspace.output_folder(text)
        with suppress(NotFound):
            if self._find is not None and is_process_id(text):
                yield from self._of_training(self._find(text))

    def _of_training(self, record: ProcessRecord) -> Iterator[Path]:
        """What a comparison or a generation uses of a training: its output, its base model, and what it learnt from."""
        yield record.output_folder(self._workspace)
        if record.training is not None:
            yield from self._resolved(record.training.base_model)
            yield from self._resolved(record.dataset.get("path"))

    def _resolved(self, text: object) -> Iterator[Path]:
        if isinstance(text, str):
            try:
                yield self._workspace.safe_path(text)
            except UnsafePath:
                return

    def _overlap(self, used: Path, path: Path) -> bool:
        """Return whether one lies in the other; a text such as `.` that means the whole workspace names no folder."""
        if used in (self._workspace.root, self._workspace.output):
            return False
        return used.is_relative_to(path) or path.is_relative_to(used)


#: Longer texts are no process ids.
_ID_MAX_CHARACTERS = 64


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
