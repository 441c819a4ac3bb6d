"""What one request would delete: judged as a whole before anything is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lorapod.dataset_reader.kept_thumbnails import FOLDER as THUMBNAILS
from lorapod.datasets.edits.store import FOLDER as EDITS
from lorapod.datasets.edits.store import is_edited
from lorapod.deletion.keep import KeepRule, excess_of
from lorapod.errors import Conflict, InvalidInput, NotFound
from lorapod.events.courier import Courier
from lorapod.folders import files_below
from lorapod.models.card import card_path
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.kinds import ModelKind
from lorapod.models.placing import INCOMING
from lorapod.processes.folder_users import FolderUsers
from lorapod.processes.registry import ProcessRegistry
from lorapod.records.record import ProcessRecord
from lorapod.sessions import in_session
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.workspace import Workspace, safe_name


class UnfinishedEnd(Conflict):
    """A process has ended, but its worker still completes, uploads or delivers something: often a matter of moments."""


@dataclass(frozen=True, kw_only=True)
class DeletionPlan:
    """Files and folders that go together."""

    #: Absolute, none inside another.
    paths: Sequence[Path]
    size_bytes: int
    #: The ended process that they belong to, as it was judged.
    process: ProcessRecord | None = None
    #: Whether the record of the process goes too.
    forgets: bool = False
    #: Under which an order may mean them without their paths, as the name of a model.
    names: Collection[str] = ()
    #: What the caller loses beside that, one sentence each.
    warnings: Sequence[str] = ()

    @property
    def record(self) -> ProcessRecord | None:
        """The record that goes too; None if the process stays known."""
        return self.process if self.forgets else None


class DeletionPlanner:
    """Says what a deletion would remove, or why it must not; changes nothing. Every method blocks."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        processes: ProcessRegistry,
        users: FolderUsers,
        models: WorkspaceModels,
        mirrors: Mirrors,
        courier: Courier,
    ) -> None:
        """Ask these for what is used, and for what has not been sent yet."""
        self._workspace = workspace
        self._processes = processes
        self._users = users
        self._models = models
        self._mirrors = mirrors
        self._courier = courier

    def of_process(self, process_id: str, keep: KeepRule | None = None) -> DeletionPlan:
        """Plan to delete a process's outputs, log and record; with `keep`, only the other checkpoints.

        Raises:
            NotFound: there is no such process.
            Conflict: it has not ended, or another process uses something of it.
            UnfinishedEnd: its worker still completes it, or something of it is still to be sent.
        """
        record = self._processes.get(process_id)
        self._check_ended(record)
        self._check_sent(record)
        if keep is not None:
            excess = excess_of(record, self._workspace, keep)
            return replace(self._plan(excess.paths, process=record), warnings=excess.warnings)
        paths = [
            *self._own_folders(record),
            *self._workspace.logs.glob(f"{process_id}.log*"),
            self._workspace.process_folder(process_id),
            # What a killed worker had not finished.
            self._workspace.models / INCOMING / process_id,
        ]
        return self._plan(paths, process=record, forgets=True)

    def of_dataset(self, training_name: str) -> DeletionPlan:
        """Plan to delete a dataset.

        Raises:
            NotFound: there is no such dataset.
            Conflict: a live process reads it.
            InvalidInput: that is not a plain name.
        """
        folder = self._workspace.training_data / safe_name(training_name, field="training_name")
        if not folder.is_dir():
            raise NotFound(f"There is no dataset {training_name!r}.", hint="`datasets` lists them.")
        beside = [self._workspace.training_data / hidden / training_name for hidden in (THUMBNAILS, EDITS)]
        return self._plan([folder, *beside])

    def of_model(self, model: str, kind: ModelKind | None) -> DeletionPlan:
        """Plan to delete a model file or folder, and its card.

        Raises:
            NotFound: there is no such model.
            Conflict: there are several, or a live process uses it.
        """
        found = self._models.find(model, kind)
        if found.process_id is not None:
            self._check_sent(self._processes.get(found.process_id))
        names = {found.name, found.path.name, found.path.stem}
        return self._plan([found.path, card_path(found.path)], names=names)

    def of_paths(self, texts: Sequence[str]) -> DeletionPlan:
        """Plan to delete files and folders.

        Raises:
            UnsafePath: one leads outside the workspace.
            NotFound: one does not exist.
            InvalidInput: one is a part of the workspace's layout, or the worker's own state.
            Conflict: a live process uses one, or it is still to be uploaded.
        """
        paths = []
        for text in texts:
            path = self._path(text)
            if not path.is_symlink() and not path.exists():
                raise NotFound(
                    f"There is no file or folder {text!r}.", hint="`list_files` shows what there is."
                )
            self._check_deletable(path, text)
            paths.append(path)
        return self._plan(paths)

    def check_unused(self, plan: DeletionPlan) -> None:
        """Refuse a plan of a moment ago if a process has begun to use something of it since.

        Raises:
            NotFound: another worker has deleted its process.
            Conflict: a live process uses one of its paths, or a dataset is being edited.
        """
        if plan.process is not None:
            now = self._processes.get(plan.process.process_id)
            self._check_ended(now)
            if now.generation != plan.process.generation:
                raise Conflict(f"The process {now.process_id} was resumed a moment ago; nothing was deleted.")
        self._check_used(plan.paths, plan.names)
        for name in {one for path in plan.paths if (one := self._dataset_of(path)) is not None}:
            if is_edited(self._workspace, name):
                raise Conflict(
                    f"The dataset {name!r} is being edited; nothing was deleted.",
                    hint="Try again in a minute.",
                )

    def _dataset_of(self, path: Path) -> str | None:
        data = self._workspace.training_data
        return path.relative_to(data).parts[0] if path.is_relative_to(data) else None

    def _check_used(self, paths: Sequence[Path], names: Collection[str]) -> None:
        if (use := self._users.use_of(paths, names)) is not None:
            raise Conflict(
                f"{self._workspace.relative(use.path)!r} cannot be deleted: {use.process_id} uses it.",
                hint=f"Wait until {use.process_id} has ended, or cancel it.",
            )

    def _plan(
        self,
        paths: Sequence[Path],
        *,
        process: ProcessRecord | None = None,
        forgets: bool = False,
        names: Collection[str] = (),
    ) -> DeletionPlan:
        there = {path: None for path in paths if path.is_symlink() or path.exists()}.keys()
        outermost = [path for path in there if there.isdisjoint(path.parents)]
        self._check_used(outermost, names)
        size_bytes = sum(_size_bytes(path) for path in outermost)
        return DeletionPlan(
            paths=outermost, size_bytes=size_bytes, process=process, forgets=forgets, names=names
        )

    def _path(self, text: str) -> Path:
        """Return what a text names: a link itself, never what it leads to."""
        real = self._workspace.safe_path(text)
        name = PurePosixPath(text).name
        if name in {"", ".."}:
            return real
        return self._workspace.safe_path(str(PurePosixPath(text).parent)) / name

    def _own_folders(self, record: ProcessRecord) -> Sequence[Path]:
        if record.session is not None:
            return [self._workspace.root / record.session]
        return [record.output_folder(self._workspace)]

    def _check_ended(self, record: ProcessRecord) -> None:
        if record.status.final and self._processes.holds(record.process_id):
            raise UnfinishedEnd(
                f"The process {record.process_id} has just ended, and its worker still completes it.",
                hint="Try again in a moment.",
            )
        if not record.status.final:
            raise Conflict(
                f"The process {record.process_id} is {record.status}; it cannot be deleted yet.",
                hint="Cancel it first, or wait until it has ended.",
            )

    def _check_sent(self, record: ProcessRecord) -> None:
        for what, sent in (("uploaded", self._mirrors.finished), ("delivered", self._courier.finished)):
            if not sent(record.process_id):
                files = "Files" if what == "uploaded" else "Events"
                raise UnfinishedEnd(
                    f"{files} of the process {record.process_id} have not been {what} yet; nothing was deleted.",
                    hint="Try again once they are; `process_status` and `health` show what waits, and why.",
                )

    def _check_deletable(self, path: Path, text: str) -> None:
        workspace = self._workspace
        rooms = (
            workspace.training_data,
            workspace.models,
            workspace.output,
            workspace.logs,
            workspace.processes,
        )
        if path == workspace.root or path in rooms:
            raise InvalidInput(f"{text!r} is a part of the workspace itself; give something inside it.")
        parts = path.relative_to(workspace.root).parts
        if path.is_relative_to(workspace.processes):
            raise InvalidInput(
                f"{text!r} is the state of a process.", hint="Delete the process by its `process_id`."
            )
        inner = parts[1] if path.is_relative_to(workspace.training_data) else parts[0]
        if inner.startswith("."):
            raise InvalidInput(f"{text!r} is the worker's own; it removes that by itself.")
        if path.is_relative_to(workspace.output) or in_session(path, workspace):
            self._check_path_sent(path)

    def _check_path_sent(self, path: Path) -> None:
        """Refuse to delete outputs that are still to be uploaded, of whatever process wrote them."""
        if path.is_relative_to(self._workspace.output):
            with suppress(NotFound):
                self._check_sent(self._processes.get(path.relative_to(self._workspace.output).parts[0]))


def _size_bytes(path: Path) -> int:
    return sum(_sizes(path))


def _sizes(path: Path) -> Iterator[int]:
    if path.is_symlink() or not path.is_dir():
        with suppress(FileNotFoundError):
            yield path.lstat().st_size
        return
    for entry in files_below(path):
        with suppress(FileNotFoundError):
            yield entry.stat(follow_symlinks=False).st_size
