"""What goes in comes out: every file of a source is an item, a caption, or named as left out; nothing is lost silently."""

from __future__ import annotations

import random
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.unit.datasets.intake_inputs import Damage, InputFile, damaged, make_files, pixels, tarred, zipped
from tests.unit.datasets.library_bench import LibraryBench, incoming
from tests.unit.datasets.test_fetching import Place

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.errors import WorkerError
from lorapod.wire.dataset import DatasetRef, RejectedFile, S3Prefix


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the files of a source."""

    #: The dataset's files.
    visible: Mapping[str, bytes]
    rejected: Sequence[str]
    renamed: Mapping[str, str]
    #: The whole of what was answered, as text: names in it were named.
    said: str
    #: Whether the source says which names it has; else files are known by their content alone.
    names_known: bool = True

    def check(self, files: Sequence[InputFile]) -> None:
        """Hold the invariant: each file in is one file out, or is named as refused."""
        targets: dict[str, InputFile] = {}
        unnamed = 0
        for file in sorted(files, key=lambda file: file.damage is not Damage.NONE):
            if file.is_litter:
                continue
            name = self._target(file, targets)
            if name is not None:
                targets[name] = file
            elif self.names_known:
                assert self._is_named(file), f"{file.path!r} is lost silently: {self}"
            else:
                unnamed += 1
        # What is damaged has no content to know it by.
        others = [name for name in self.visible if name not in targets and not name.startswith(".")]
        assert unnamed <= len(self.rejected) + len(others), f"{unnamed} files are lost silently: {self}"

    def _target(self, file: InputFile, taken: Mapping[str, InputFile]) -> str | None:
        """Return the name of the file in the dataset: whole ones are known by their content, others by name."""
        suffix = file.suffix
        if file.damage is not Damage.NONE:
            name = self._name(file.path)
            return name if name in self.visible and name not in taken else None
        found = [
            name
            for name, content in self.visible.items()
            if name not in taken
            and (content == file.content or file.mark in content or file.mark == self._pixels(name))
        ]
        # A caption may also have been written in another form beside it.
        return min(found, key=lambda name: not name.lower().endswith(suffix), default=None)

    def _pixels(self, name: str) -> bytes:
        return pixels(self.visible[name]) if name.endswith((".png", ".jpg", ".jpeg", ".webp")) else b""

    def _name(self, path: str) -> str:
        plain = unicodedata.normalize("NFC", path)
        for source, name in self.renamed.items():
            if unicodedata.normalize("NFC", source.replace("\\", "/")) in {plain, f"all.zip/{plain}"}:
                return name
        return plain if plain in self.visible else PurePosixPath(plain).name

    def _is_named(self, file: InputFile) -> bool:
        name = PurePosixPath(file.path).name
        names = {name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))}
        return any(name in text for name in names for text in (*self.rejected, self.said))


def check_read(folder: Path) -> None:
    """Hold that the reader of datasets sorts every file: item, caption or named leftover."""
    reading = DatasetReader().read(DatasetEntry(folder=folder))
    sorted_out = [
        *(item.name for item in reading.items),
        *(file.name for file in reading.caption_files),
        *(file.name for file in reading.left_out),
    ]
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    # Hidden folders are the worker's and the trainer's own.
    there = {path.as_posix() for path in paths if not path.parts[0].startswith(".") or len(path.parts) == 1}
    litter = {name for name in there if InputFile(path=name, content=b"", damage=Damage.NONE).is_litter}
    assert len(sorted_out) == len(set(sorted_out)), sorted_out
    assert set(sorted_out) == there - litter, (sorted_out, there - litter)


class Uploads:
    """A library that takes generated uploads: single files, zips and tars."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._bench = LibraryBench(root)

    def attempt(self, dice: random.Random) -> str:
        """Upload one generated dataset, and hold that nothing of it is lost; return what happened, for the count."""
        shutil.rmtree(self._bench.folder, ignore_errors=True)
        form = dice.choice(("files", "zip", "zip", "zip", "tar"))
        files = make_files(dice, folders=form != "files")
        harmed, names_known = False, True
        if form == "files":
            sent = [incoming(file.path, file.content) for file in files]
        else:
            archive, names_known = zipped(files, dice) if form == "zip" else (tarred(files, dice), True)
            harmed = dice.random() < 0.15
            archive = damaged(archive, dice) if harmed else archive
            sent = [incoming("all.zip" if form == "zip" else "all.tar", archive)]
        try:
            receipt = self._bench.receive(*sent, fix=dice.random() < 0.3)
        except WorkerError as error:
            assert self._bench.visible() == {}, self._bench.visible()
            if not harmed:
                said = f"{error.message} {error.details}"
                rejected = [f"{detail}" for detail in error.details]
                Outcome(visible={}, rejected=rejected, renamed={}, said=said, names_known=names_known).check(
                    files
                )
            return "refused"
        finally:
            left = self._bench.hidden()
            assert left == [], left
        if not harmed:
            Outcome(
                visible=self._bench.visible(),
                rejected=_names(receipt.rejected),
                renamed=receipt.renamed,
                said=" ".join(receipt.warnings),
                names_known=names_known,
            ).check(files)
        check_read(self._bench.folder)
        return "taken"


class Buckets:
    """A fetcher that takes generated buckets."""

    def __init__(self, root: Path) -> None:
        self._place = Place(root)

    def attempt(self, dice: random.Random) -> str:
        """Fetch one generated bucket; return what happened."""
        files = make_files(dice)
        packed = dice.random() < 0.3
        self._place.bucket.objects = (
            {"all.zip": zipped(files, dice)[0]} if packed else {file.path: file.content for file in files}
        )
        ref = DatasetRef(s3=S3Prefix(prefix=f"{dice.random()}"), fix=dice.random() < 0.3)
        folder = self._place.fetcher.folder_of(ref)
        try:
            summary = self._place.fetch(ref)
        except WorkerError as error:
            assert not folder.exists()
            # A dataset with a damaged file is refused as a whole: the error names those.
            if not error.details and "no images" not in error.message:
                raise
            return "refused"
        finally:
            left = self._place.left()
            assert left == [], left
        said = " ".join(summary.warnings)
        visible = self._place.visible(ref)
        check_read(folder)
        # Names that changed are not answered here: captions are counted, images are known by their content.
        lost = [
            file
            for file in files
            if file.is_good_image and file.content not in visible.values() and not file.is_litter
        ]
        assert all(PurePosixPath(file.path).name in said for file in lost), (lost, said)
        shutil.rmtree(folder)
        return "taken"


def _names(rejected: Sequence[RejectedFile]) -> Sequence[str]:
    return [f"{file.filename} {file.error}" for file in rejected]
