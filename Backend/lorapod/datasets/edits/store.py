"""Applies edits to the datasets of a workspace: whole or not at all, and the newest can be taken back.

```
training_data/.edits/<dataset>/<edit_id>/plan.json   what the edit does; written before the dataset changes
training_data/.edits/<dataset>/<edit_id>/before/     the files that it changes, as they were
training_data/.edits/<dataset>/<edit_id>/staged/     the dataset as it will be, until it is in place
training_data/.edits/<dataset>/<edit_id>/old/        the dataset as it was, until it is removed
```

The new dataset is a folder of hard links, which takes the place of the old one in one step. A worker that is killed
before that has changed nothing; one that is killed after it has only left something to remove.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from lorapod.atomic import sync_folder, write_atomically
from lorapod.clock import Clock
from lorapod.dataset_reader.item import FoundFile
from lorapod.datasets.edits.edit import FileChange
from lorapod.datasets.edits.folder_files import is_stale, is_trainers, link_file, mark_of, marks
from lorapod.datasets.edits.lock import EditLock, is_held
from lorapod.datasets.edits.record import (
    BEFORE,
    OLD,
    STAGED,
    EditRecord,
    is_in_place,
    put_in_place,
    read_record,
    take_late,
    write_record,
)
from lorapod.datasets.exchange import rename_to_free
from lorapod.datasets.publish import FindReader
from lorapod.errors import Conflict, NotFound
from lorapod.folders import entries_of
from lorapod.workspace import Workspace

#: Below `training_data`; hidden, so that it is no dataset.
FOLDER = ".edits"

#: Time between two looks at the lock of an edit that is under way, in seconds.
_WAIT_S = 0.1

_PREFIX = "edit_"
_GONE = "gone"
_LOCK = ".lock"


def is_edited(workspace: Workspace, name: str) -> bool:
    """Return whether an edit of the dataset is under way on some worker."""
    return is_held(workspace.training_data / FOLDER / name / _LOCK)


class EditStore:
    """Every method blocks. Several workers may edit one workspace; of two edits of one dataset, the second is refused."""

    def __init__(
        self,
        workspace: Workspace,
        clock: Clock,
        find_reader: FindReader,
        settle_deletions: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep what takes edits back beside the datasets; refuse to edit what `find_reader` finds a reader of.

        `settle_deletions` completes deletions that are decided, and has the others see the lock of the edit.
        """
        self._workspace = workspace
        self._clock = clock
        self._find_reader = find_reader
        self._settle_deletions = settle_deletions
        self._root = workspace.training_data / FOLDER

    def apply(
        self,
        folder: Path,
        files: Mapping[str, FileChange],
        *,
        seen: Mapping[str, FoundFile],
        copy: str | None = None,
    ) -> str:
        """Change files of a dataset; return the id by which the edit can be taken back.

        Args:
            folder: the dataset.
            files: what each file becomes, by its name relative to the folder.
            seen: the files of the dataset as the edit was planned for, by name.
            copy: name of a new dataset that gets the result; `folder` stays as it is.

        Raises:
            Conflict: a training reads the dataset, a file that the edit changes is not as it was `seen`, another edit
                is under way, or `copy` exists.
            OSError: the volume failed; nothing has changed.
        """
        target = folder if copy is None else self._workspace.training_data / copy
        with ExitStack() as locks:
            locks.enter_context(self._lock_of(target))
            self._finish_earlier(target)
            if copy is not None:
                if target.exists():
                    raise _taken(target)
                # No one deletes or edits what is copied.
                locks.enter_context(self._lock_of(folder))
            self._check_there(folder)
            for name in files:
                _check_unchanged(folder, name, seen.get(name))
            return self._apply(folder, files, target)

    def take_back(self, folder: Path, edit_id: str) -> tuple[str, Mapping[str, FileChange]]:
        """Undo the newest edit of a dataset; return the id of this edit, and what it did.

        Raises:
            NotFound: there is no such edit.
            Conflict: it is not the newest, its files have changed since, or as `apply`.
            OSError: the volume failed; nothing has changed.
        """
        with self._lock_of(folder):
            self._finish_earlier(folder)
            self._check_there(folder)
            own, record = self._newest(folder, edit_id)
            before = own / BEFORE
            files = {name: path if (path := before / name).exists() else None for name in record.after}
            return self._apply(folder, files, folder), files

    def recover(self) -> None:
        """Complete the edits of killed workers; call it when a worker starts.

        Raises:
            OSError: the volume does not answer.
        """
        for entry in entries_of(self._root):
            folder = self._workspace.training_data / entry.name
            with suppress(Conflict), self._lock_of(folder):
                self._finish_earlier(folder)

    def settle(self, folder: Path, stopped: Callable[[], bool]) -> None:
        """Wait for an edit of a dataset that is under way; for a process that `find_reader` finds from now on.

        Args:
            folder: a dataset or a folder inside one; others are not edited.
            stopped: whether to wait no longer.

        Raises:
            OSError: the volume failed.
        """
        data = self._workspace.training_data
        if data not in folder.parents:
            return
        folder = data / folder.relative_to(data).parts[0]
        while self._lock_path(folder).exists() and not stopped():
            try:
                with self._lock_of(folder):  # it is free now, or a killed worker's
                    self._finish_earlier(folder)
            except Conflict:
                time.sleep(_WAIT_S)

    def _check_there(self, folder: Path) -> None:
        self._settle_deletions()
        if not folder.is_dir():
            raise NotFound(f"The dataset {folder.name!r} was deleted a moment ago.")

    def _lock_path(self, folder: Path) -> Path:
        return self._root / folder.name / _LOCK

    def _lock_of(self, folder: Path) -> EditLock:
        return EditLock(self._lock_path(folder), folder.name)

    def _apply(self, folder: Path, files: Mapping[str, FileChange], target: Path) -> str:
        self._check_free(folder, target)
        edit_id = f"{_PREFIX}{int(self._clock.now().timestamp() * 1000):012x}{secrets.token_hex(2)}"
        own = self._root / target.name / edit_id
        own.mkdir()
        try:
            record = self._stage(folder, files, own, whole=target == folder)
            self._check_free(folder, target)
        except BaseException:
            shutil.rmtree(own, ignore_errors=True)
            raise
        # If this fails, `_finish_earlier` sees whether the new dataset is in place.
        if target == folder:
            put_in_place(target, own)
        elif not rename_to_free(own / STAGED, target):
            shutil.rmtree(own, ignore_errors=True)
            raise _taken(target)
        sync_folder(target.parent)
        self._finish(target, own, record)
        return edit_id

    def _check_free(self, folder: Path, target: Path) -> None:
        if target == folder and (reader := self._find_reader(folder, None)) is not None:
            raise Conflict(
                f"The dataset {folder.name!r} cannot be edited: the process {reader} uses it.",
                hint=f"Wait until {reader} has ended, or edit a copy: `copy`.",
            )

    def _stage(self, folder: Path, files: Mapping[str, FileChange], own: Path, *, whole: bool) -> EditRecord:
        """Make the dataset as it will be, keep the files that change, and write the plan down.

        With `whole`, the trainer's own files come along, but for what it computed from files that change.
        """
        staged, before = own / STAGED, own / BEFORE
        before.mkdir()
        staged.mkdir()
        present = dict(marks(folder))
        for name in present:
            if name in files:
                link_file(folder / name, before / name)
            elif not is_trainers(name) or (whole and not is_stale(name, files)):
                link_file(folder / name, staged / name)
        for name, change in files.items():
            if isinstance(change, bytes):
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(staged / name, change)
            elif change is not None:
                link_file(change, staged / name)
        record = EditRecord(after={name: mark_of(staged / name) for name in files}, present=present)
        write_record(own, record)
        return record

    def _finish(self, folder: Path, own: Path, record: EditRecord) -> None:
        """Take over what was added while the edit was made; remove the old content and earlier edits."""
        if (old := own / OLD).exists():
            take_late(old, folder, record)
            # Renamed first: a folder that a kill left half removed must not look like files removed by somebody.
            old.rename(own / _GONE)
        shutil.rmtree(own / _GONE, ignore_errors=True)
        for earlier in _edits(own.parent):
            if earlier.name < own.name:
                shutil.rmtree(earlier, ignore_errors=True)

    def _finish_earlier(self, folder: Path) -> None:
        """Complete the edits of this dataset that are in place, and remove those that never were."""
        for own in _edits(self._root / folder.name):
            staged, old = own / STAGED, own / OLD
            record = read_record(own)
            if record is None:
                shutil.rmtree(own, ignore_errors=True)
                continue
            if staged.exists() and not folder.exists() and old.exists():
                staged.rename(folder)
            if staged.exists() and not old.exists() and is_in_place(folder, record):
                staged.rename(old)
            if staged.exists():
                shutil.rmtree(own, ignore_errors=True)
            else:
                self._finish(folder, own, record)

    def _newest(self, folder: Path, edit_id: str) -> tuple[Path, EditRecord]:
        newest = max((own.name for own in _edits(self._root / folder.name)), default=None)
        own = self._root / folder.name / (newest or _LOCK)
        record = read_record(own)
        if newest != edit_id or record is None:
            raise NotFound(
                f"{edit_id[:80]!r} is not the newest edit of {folder.name!r}; nothing was changed.",
                hint=f"The newest is {newest}." if newest else "No edit can be taken back.",
            )
        changed = [name for name, mark in record.after.items() if mark_of(folder / name) != mark]
        if changed:
            raise Conflict(
                f"The edit {edit_id} cannot be taken back: {changed[0]} has changed since.",
                hint="Edit the files again instead.",
            )
        return own, record


def _taken(target: Path) -> Conflict:
    return Conflict(f"There is a dataset {target.name!r} already.", hint="Choose another name for the copy.")


def _edits(folder: Path) -> Sequence[Path]:
    return [Path(entry.path) for entry in entries_of(folder) if entry.name.startswith(_PREFIX)]


def _check_unchanged(folder: Path, name: str, seen: FoundFile | None) -> None:
    """Refuse to overwrite what somebody else has changed since the edit was planned."""
    try:
        stat = (folder / name).stat()
    except (FileNotFoundError, NotADirectoryError):
        same = seen is None
    else:
        same = seen is not None and (stat.st_size, stat.st_mtime_ns) == (seen.size_bytes, seen.mtime_ns)
    if not same:
        raise Conflict(
            f"{name} was changed by somebody else a moment ago; nothing was changed.",
            hint="Send the edit again.",
        )
