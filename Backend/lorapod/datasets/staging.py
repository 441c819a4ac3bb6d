"""One upload on its way into a dataset: every file received and checked in a staging folder, none visible yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lorapod.datasets import intake
from lorapod.datasets.base64_content import decoded
from lorapod.datasets.intake import StagedFile
from lorapod.datasets.partial import PartialFile
from lorapod.errors import Conflict, InsufficientStorage, InvalidInput, WorkerError
from lorapod.kinds import suffix_of
from lorapod.safety import archives
from lorapod.safety.unpacking import ArchiveLimits
from lorapod.wire.dataset import IncomingFile, RejectedFile, StoredFile
from lorapod.workspace import NAME_MAX_BYTES


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where an upload goes."""

    #: A folder that is this upload's alone, on the dataset's file system.
    staging: Path
    #: The dataset's folder if the files are added to it; None: they become the whole dataset.
    dataset: Path | None
    #: Where the dataset's partial files gather.
    parts: Path
    #: The dataset's folder as answers show it.
    shown: str
    #: Whether zip archives are unpacked, and to how much.
    extract: bool
    limits: ArchiveLimits

    def check(self, filename: str, size_bytes: int | None) -> str:
        """Return the name of a file that may be stored here, as far as its name and its declared size tell.

        Raises:
            InvalidInput: a dataset holds no file of that name.
            TooLarge: it is larger than its content can be.
            Conflict: the dataset has a folder of that name.
        """
        name = intake.check_name(filename)
        if size_bytes is not None:
            archive_max_bytes = self.limits.total_bytes if self.extract else None
            intake.check_size(name, size_bytes, archive_max_bytes=archive_max_bytes)
        if self.dataset is not None and (self.dataset / name).is_dir():
            raise Conflict(
                f"{name!r} cannot be stored: the dataset has a folder of that name.",
                hint="Send the file under another name.",
            )
        return name


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
        """Whether any file or part was taken."""
        return bool(self.staged or self._growing or self._again)

    @property
    def stored(self) -> Sequence[StoredFile]:
        """What was taken, as the answer shows it."""
        return [*(self._stored(file) for file in self.staged.values()), *self._growing.values(), *self._again]

    def take(self, file: IncomingFile) -> None:
        """Receive and check one file or part; if something is wrong with it, add it to `rejected`.

        Raises:
            OSError: the file system failed for another reason than being full.
        """
        with self._rejecting(file.filename):
            name = self._destination.check(file.filename, file.size_bytes)
            if file.offset is None:
                self._take_whole(name, file)
            else:
                self._take_part(name, file, file.offset)

    def take_file(self, name: str, path: Path, sha256: str) -> None:
        """Check one downloaded file that lies in the staging folder; as `take` otherwise."""
        size_bytes = path.stat().st_size
        with self._rejecting(name):
            self._destination.check(name, size_bytes)
            self._check_new(name)
            self._accept(
                StagedFile(
                    name=name, path=path, received_bytes=size_bytes, size_bytes=size_bytes, sha256=sha256
                )
            )

    def take_checked(self, name: str, path: Path, sha256: str) -> None:
        """Take one file that was checked when it was first downloaded."""
        with self._rejecting(name):
            self._check_new(name)
            size_bytes = path.stat().st_size
            self.staged[name] = StagedFile(
                name=name,
                path=path.rename(self.ready / name),
                received_bytes=size_bytes,
                size_bytes=size_bytes,
                sha256=sha256,
            )

    def note_completed(self) -> None:
        """Write down which partial files are complete; call it when they are visible."""
        for partial, names in self._completed:
            stored = [self._stored(self.staged[name]).model_dump() for name in names]
            partial.note_completed(json.dumps(stored))

    def refuse_damaged(self) -> None:
        """Refuse the whole if a file of a kind that trainers read is damaged, or if no file is left.

        Raises:
            WorkerError: it is; each file is in `details`.
        """
        full = next((error for error in self.errors if isinstance(error, InsufficientStorage)), None)
        if full is not None:
            raise full
        damaged = [file for file in self.rejected if _is_damaged(file)]
        if not damaged and self.staged:
            return
        reported = damaged or self.rejected
        if not reported:
            raise InvalidInput("There are no images in what was fetched.")
        kind = type(self.errors[self.rejected.index(reported[0])])
        more = f" Other files with problems: {len(reported) - 1}." if len(reported) > 1 else ""
        about = f"{reported[0].filename}: "
        raise kind(
            f"The dataset cannot be trained on: {about}{reported[0].error.removeprefix(about)}{more}",
            hint="Repair or remove these files where they are, then try again.",
            details=[{"field": file.filename, "error": file.error} for file in reported[:100]],
        )

    def _take_whole(self, name: str, file: IncomingFile) -> None:
        self._check_new(name)
        path = intake.fresh_path(self.folder)
        size_bytes, sha256 = intake.receive(decoded(file.content, name=name), path)
        if file.size_bytes not in {None, size_bytes}:
            raise InvalidInput(f"{name} has {size_bytes} bytes, declared were {file.size_bytes}.")
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
        self._check_new(name)
        received_bytes = partial.write(offset, decoded(file.content, name=name))
        if received_bytes < size_bytes:
            if offset == 0:
                self._check_beginning(partial, name)
            self._growing[name] = StoredFile(
                filename=name,
                path=f"{self._destination.shown}/{name}",
                size_bytes=size_bytes,
                received_bytes=received_bytes,
                complete=False,
            )
            return
        self._growing.pop(name, None)
        path = intake.fresh_path(self.folder)
        partial.claim(path)
        sha256 = _digest(path)
        intake.check_digest(name, file.sha256, sha256)
        before = len(self.staged)
        self._accept(
            StagedFile(name=name, path=path, received_bytes=size_bytes, size_bytes=size_bytes, sha256=sha256)
        )
        self._completed.append((partial, list(self.staged)[before:]))

    def _check_beginning(self, partial: PartialFile, name: str) -> None:
        try:
            intake.check_beginning(partial.path, name)
        except WorkerError:
            partial.discard()
            raise
        except FileNotFoundError:
            return  # another worker has completed it

    def _accept(self, file: StagedFile) -> None:
        if self._destination.extract and suffix_of(file.name) == intake.ARCHIVE_SUFFIX:
            self._unpack(file)
            return
        image = intake.check_content(file.path, file.name)
        path = file.path.rename(self.ready / file.name)
        self.staged[file.name] = replace(file, path=path, image=image)

    def _unpack(self, archive: StagedFile) -> None:
        folder = intake.fresh_path(self.folder)
        folder.mkdir()
        unpacked, refused = archives.unpack(archive.path, folder, limits=self._destination.limits)
        archive.path.unlink()
        if not unpacked and not refused:
            raise InvalidInput(f"{archive.name} holds no files.")
        for entry in refused:
            self._reject(f"{archive.name}/{entry.name}", entry.error)
        for file in unpacked:
            try:
                self._check_new(file.name)
                self._destination.check(file.name, file.path.stat().st_size)
                image = intake.check_content(file.path, file.name)
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
                image=image,
            )

    def _check_new(self, name: str) -> None:
        if name in self.staged:
            raise Conflict(f"There are two files {name!r} in this upload; the first one counts.")

    @contextmanager
    def _rejecting(self, name: str) -> Iterator[None]:
        """Add the file to `rejected` if the block refuses it, or the disk is full."""
        try:
            yield
        except WorkerError as error:
            self._reject(name, error)
        except OSError as error:
            if not intake.is_full(error):
                raise
            self._reject(name, intake.disk_full(name))

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
            width=file.image.width if file.image else None,
            height=file.image.height if file.image else None,
        )


def _is_damaged(file: RejectedFile) -> bool:
    return file.code != "conflict" and suffix_of(file.filename) in intake.TAKEN_SUFFIXES


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
