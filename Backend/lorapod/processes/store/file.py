"""State as files on the workspace: a restarted worker can read it, and every other worker of the volume.

```
processes/<process_id>/record.json               the record of the first generation
processes/<process_id>/taken/<generation>/       the record of every later one, `record.json`; the newest counts
processes/<process_id>/order.json                the order of the process
processes/<process_id>/control/                  messages for the worker that holds the process
processes/.live/<process_id>                     an empty file for each process that has not ended
processes/.keys/<sha256 of the key>/<process_id> the process that an idempotency key stands for
processes/.workers/<holder>                      the heartbeat of a worker that holds processes
processes/.forgotten/<process_id>.<token>        a process that is being removed
```

Every exclusive step is the making or the renaming of a folder, which is atomic on network volumes too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from lorapod.atomic import sync_folder, write_atomically
from lorapod.clock import Clock
from lorapod.folders import entries_of
from lorapod.lease import LeaseLost
from lorapod.processes.store.file_mailbox import FileMailbox
from lorapod.processes.store.port import Heartbeat, RecordExists, StateStore
from lorapod.records import stored_record as records
from lorapod.records.process_id import age_key
from lorapod.records.record import ProcessRecord
from lorapod.records.stored_record import RECORD_NAME, TAKEN_NAME, newest_generation, record_path

logger = logging.getLogger(__name__)

#: A process that is still being removed after so many seconds was left by a killed worker.
FORGETTING_S = 60.0


def open_file_store(folder: Path, clock: Clock) -> StateStore:
    """Open the state below `folder`, which must exist."""
    return StateStore(
        records=FileRecords(folder),
        orders=FileOrders(folder),
        heartbeats=FileHeartbeats(folder / ".workers"),
        mailbox=FileMailbox(folder, clock),
    )


class FileRecords:
    """A `RecordStore` in one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep records below `folder`, which must exist."""
        self._folder = folder
        self._live = folder / ".live"
        self._keys = folder / ".keys"
        self._forgotten = folder / ".forgotten"
        self._live.mkdir(exist_ok=True)
        self._keys.mkdir(exist_ok=True)
        # Now: a full disk, on which things are deleted, takes no new folder.
        self._forgotten.mkdir(exist_ok=True)

    def create(self, record: ProcessRecord) -> None:
        """Begin a generation: the first one by making the process's folder, a later one by making a folder in it.

        Either appears with its first record in it, after the mark of live processes: a worker that is killed in
        between leaves nothing that would be `queued` for ever.

        Raises:
            RecordExists: another worker was first, or has deleted the process.
        """
        folder = self._folder / record.process_id
        data = records.dump(record)
        if record.generation == 1:
            if folder.exists():
                raise RecordExists(record.process_id)
            self._mark(record)
            try:
                self._rename_exclusively(folder, RECORD_NAME, data)
            except OSError:
                # The disk is full, for example: there is no such process.
                (self._live / record.process_id).unlink(missing_ok=True)
                raise
        else:
            try:
                (folder / TAKEN_NAME).mkdir(exist_ok=True)
                self._mark(record)
                self._rename_exclusively(folder / TAKEN_NAME / f"{record.generation:06d}", RECORD_NAME, data)
            except FileNotFoundError:
                (self._live / record.process_id).unlink(missing_ok=True)
                raise RecordExists(record.process_id) from None
        self.save(record)

    def save(self, record: ProcessRecord) -> None:
        """Replace the record, and keep the mark of live processes in step with it.

        Raises:
            LeaseLost: a newer generation has begun.
        """
        folder = self._folder / record.process_id
        if self._newest_generation(folder) > record.generation:
            raise LeaseLost(record.process_id)
        self._mark(record)
        # Each generation has its own file, so a late writer overwrites no newer record.
        write_atomically(record_path(folder, record.generation), records.dump(record))
        if record.status.final and self._newest_generation(folder) == record.generation:
            (self._live / record.process_id).unlink(missing_ok=True)

    def load(self, process_id: str) -> ProcessRecord | None:
        """Return the record of the newest generation as last saved."""
        folder = self._folder / process_id
        return self._read(record_path(folder, self._newest_generation(folder)))

    def ids(self) -> Sequence[str]:
        """Return every id, newest first."""
        names = (entry.name for entry in os.scandir(self._folder) if not entry.name.startswith("."))
        return sorted(names, key=age_key, reverse=True)

    def live_ids(self) -> Sequence[str]:
        """Return the ids of processes that have not ended, newest first."""
        return sorted((entry.name for entry in os.scandir(self._live)), key=age_key, reverse=True)

    def forget(self, record: ProcessRecord) -> None:
        """Remove the process's folder.

        It is renamed first: a worker that resumes the process at this moment finds it whole or not at all.

        Raises:
            LeaseLost: a newer generation has begun.
        """
        folder = self._folder / record.process_id
        if self._newest_generation(folder) > record.generation:
            raise LeaseLost(record.process_id)
        aside = self._forgotten / f"{record.process_id}.{secrets.token_hex(4)}"
        try:
            folder.rename(aside)
        except FileNotFoundError:
            aside = folder  # another worker was faster; its key may still be there
        if self._newest_generation(aside) > record.generation:
            aside.rename(folder)
            raise LeaseLost(record.process_id)
        (self._live / record.process_id).unlink(missing_ok=True)
        if record.key is not None:
            self._release_key(record.key, record.process_id)
        shutil.rmtree(aside, ignore_errors=True)
        self._remove_forgotten()

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind the key to the process unless it is bound; return the process that it is bound to."""
        claimed = self._key_folder(key)
        try:
            self._rename_exclusively(claimed, process_id, b"")
        except RecordExists:
            return next(claimed.iterdir()).name
        return process_id

    def _key_folder(self, key: str) -> Path:
        return self._keys / hashlib.sha256(key.encode()).hexdigest()

    def _release_key(self, key: str, process_id: str) -> None:
        claimed = self._key_folder(key)
        if (claimed / process_id).exists():
            shutil.rmtree(claimed, ignore_errors=True)

    def _remove_forgotten(self) -> None:
        """Remove what workers left that were killed while they forgot a process."""
        for entry in entries_of(self._forgotten):
            with contextlib.suppress(FileNotFoundError):
                # A rename sets this time; both are of the file system's clock.
                age_s = self._forgotten.stat().st_ctime - entry.stat(follow_symlinks=False).st_ctime
                if age_s > FORGETTING_S:
                    shutil.rmtree(entry.path, ignore_errors=True)

    def _mark(self, record: ProcessRecord) -> None:
        if not record.status.final:
            (self._live / record.process_id).touch()

    @staticmethod
    def _rename_exclusively(target: Path, name: str, data: bytes) -> None:
        """Make the folder `target` with one file in it; renaming onto a folder that is not empty fails."""
        staged = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        staged.mkdir()
        try:
            write_atomically(staged / name, data)
            staged.rename(target)
        except OSError as error:
            shutil.rmtree(staged)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise RecordExists(target.name) from None
            raise
        sync_folder(target.parent)

    @staticmethod
    def _newest_generation(folder: Path) -> int:
        try:
            return newest_generation(entry.name for entry in (folder / TAKEN_NAME).iterdir())
        except FileNotFoundError:
            return 1

    @staticmethod
    def _read(path: Path) -> ProcessRecord | None:
        try:
            return records.load(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            logger.warning("record cannot be read", extra={"path": str(path), "reason": str(error)})
            return None


_ADAPTER = TypeAdapter(Heartbeat)


#: Ends the name of a heartbeat that is being written.
_STAGED = ".tmp"


class FileHeartbeats:
    """A `HeartbeatStore` in one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep heartbeats in `folder`; make it if it is missing."""
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def write(self, holder: str, beat: Heartbeat) -> None:
        """Replace the worker's heartbeat; it need not survive a power cut, which ends the worker too."""
        self._folder.mkdir(exist_ok=True)
        # One name for each worker, its only writer: what a kill leaves half written is found, and goes with the rest.
        staged = self._folder / f".{holder}{_STAGED}"
        staged.write_bytes(_ADAPTER.dump_json(beat))
        staged.replace(self._folder / holder)

    def read(self, holder: str) -> Heartbeat | None:
        """Return the worker's last heartbeat."""
        try:
            return _ADAPTER.validate_json((self._folder / holder).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def forget(self, holder: str) -> None:
        """Remove a worker's heartbeat, also one that is half written."""
        for name in (holder, f".{holder}{_STAGED}"):
            (self._folder / name).unlink(missing_ok=True)

    def holders(self) -> Sequence[str]:
        """Return the workers that have one, also a half-written one."""
        names = {entry.name for entry in os.scandir(self._folder)}
        staged = {name[1:].removesuffix(_STAGED) for name in names if name.endswith(_STAGED)}
        return sorted(staged | {name for name in names if not name.startswith(".")})


ORDER_NAME = "order.json"


class FileOrders:
    """An `OrderStore` below the folder of the processes."""

    def __init__(self, folder: Path) -> None:
        """Keep orders below `folder`."""
        self._folder = folder

    def keep(self, process_id: str, order: bytes) -> None:
        """Write the order of a process beside its record.

        Raises:
            OSError: the disk is full or not writable.
        """
        write_atomically(self._folder / process_id / ORDER_NAME, order)

    def read(self, process_id: str) -> bytes | None:
        """Return the order of a process, or None."""
        try:
            return (self._folder / process_id / ORDER_NAME).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
