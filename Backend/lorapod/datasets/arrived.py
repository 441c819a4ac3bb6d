"""Bring the files of an upload that arrived over S3 into a staging area."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from lorapod.datasets import intake
from lorapod.datasets.converting import is_converted
from lorapod.datasets.staging import StagingArea
from lorapod.errors import InvalidInput
from lorapod.folders import entries_of
from lorapod.kinds import suffix_of
from lorapod.volume.arriving import (
    FILES,
    RESULT,
    ArrivalResult,
    ArrivingFile,
    ArrivingUpload,
    arriving_folder,
)
from lorapod.wire.dataset import is_archive_name
from lorapod.workspace import Workspace

#: File systems answer so if they have no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EXDEV})


def take_arrived(upload: ArrivingUpload, folder: Path, area: StagingArea) -> None:
    """Check the files of an upload against their digests, and as those of any other; refuse each that is wrong.

    Args:
        upload: the manifest.
        folder: where the upload lies; it stays as it is.
        area: takes the files.

    Raises:
        OSError: the file system failed.
    """
    area.plan(file.filename for file in upload.files)
    # What is in archives makes room for what is not, and what is converted for what is not.
    for file in sorted(
        upload.files, key=lambda file: (is_archive_name(file.filename), is_converted(file.filename))
    ):
        with area.refusals.catching(file.filename):
            name = area.name_of(file.filename)
            area.destination.check_free(name)
            path = intake.fresh_path(area.folder)
            _stage(folder / FILES / file.stored_as, path, file)
            area.take_file(name, path, file.sha256, origin=file.filename)


def refusal_of(workspace: Workspace, training_name: str) -> str | None:
    """Return why a worker refused the upload of this dataset over S3; None if it refused none.

    Raises:
        OSError: the volume failed.
    """
    folder = arriving_folder(workspace)
    for entry in entries_of(folder):
        with suppress(FileNotFoundError, NotADirectoryError, ValidationError):
            result = ArrivalResult.model_validate_json((folder / entry.name / RESULT).read_bytes())
            if result.training_name == training_name and result.error is not None:
                return str(result.error.get("error", ""))
    return None


def _stage(source: Path, target: Path, file: ArrivingFile) -> None:
    """Give a file a second name; a text is copied, because intake rewrites it in place.

    Raises:
        InvalidInput: it is not there, or not what was sent.
    """
    try:
        if suffix_of(file.filename) in intake.TEXT_SUFFIXES or intake.is_table(file.filename):
            shutil.copyfile(source, target)
        else:
            _link(source, target)
    except FileNotFoundError as error:
        raise InvalidInput(f"{file.filename} has not arrived.", hint="Upload the dataset again.") from error
    if target.stat().st_size != file.size_bytes:
        raise InvalidInput(
            f"{file.filename} has {target.stat().st_size} bytes, sent were {file.size_bytes}.",
            hint="Upload the dataset again.",
        )
    intake.check_digest(file.filename, file.sha256, intake.digest(target))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
