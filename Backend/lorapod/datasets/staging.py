"""One upload on its way into a dataset: every file received and checked in a staging folder, none visible yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lorapod.datasets import intake
from lorapod.datasets.base64_content import decoded
from lorapod.datasets.intake import StagedFile
from lorapod.datasets.partial import PartialFile
from lorapod.errors import Conflict, InsufficientStorage, InvalidInput, WorkerError
from lorapod.kinds import suffix_of
from lorapod.safety import archives
from lorapod.safety.archives import ArchiveLimits
from lorapod.wire.dataset import IncomingFile, RejectedFile, StoredFile
from lorapod.workspace import NAME_MAX_BYTES, safe_name


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where an upload goes."""

    #: A folder that is this upload's alone, on the dataset's file system.
    staging: Path
    #: Where the dataset's partial files gather.
    parts: Path
    #: The dataset's folder as answers show it.
    shown: str
    #: Whether zip archives are unpacked, and to how much.
    extract: bool
    limits: ArchiveLimits


class StagingArea:
    """Takes the files of one upload, one by one."""

    def __init__(self, destination: Destination) -> None:
        """Begin with an empty staging folder."""
        self._destination = destination
        #: Checked files under their own names.
        self.ready = destination.staging / "files"
        self.ready.mkdir()
        self.staged: dict[str, StagedFile] = {}
        self.rejected: list[RejectedFile] = []
        #: The error of each rejected file, in the same order.
        self.errors: list[WorkerError] = []
        self._growing: dict[str, StoredFile] = {}
        self._again: list[StoredFile] = []
        self._completed: list[tuple[PartialFile, Sequence[str]]] = []

    @property
    def folder(self) -> Path:
        """The staging folder."""
        return self._destination.staging

    @property
    def useful(self) -> bool:
        """Whether anything at all was taken."""
        return bool(self.staged or self._growing or self._again)

    @property
    def stored(self) -> Sequence[StoredFile]:
        """What was taken, as the answer shows it."""
        return [*(self._stored(file) for file in self.staged.values()), *self._growing.values(), *self._again]

    def take(self, file: IncomingFile) -> None:
        """Receive and check one file or part; what is wrong with it goes to `rejected`.

        Raises:
            OSError: the file system failed, for another reason than being full.
        """
        try:
            name = safe_name(file.filename, field="filename")
            intake.check_suffix(name)
            if file.offset is None:
                self._take_whole(name, file)
            else:
                self._take_part(name, file, file.offset)
        except WorkerError as error:
            self._reject(file.filename, error)
        except OSError as error:
            if not intake.is_full(error):
                raise
            self._reject(file.filename, intake.disk_full(file.filename))

    def take_file(self, name: str, path: Path, sha256: str) -> None:
        """Check one file that has come another way, and lies in the staging folder; as `take` otherwise."""
        size_bytes = path.stat().st_size
        try:
            safe_name(name, field="filename")
            intake.check_suffix(name)
            self._check_fresh(name)
            self._accept(
                StagedFile(
                    name=name, path=path, received_bytes=size_bytes, size_bytes=size_bytes, sha256=sha256
                )
            )
        except WorkerError as error:
            self._reject(name, error)
        except OSError as error:
            if not intake.is_full(error):
                raise
            self._reject(name, intake.disk_full(name))

    def take_checked(self, name: str, path: Path, sha256: str) -> None:
        """Take one file that was checked when it came first."""
        try:
            self._check_fresh(name)
        except WorkerError as error:
            self._reject(name, error)
            return
        size_bytes = path.stat().st_size
        self.staged[name] = StagedFile(
            name=name,
            path=path.rename(self.ready / name),
            received_bytes=size_bytes,
            size_bytes=size_bytes,
            sha256=sha256,
        )

    def note_completed(self) -> None:
        """Remember which partial files became whole; called when they are visible."""
        for partial, names in self._completed:
            stored = [self._stored(self.staged[name]).model_dump() for name in names]
            partial.note_completed(json.dumps(stored))

    def _take_whole(self, name: str, file: IncomingFile) -> None:
        self._check_fresh(name)
        path = intake.fresh_path(self._destination.staging)
        size_bytes, sha256 = intake.receive(decoded(file.content, name=name), path)
        if file.size_bytes not in {None, size_bytes}:
            raise InvalidInput(f"{name} has {size_bytes} bytes, announced were {file.size_bytes}.")
        intake.check_digest(name, file.sha256, sha256)
        self._accept(
            StagedFile(name=name, path=path, received_bytes=size_bytes, size_bytes=size_bytes, sha256=sha256)
        )

    def _take_part(self, name: str, file: IncomingFile, offset: int) -> None:
        size_bytes = file.size_bytes or 0
        partial = PartialFile(
            folder=self._destination.parts, filename=name, size_bytes=size_bytes, sha256=file.sha256
        )
        if offset > 0 and (receipt := partial.receipt) is not None:
            self._again += [StoredFile.model_validate(stored) for stored in json.loads(receipt)]
            return
        self._check_fresh(name)
        received_bytes = partial.write(offset, decoded(file.content, name=name))
        if received_bytes < size_bytes:
            self._growing[name] = StoredFile(
                filename=name,
                path=f"{self._destination.shown}/{name}",
                size_bytes=size_bytes,
                received_bytes=received_bytes,
                complete=False,
            )
            return
        self._growing.pop(name, None)
        path = intake.fresh_path(self._destination.staging)
        partial.claim(path)
        sha256 = _digest(path)
        intake.check_digest(name, file.sha256, sha256)
        before = len(self.staged)
        self._accept(
            StagedFile(name=name, path=path, received_bytes=size_bytes, size_bytes=size_bytes, sha256=sha256)
        )
        self._completed.append((partial, list(self.staged)[before:]))

    def _accept(self, file: StagedFile) -> None:
        if self._destination.extract and suffix_of(file.name) == intake.ARCHIVE_SUFFIX:
            self._unpack(file)
            return
        picture = intake.check_content(file.path, file.name)
        path = file.path.rename(self.ready / file.name)
        self.staged[file.name] = replace(file, path=path, picture=picture)

    def _unpack(self, archive: StagedFile) -> None:
        folder = intake.fresh_path(self._destination.staging)
        folder.mkdir()
        unpacked, refused = archives.unpack(archive.path, folder, limits=self._destination.limits)
        archive.path.unlink()
        if not unpacked and not refused:
            raise InvalidInput(f"{archive.name} holds no files.")
        for entry in refused:
            self._reject(f"{archive.name}/{entry.name}", entry.error)
        for file in unpacked:
            try:
                self._check_fresh(file.name)
                intake.check_suffix(file.name)
                picture = intake.check_content(file.path, file.name)
            except WorkerError as error:
                self._reject(f"{archive.name}/{file.name}", error)
                continue
            path = file.path.rename(self.ready / file.name)
            size_bytes = path.stat().st_size
            self.staged[file.name] = StagedFile(
                name=file.name,
                path=path,
                received_bytes=size_bytes,
                size_bytes=size_bytes,
                sha256=_digest(path),
                picture=picture,
            )

    def _check_fresh(self, name: str) -> None:
        if name in self.staged:
            raise Conflict(f"There are two files {name} in this upload; the first one counts.")

    def _reject(self, name: str, error: WorkerError) -> None:
        expected = next(
            (item["expected_offset"] for item in error.details if "expected_offset" in item), None
        )
        self.errors.append(error)
        self.rejected.append(
            RejectedFile(
                filename=name if len(name) <= NAME_MAX_BYTES else f"{name[: NAME_MAX_BYTES - 3]}...",
                code=error.code,
                error=error.message,
                hint=error.hint or None,
                expected_offset=expected,
            )
        )

    def _stored(self, file: StagedFile) -> StoredFile:
        return StoredFile(
            filename=file.name,
            path=f"{self._destination.shown}/{file.name}",
            size_bytes=file.size_bytes,
            received_bytes=file.received_bytes,
            complete=True,
            sha256=file.sha256,
            width=file.picture.width if file.picture else None,
            height=file.picture.height if file.picture else None,
        )


def refuse_damaged(area: StagingArea) -> None:
    """Refuse the dataset if a file of a kind that trainers read is damaged, or if no file is left."""
    full = next((error for error in area.errors if isinstance(error, InsufficientStorage)), None)
    if full is not None:
        raise full
    damaged = [file for file in area.rejected if _is_damaged(file)]
    if not damaged and area.staged:
        return
    reported = damaged or area.rejected
    if not reported:
        raise InvalidInput("There are no images in what was fetched.")
    kind = type(area.errors[area.rejected.index(reported[0])])
    more = f" {len(reported) - 1} more files have problems." if len(reported) > 1 else ""
    raise kind(
        f"The dataset cannot be trained on: {reported[0].error}{more}",
        hint="Repair or remove these files where they are, then try again.",
        details=[{"field": file.filename, "error": file.error} for file in reported[:100]],
    )


def _is_damaged(file: RejectedFile) -> bool:
    return file.code != "conflict" and suffix_of(file.filename) in intake.TAKEN_SUFFIXES


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
