"""Uploads that have arrived over S3: they become part of their datasets when a worker looks at datasets next."""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from lorapod.actions.upload_training_data import upload_result
from lorapod.atomic import write_atomically
from lorapod.datasets.edits.lock import EditLock
from lorapod.datasets.library import DatasetLibrary
from lorapod.errors import Conflict, InsufficientStorage, WorkerError
from lorapod.folders import entries_of
from lorapod.volume.arriving import (
    FILES,
    MANIFEST,
    RESULT,
    ArrivalResult,
    ArrivingUpload,
    arriving_folder,
    is_upload_id,
)
from lorapod.wire.envelope import error_answer
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

_LOCKS: Final = ".locks"

#: How long one worker waits for another that adds the same upload, in seconds.
_PATIENCE_S: Final = 300.0
_POLL_S: Final = 0.2

#: An upload that was not published, or the result of one, is removed after this time, in seconds.
_FORGOTTEN_S: Final = 7 * 86_400


class ArrivedUploads:
    """Adds published uploads to their datasets. Blocks; several workers may do it at a time."""

    def __init__(self, workspace: Workspace, library: DatasetLibrary) -> None:
        """Look below the folder of datasets."""
        self._workspace = workspace
        self._folder = arriving_folder(workspace)
        self._library = library

    def take_all(self) -> None:
        """Add every published upload to its dataset, or write down why it is refused.

        What cannot be added now (a training reads what it would replace, the disk is full) is tried again the next time.
        An upload without a manifest is left alone: its sender has not finished.

        Raises:
            OSError: the volume failed.
        """
        for entry in entries_of(self._folder):
            if is_upload_id(entry.name):
                self._take(Path(entry.path))

    def _take(self, folder: Path) -> None:
        if self._manifest(folder) is None:
            self._forget(folder)
            return
        with ExitStack() as stack:
            if not self._claim(folder, stack):
                return
            upload = self._manifest(folder)  # another worker may have added it meanwhile
            if upload is None:
                return
            try:
                result = ArrivalResult(
                    training_name=upload.training_name,
                    answer=upload_result(
                        self._library.receive_arrived(upload, folder), self._workspace
                    ).answer(),
                )
            except (Conflict, InsufficientStorage) as error:
                logger.warning(
                    "upload cannot be added yet",
                    extra={"training_name": upload.training_name, "reason": error.message},
                )
                return
            except WorkerError as error:
                result = ArrivalResult(training_name=upload.training_name, error=error_answer(error))
            write_atomically(folder / RESULT, result.model_dump_json(exclude_none=True).encode())
            # The manifest first: without it, what is left of the files is no upload.
            (folder / MANIFEST).unlink()
            shutil.rmtree(folder / FILES, ignore_errors=True)
            logger.info("upload added", extra={"training_name": upload.training_name})

    def _claim(self, folder: Path, stack: ExitStack) -> bool:
        """Take the lock of an upload; wait while another worker has it. Return False if that one has added the upload."""
        path = self._folder / _LOCKS / folder.name
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                stack.enter_context(EditLock(path, folder.name))
            except Conflict:
                if not (folder / MANIFEST).exists() or time.monotonic() > deadline_s:
                    return False
                time.sleep(_POLL_S)
            else:
                return True

    @staticmethod
    def _manifest(folder: Path) -> ArrivingUpload | None:
        """Return the manifest; None as long as it is missing or incomplete."""
        try:
            return ArrivingUpload.model_validate_json((folder / MANIFEST).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValidationError as error:
            logger.info("manifest cannot be read yet", extra={"path": str(folder), "reason": str(error)})
            return None

    def _forget(self, folder: Path) -> None:
        """Remove what has not changed for long: an upload that its sender gave up, or a result."""
        try:
            newest_s = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
        except FileNotFoundError:
            return
        if time.time() - newest_s > _FORGOTTEN_S:
            shutil.rmtree(folder, ignore_errors=True)
