"""The trash: what is deleted is renamed into it at once and removed in the background.

```
.trash/<token>/intent.json   what a deletion would remove, while it is checked for the last time
.trash/<token>/plan.json     the same, renamed: from now on the deletion is completed, by whatever worker
.trash/<token>/<number>      what was moved
```

A worker that is killed in between leaves the plan, and the next one that starts completes it.

A process that starts on any worker has its record and order in the store first and calls `settle` then: that withdraws
every intent, which is checked again and finds the process, and completes every plan. So nothing is moved under it.
"""

from __future__ import annotations

import errno
import logging
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import sync_folder, write_atomically
from lorapod.errors import Conflict
from lorapod.folders import entries_of
from lorapod.lease import LeaseLost
from lorapod.processes.store.port import RecordStore
from lorapod.records.record import ProcessRecord
from lorapod.thread_pools import ThreadPool
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

FOLDER = ".trash"
_INTENT, _PLAN = "intent.json", "plan.json"

#: A deletion whose intent was withdrawn by starting processes so often is refused.
_TRIES = 10

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

    def discard(
        self,
        paths: Sequence[Path],
        record: ProcessRecord | None = None,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Move files and folders out of sight, and begin to remove them; with `record`, forget its process too.

        Args:
            paths: absolute, below the workspace's root, none inside another; those that are gone already are no error.
            record: an ended process.
            check: raises `Conflict` if a process uses something of it by now; may be called several times.

        Raises:
            Conflict: `check` raised it, or the process was resumed meanwhile; nothing has changed.
            OSError: the volume failed; what was moved is removed, the rest is where it was.
        """
        plan = _TrashPlan(
            inodes={self._workspace.relative(path): inode for path in paths if (inode := _inode(path))},
            process_id=record.process_id if record is not None else None,
            generation=record.generation if record is not None else None,
        )
        entry = self._decide(plan, check)
        try:
            if record is not None:
                self._records.forget(record)
        except LeaseLost:
            if entry is not None:
                shutil.rmtree(entry, ignore_errors=True)
            raise Conflict(f"The process {plan.process_id} was resumed a moment ago.") from None
        self._move(plan, entry)
        if entry is not None:
            _remove_soon(entry)

    def settle(self) -> None:
        """Complete the deletions that are decided, and have those that are not decided yet checked once more.

        Raises:
            OSError: the volume does not answer.
        """
        for found in entries_of(self.folder):
            entry = Path(found.path)
            with suppress(FileNotFoundError, NotADirectoryError):
                (entry / _INTENT).unlink()
            self._complete(entry)

    def sweep(self) -> None:
        """Complete the deletions that killed workers left, and remove what is in the trash.

        Raises:
            OSError: the volume does not answer.
        """
        self.settle()
        for found in entries_of(self.folder):
            _REMOVALS.submit(_empty, Path(found.path))

    def _complete(self, entry: Path) -> None:
        """Move what a decided deletion has not moved yet."""
        try:
            plan = _ADAPTER.validate_json((entry / _PLAN).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return
        except ValidationError as error:
            logger.warning(
                "plan of a deletion cannot be read", extra={"path": str(entry), "reason": str(error)}
            )
            plan = _TrashPlan(inodes={})
        if self._still_wanted(plan):
            self._move(plan, entry)
        _remove_soon(entry)

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

    def _decide(self, plan: _TrashPlan, check: Callable[[], None]) -> Path | None:
        """Return the folder of a new deletion; None if the disk is too full to write anything down.

        On a full disk no process can begin either, so that one check is enough.

        Raises:
            Conflict: `check` raised it, or processes start all the time.
        """
        for _ in range(_TRIES):
            entry = self.folder / secrets.token_hex(8)
            try:
                entry.mkdir(parents=True)
                write_atomically(entry / _INTENT, _ADAPTER.dump_json(plan))
                check()
                (entry / _INTENT).rename(entry / _PLAN)
                sync_folder(entry)
            except FileNotFoundError:
                shutil.rmtree(entry, ignore_errors=True)  # withdrawn: a process has begun meanwhile
            except OSError as error:
                shutil.rmtree(entry, ignore_errors=True)
                if error.errno not in _FULL:
                    raise
                check()
                return None
            except BaseException:
                shutil.rmtree(entry, ignore_errors=True)
                raise
            else:
                return entry
        raise Conflict(
            "Processes start all the time; nothing was deleted.", hint="Send the request again in a moment."
        )

    def _move(self, plan: _TrashPlan, entry: Path | None) -> None:
        for number, (relative, inode) in enumerate(plan.inodes.items()):
            path = self._workspace.root / relative
            if entry is not None and not (entry / _PLAN).exists():
                return  # another worker has completed it, and what has these names now was made later
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


def _remove_soon(entry: Path) -> None:
    """Remove in the background what a completed deletion has moved.

    Its plan goes first: later files may have the names and the inode numbers of those that are removed.
    """
    (entry / _PLAN).unlink(missing_ok=True)
    _REMOVALS.submit(_empty, entry)


def _empty(entry: Path) -> None:
    """Remove one deletion from the trash, unless it is not completed yet; the next sweep finds what a kill leaves."""
    try:
        inner = entries_of(entry)
        if {_INTENT, _PLAN}.isdisjoint(one.name for one in inner):
            for one in inner:
                _remove(Path(one.path))
            # It stays if something could not be removed, or if another worker has just begun to write it.
            with suppress(FileNotFoundError, NotADirectoryError):
                entry.rmdir()
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
