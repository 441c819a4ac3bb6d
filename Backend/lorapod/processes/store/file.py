"""Records as files on the workspace, so that a restarted worker, and any other on the volume, can read them.

```
processes/<process_id>/record.json   the record
processes/.live/<process_id>         an empty file for each process that has not ended
processes/.keys/<sha256 of the key>/<process_id>  the process that an idempotency key stands for
```
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lorapod.atomic import sync_folder, write_atomically
from lorapod.processes import record as records
from lorapod.processes.ids import age_key
from lorapod.processes.record import ProcessRecord
from lorapod.processes.store.port import RecordExists

logger = logging.getLogger(__name__)

RECORD_NAME = "record.json"


class FileStore:
    """A `RecordStore` in one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep records below `folder`, which must exist."""
        self._folder = folder
        self._live = folder / ".live"
        self._keys = folder / ".keys"
        self._live.mkdir(exist_ok=True)
        self._keys.mkdir(exist_ok=True)

    def create(self, record: ProcessRecord) -> None:
        """Keep a new record; its folder, made exclusively, is what makes the id unique.

        Raises:
            RecordExists: its id is taken.
        """
        try:
            (self._folder / record.process_id).mkdir()
        except FileExistsError:
            raise RecordExists(record.process_id) from None
        self.save(record)

    def save(self, record: ProcessRecord) -> None:
        """Replace the record, and keep the mark of live processes in step with it."""
        mark = self._live / record.process_id
        if not record.status.final:
            mark.touch()
        write_atomically(self._folder / record.process_id / RECORD_NAME, records.dump(record))
        if record.status.final:
            mark.unlink(missing_ok=True)

    def load(self, process_id: str) -> ProcessRecord | None:
        """The record as last saved."""
        path = self._folder / process_id / RECORD_NAME
        try:
            return records.load(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            logger.warning("record cannot be read", extra={"process_id": process_id, "reason": str(error)})
            return None

    def ids(self) -> Sequence[str]:
        """Every id, newest first."""
        names = (entry.name for entry in os.scandir(self._folder) if not entry.name.startswith("."))
        return sorted(names, key=age_key, reverse=True)

    def live_ids(self) -> Sequence[str]:
        """The ids of processes that have not ended, newest first."""
        return sorted((entry.name for entry in os.scandir(self._live)), key=age_key, reverse=True)

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind the key by a rename, which fails on a folder that is not empty: of two workers, one succeeds.

        (A hard link would do too, but not every network volume has them.)
        """
        claimed = self._keys / hashlib.sha256(key.encode()).hexdigest()
        staged = claimed.with_name(f".{claimed.name}.{process_id}")
        staged.mkdir()
        (staged / process_id).touch()
        try:
            staged.rename(claimed)
        except OSError as error:
            shutil.rmtree(staged)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        sync_folder(self._keys)
        return next(claimed.iterdir()).name
