"""One upload or fetch on its way into a dataset: every file received and checked in a staging folder, none visible yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from lorapod.datasets import intake
from lorapod.datasets.base64_content import decoded
from lorapod.datasets.converting import converted, is_converted, name_after
from lorapod.datasets.destination import Destination
from lorapod.datasets.intake import StagedFile
from lorapod.datasets.intake_notes import IntakeNotes
from lorapod.datasets.naming import NamePlan
from lorapod.datasets.partial import PartialFile
from lorapod.datasets.refusals import Refusals
from lorapod.errors import Conflict, InvalidInput, WorkerError
from lorapod.kinds import suffix_of
from lorapod.safety import archives
from lorapod.safety.content_kinds import PAGE_HINT, is_web_page
from lorapod.wire.dataset import FixedFile, IncomingFile, StoredFile, is_archive_name, is_dataset_name


class StagingArea:
    """Takes the files of one intake, one by one."""

    def __init__(self, destination: Destination) -> None:
        """Begin with an empty staging folder."""
        self.destination = destination
        #: Checked files under their own names.
        self.ready = destination.staging / "files"
        self.ready.mkdir()
        self.staged: dict[str, StagedFile] = {}
        self.refusals = Refusals()
        self.notes = IntakeNotes()
        self._names: Mapping[str, str] = {}
        #: Names of files that are still to come; no image may get one of them by its conversion.
        self._expected: set[str] = set()
        self._growing: dict[str, StoredFile] = {}
        self._again: list[StoredFile] = []
        self._completed: list[tuple[PartialFile, Sequence[str]]] = []

    @property
    def folder(self) -> Path:
        """The staging folder."""
        return self.destination.staging

    @property
    def useful(self) -> bool:
        """Whether any file or part was taken."""
        return bool(self.staged or self._growing or self._again)

    @property
    def stored(self) -> Sequence[StoredFile]:
        """What was taken, as the answer shows it."""
        return [*(self._stored(file) for file in self.staged.values()), *self._growing.values(), *self._again]

    @property
    def renamed(self) -> Mapping[str, str]:
        """Name in the source, and name in the dataset, of what was taken under another name."""
        return self.notes.renamed({*self.staged, *self._growing})

    @property
    def fixed(self) -> Sequence[FixedFile]:
        """The images that were converted."""
        return [file.fixed for file in self.staged.values() if file.fixed is not None]

    def take_all(self, files: Sequence[IncomingFile]) -> None:
        """Receive and check the files and parts of one upload; if something is wrong with one, refuse that one.

        Raises:
            OSError: the file system failed for another reason than being full.
        """
        self.plan(file.filename for file in files)
        # What is in archives makes room for what is not, and what is converted for what is not.
        for file in sorted(
            files, key=lambda file: (is_archive_name(file.filename), is_converted(file.filename))
        ):
            self.take(file)

    def plan(self, filenames: Iterable[str]) -> None:
        """Choose the names that the files of an upload get in the dataset."""
        distinct = list(dict.fromkeys(filenames))
        plan = NamePlan.of(distinct, present=self.destination.present())
        self._names = dict(zip(distinct, plan.names, strict=True))
        self.notes.add_plan(plan)
        self.expect(plan.names)

    def name_of(self, filename: str) -> str:
        """Return the name that was chosen for a file."""
        return self._names.get(filename, filename)

    def expect(self, names: Iterable[str]) -> None:
        """Keep these names free for the files that are to come under them."""
        self._expected.update(names)

    def take(self, file: IncomingFile) -> None:
        """Receive and check one file or part."""
        with self.refusals.catching(file.filename):
            self.destination.check(file.filename, file.size_bytes)
            name = self.name_of(file.filename)
            self.destination.check_free(name)
            if file.offset is None:
                self._take_whole(name, file)
            else:
                self._take_part(name, file, file.offset)

    def take_file(self, name: str, path: Path, sha256: str, *, origin: str) -> None:
        """Check one downloaded file that lies in the staging folder; `origin` is its path in the source."""
        size_bytes = path.stat().st_size
        filename = origin.replace("\\", "/").rpartition("/")[2]
        with self.refusals.catching(filename):
            if not is_dataset_name(filename) and is_web_page(path):
                raise InvalidInput(
                    f"{filename} is a web page (HTML), not a file of a dataset.", hint=PAGE_HINT
                )
            self.destination.check(filename, size_bytes)
            self._check_new(name)
            self._accept(StagedFile.received(name, origin, path, size_bytes, sha256))

    def take_checked(
        self,
        name: str,
        path: Path,
        sha256: str,
        *,
        origin: str,
        archive: str = "",
        fixed: FixedFile | None = None,
    ) -> None:
        """Take one file that was checked, and converted if `fixed` says so, when it was first downloaded."""
        with self.refusals.catching(name):
            if fixed is not None:
                name = name_after(name, suffix_of(fixed.name), self._taken)
                fixed = fixed.model_copy(update={"name": name})
            self._check_new(name)
            size_bytes = path.stat().st_size
            self._stage(
                StagedFile(
                    name=name,
                    origin=origin,
                    archive=archive,
                    path=path,
                    received_bytes=size_bytes,
                    size_bytes=size_bytes,
                    sha256=sha256,
                    fixed=fixed,
                )
            )

    def plan_archive(self, archive: str, inner_paths: Sequence[str]) -> Sequence[str]:
        """Return a name for each file of an archive; if one is taken, all get the archive's own name in front."""
        present = [*self.destination.present(), *self.staged]
        plan = NamePlan.of(inner_paths, present=present)
        if any(name in self.staged for name in plan.names):
            stem = archive
            while is_archive_name(stem):
                stem = stem.rpartition(".")[0]
            plan = NamePlan.of(inner_paths, under=stem, present=present)
        self.notes.add_plan(plan, source=archive)
        self.expect(plan.names)
        return plan.names

    def note_completed(self) -> None:
        """Write down which partial files are complete; call it when they are visible."""
        for partial, names in self._completed:
            stored = [self._stored(self.staged[name]).model_dump() for name in names]
            partial.note_completed(json.dumps(stored))

    def _take_whole(self, name: str, file: IncomingFile) -> None:
        self._check_new(name)
        path = intake.fresh_path(self.folder)
        shown = file.filename
        size_bytes, sha256 = intake.receive(decoded(file.content, name=shown), path)
        if file.size_bytes not in {None, size_bytes}:
            raise InvalidInput(f"{shown} has {size_bytes} bytes, declared were {file.size_bytes}.")
        intake.check_digest(shown, file.sha256, sha256)
        self._accept(StagedFile.received(name, file.filename, path, size_bytes, sha256))

    def _take_part(self, name: str, file: IncomingFile, offset: int) -> None:
        size_bytes = file.size_bytes or 0
        partial = PartialFile(
            folder=self.destination.parts, filename=file.filename, size_bytes=size_bytes, sha256=file.sha256
        )
        if offset > 0 and (receipt := partial.receipt) is not None:
            self._again += [StoredFile.model_validate(stored) for stored in json.loads(receipt)]
            return
        self._check_new(name)
        received_bytes = partial.write(offset, decoded(file.content, name=file.filename))
        if received_bytes < size_bytes:
            if offset == 0:
                self._check_beginning(partial, file.filename)
            self._growing[name] = StoredFile(
                filename=name,
                path=f"{self.destination.shown}/{name}",
                size_bytes=size_bytes,
                received_bytes=received_bytes,
                complete=False,
            )
            return
        self._growing.pop(name, None)
        path = intake.fresh_path(self.folder)
        partial.claim(path)
        sha256 = intake.digest(path)
        intake.check_digest(file.filename, file.sha256, sha256)
        before = len(self.staged)
        self._accept(StagedFile.received(name, file.filename, path, size_bytes, sha256))
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
        if self.destination.extract and is_archive_name(file.name):
            self._unpack(file)
            return
        self._store(file)

    def _store(self, file: StagedFile) -> None:
        """Convert the file if trainers need that, check it, and put it beside the others."""
        encoding = intake.normalise_caption(file.path, file.name)
        if encoding is not None:
            self.notes.add_conversion(file.name, encoding)
        planned = file.name
        file = converted(file, fix=self.destination.fix, taken=self._taken)
        self._stage(replace(file, image=intake.check_content(file.path, file.name)))
        self.notes.add_suffix(planned, file.name)

    def _unpack(self, archive: StagedFile) -> None:
        folder = intake.fresh_path(self.folder)
        folder.mkdir()
        unpacked, refused = archives.unpack(archive.path, folder, limits=self.destination.limits)
        archive.path.unlink()
        if not unpacked and not refused:
            raise InvalidInput(f"{archive.name} holds no files.")
        for entry in refused:
            self.refusals.add(f"{archive.name}/{entry.name}", entry.error)
        names = self.plan_archive(archive.name, [file.name for file in unpacked])
        for file, name in sorted(zip(unpacked, names, strict=True), key=lambda pair: is_converted(pair[1])):
            try:
                size_bytes = file.path.stat().st_size
                self._check_new(name)
                self.destination.check(PurePosixPath(file.name).name, size_bytes)
                self.destination.check_free(name)
                self._store(
                    StagedFile(
                        name=name,
                        origin=file.name,
                        archive=archive.name,
                        path=file.path,
                        received_bytes=size_bytes,
                        size_bytes=size_bytes,
                        sha256=intake.digest(file.path),
                    )
                )
            except WorkerError as error:
                self.refusals.add(f"{archive.name}/{file.name}", error)

    def _stage(self, file: StagedFile) -> None:
        target = self.ready / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        self.staged[file.name] = replace(file, path=file.path.rename(target))

    @property
    def _taken(self) -> set[str]:
        return {*self.staged, *self._expected}

    def _check_new(self, name: str) -> None:
        if name in self.staged:
            raise Conflict(f"There are two files {name!r} in this upload; the first one counts.")

    def _stored(self, file: StagedFile) -> StoredFile:
        return StoredFile(
            filename=file.name,
            path=f"{self.destination.shown}/{file.name}",
            size_bytes=file.size_bytes,
            received_bytes=file.received_bytes,
            complete=True,
            sha256=file.sha256,
            width=file.image.width if file.image else None,
            height=file.image.height if file.image else None,
        )
