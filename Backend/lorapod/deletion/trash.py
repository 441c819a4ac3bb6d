"""The trash: what is deleted is renamed into it at once and removed in the background.

```
.trash/<token>/plan.json     what belongs to this deletion, written before anything is moved
.trash/<token>/<number>      what was moved
```

A worker that is killed in between leaves the plan, and the next one that starts completes it.
"""

from __future__ import annotations

import errno
import logging
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import write_atomically
from lorapod.errors import Conflict
from lorapod.folders import entries_of
from lorapod.lease import LeaseLost
from lorapod.processes.record import ProcessRecord
from lorapod.processes.store.port import RecordStore
from lorapod.thread_pools import ThreadPool
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

FOLDER = ".trash"
_PLAN = "plan.json"
_FULL = {errno.ENOSPC, errno.EDQUOT}

#: One after the other: a network volume removes files slowly, and trainings on it go first.
_REMOVALS = ThreadPool("trash", size=1)


@dataclass(frozen=True, kw_only=True)
class _TrashPlan:
    """One deletion, as it is written down."""

    #: For each path relative to the workspace its inode, so that nothing that was made there later is taken for it.
    inodes: Mapping[str, int]
    #: The process whose record goes too, and its generation when the deletion was judged.
    process_id: str | None = None
    generation: int | None = None


_ADAPTER = TypeAdapter(_TrashPlan)


class Trash:
    """Takes files out of the workspace; every method blocks, several workers may use one workspace."""

    def __init__(self, workspace: Workspace, records: RecordStore) -> None:
        """Keep what is on its way out below the workspace's root, on the same file system."""
        self._workspace = workspace
        self._records = records
        self.folder = workspace.root / FOLDER

    def discard(self, paths: Sequence[Path], record: ProcessRecord | None = None) -> None:
        """Move files and folders out of sight, and begin to remove them; with `record`, forget its process too.

        Args:
            paths: absolute, below the workspace's root, none inside another; those that are gone already are no error.
            record: an ended process.

        Raises:
            Conflict: the process was resumed meanwhile; nothing has changed.
            OSError: the volume failed; what was moved is removed, the rest is where it was.
        """
        plan = _TrashPlan(
            inodes={self._workspace.relative(path): inode for path in paths if (inode := _inode(path))},
            process_id=record.process_id if record is not None else None,
            generation=record.generation if record is not None else None,
        )
        entry = self._write_down(plan)
        try:
            if record is not None:
                self._records.forget(record)
        except LeaseLost:
            if entry is not None:
                shutil.rmtree(entry, ignore_errors=True)
            raise Conflict(f"The process {plan.process_id} was resumed a moment ago.") from None
        self._move(plan, entry)
        if entry is not None:
            _REMOVALS.submit(_empty, entry)

    def sweep(self) -> None:
        """Complete the deletions that killed workers left, and remove what is in the trash.

        Raises:
            OSError: the volume does not answer.
        """
        for found in entries_of(self.folder):
            entry = Path(found.path)
            try:
                plan = _ADAPTER.validate_json((entry / _PLAN).read_bytes())
            except FileNotFoundError:
                plan = _TrashPlan(inodes={})
            except ValidationError as error:
                logger.warning(
                    "plan of a deletion cannot be read", extra={"path": found.path, "reason": str(error)}
                )
                plan = _TrashPlan(inodes={})
            if self._still_wanted(plan):
                self._move(plan, entry)
            _REMOVALS.submit(_empty, entry)

    def _still_wanted(self, plan: _TrashPlan) -> bool:
        """Forget the plan's process; return False if it was resumed, and its files stay."""
        if plan.process_id is None:
            return True
        record = self._records.load(plan.process_id)
        if record is None:
            return True
        if record.generation != plan.generation or not record.status.final:
            return False
        try:
            self._records.forget(record)
        except LeaseLost:
            return False
        return True

    def _write_down(self, plan: _TrashPlan) -> Path | None:
        """Return the folder of a new deletion; None if the disk is too full to write anything down."""
        entry = self.folder / secrets.token_hex(8)
        try:
            entry.mkdir(parents=True)
            write_atomically(entry / _PLAN, _ADAPTER.dump_json(plan))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            shutil.rmtree(entry, ignore_errors=True)
            return None
        return entry

    def _move(self, plan: _TrashPlan, entry: Path | None) -> None:
        for number, (relative, inode) in enumerate(plan.inodes.items()):
            path = self._workspace.root / relative
            if _inode(path) == inode and not (entry is not None and _renamed(path, entry / str(number))):
                _remove(path)


def _inode(path: Path) -> int | None:
    with suppress(FileNotFoundError, NotADirectoryError):
        return path.lstat().st_ino
    return None


def _renamed(path: Path, target: Path) -> bool:
    """Rename; return False if the disk is full, or `path` is on another file system than the trash."""
    try:
        path.rename(target)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in {errno.EXDEV, *_FULL}:
            raise
        return False
    return True


def _empty(entry: Path) -> None:
    """Remove one deletion from the trash; its plan goes last, so that the next sweep finds what a kill leaves."""
    try:
        for inner in entries_of(entry):
            if inner.name != _PLAN:
                _remove(Path(inner.path))
        if all(inner.name == _PLAN for inner in entries_of(entry)):
            _remove(entry)
    except OSError as error:
        _log(entry, error)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder; log what stays."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as error:
        _log(path, error)


def _log(path: Path, error: OSError) -> None:
    logger.warning("deleted files cannot be removed", extra={"path": str(path), "reason": error.strerror})
