"""Write the captions of an intake as trainers read them: `<stem>.txt` beside each image, whatever form they came in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from lorapod.datasets.caption_tables import CaptionTable, read_json_caption, read_table
from lorapod.datasets.captions import checked_caption, read_caption, with_trigger
from lorapod.datasets.intake import StagedFile, is_table
from lorapod.datasets.layout import CONTROLS
from lorapod.datasets.made_captions import MadeCaptions
from lorapod.datasets.sentences import some
from lorapod.datasets.staging import StagingArea
from lorapod.errors import WorkerError
from lorapod.folders import files_below
from lorapod.kinds import CAPTION_SUFFIXES, VIDEO_SUFFIXES, is_hidden, suffix_of
from lorapod.safety import images

_READ = ".txt"


class CaptionWriter:
    """Writes the captions that one intake did not contain as text files."""

    def __init__(self, area: StagingArea, *, beside: Path | None, trigger_word: str | None) -> None:
        """Write beside what is staged in `area`; `beside` is the dataset that it is added to."""
        self._area = area
        self._beside = beside
        self._trigger_word = trigger_word
        self._made = MadeCaptions(beside)
        self._written: dict[str, Path] = {}

    def write(self) -> None:
        """Write them, and put the trigger word in front of those that lack it.

        Raises:
            OSError: the disk is full or not writable.
        """
        for stem, text in self._texts().items():
            if not self._is_written(stem):
                self._write(stem, text)
        if self._trigger_word is not None:
            self._write_trigger(self._trigger_word)
        self._made.write(self._area.ready)

    def _texts(self) -> Mapping[str, str]:
        """Return the text for each stem; the first form that has one counts."""
        texts: dict[str, str] = {}
        for found in (self._beside_images(), self._in_tables(), self._under_other_letters()):
            for stem, text in found:
                if stem not in texts and self._may_be_caption(stem, text):
                    texts[stem] = text
        return texts

    def _may_be_caption(self, stem: str, text: str) -> bool:
        """Return whether a text can be a caption; if not, say why."""
        try:
            checked_caption(text, name=f"The text for {stem}")
        except WorkerError as error:
            self._area.notes.say(error.message)
            return False
        return True

    def _beside_images(self) -> Iterator[tuple[str, str]]:
        """Yield the captions in `.caption` and `.json` files of images that are staged, or whose caption is."""
        stems = [_stem(name) for name in self._area.staged]
        for stem in dict.fromkeys(stems):
            if (caption := self._find(f"{stem}.caption")) is not None:
                yield stem, read_caption(caption, name=caption.name)
        for stem in dict.fromkeys(stems):
            found = self._find(f"{stem}.json")
            if (
                found is not None
                and stem in self._image_stems
                and (text := read_json_caption(found)) is not None
            ):
                yield stem, text

    def _in_tables(self) -> Iterator[tuple[str, str]]:
        tables = [file for name, file in self._area.staged.items() if is_table(name)]
        for file in tables:
            table = read_table(file.path)
            if table.damaged_lines:
                numbers = some([str(number) for number in table.damaged_lines])
                one = len(table.damaged_lines) == 1
                self._area.notes.say(f"{file.name}: line{'' if one else 's'} {numbers} cannot be read.")
            if not table.captions:
                self._area.notes.say(
                    f"{file.name}: no captions are read from it, since it has no columns `file_name` and `text`."
                )
                continue
            yield from self._in_table(file, table)
        for present, path in self._present.items():
            if is_table(present) and "/" not in present and present not in self._area.staged:
                sent = {name: name for name in self._area.staged if _is_image(name)}
                for name, text in read_table(path).texts_of(sent, bare=False).items():
                    yield _stem(name), text

    def _in_table(self, file: StagedFile, table: CaptionTable) -> Iterator[tuple[str, str]]:
        """Yield the captions of a table by the names that its images have now."""
        sent = {
            str(PurePosixPath(image.origin.replace("\\", "/"))): name
            for name, image in self._area.staged.items()
            if image.archive == file.archive and _is_image(name)
        }
        folder = str(PurePosixPath(file.origin.replace("\\", "/")).parent)
        for name, text in table.texts_of(sent, folder=folder).items():
            yield _stem(name), text
        present = {name: name for name in self._present if _is_image(name)}
        for name, text in table.texts_of(present, bare=False).items():
            yield _stem(name), text

    def _under_other_letters(self) -> Iterator[tuple[str, str]]:
        """Yield captions of earlier uploads that are named after a staged image but for the case of letters."""
        for name in self._area.staged:
            if not _is_image(name) or "/" in name:
                continue
            stem = _stem(name)
            for wanted in (stem.lower(), name.lower()):
                path = self._loose.get(wanted)
                if path is not None and path.stem != stem:
                    yield stem, read_caption(path, name=path.name)

    @cached_property
    def _loose(self) -> Mapping[str, Path]:
        """The captions of the dataset without an image, by their stems in small letters."""
        return {
            _stem(name).lower(): self._present[name]
            for name in self._present
            if suffix_of(name) in CAPTION_SUFFIXES and _stem(name) not in self._image_stems
        }

    def _is_written(self, stem: str) -> bool:
        """Return whether a person wrote the text that the trainer reads."""
        name = stem + _READ
        if name in self._area.staged:
            return True
        present = self._present.get(name)
        if present is None or self._made.includes(name):
            return False
        return self._trigger_word is None or present.read_bytes() != self._trigger_word.encode()

    def _write(self, stem: str, text: str) -> None:
        if self._trigger_word is not None:
            text = with_trigger(text, self._trigger_word)
        self._made.add(stem + _READ, text)
        path = self._written[stem + _READ] = self._area.ready / (stem + _READ)
        path.write_text(text, encoding="utf-8")

    def _write_trigger(self, trigger_word: str) -> None:
        for name, file in self._area.staged.items():
            if PurePosixPath(name).parent.name == CONTROLS:
                continue
            if suffix_of(name) in CAPTION_SUFFIXES:
                text = file.path.read_text(encoding="utf-8")
                if (changed := with_trigger(text, trigger_word)) != text:
                    file.path.write_text(changed, encoding="utf-8")
            elif _is_image(name) and self._find(_stem(name) + _READ) is None:
                self._write(_stem(name), trigger_word)

    def _find(self, name: str) -> Path | None:
        """Return a file that was sent, now or earlier, or that was written just now."""
        staged = self._area.staged.get(name)
        return staged.path if staged is not None else self._written.get(name) or self._present.get(name)

    @cached_property
    def _image_stems(self) -> set[str]:
        """The stems of all images, staged or in the dataset."""
        return {_stem(name) for name in (*self._area.staged, *self._present) if _is_image(name)}

    @cached_property
    def _present(self) -> Mapping[str, Path]:
        """The files of the dataset; a network volume lists them faster than it looks each one up."""
        if self._beside is None:
            return {}
        return {
            entry.path.removeprefix(f"{self._beside}/"): Path(entry.path)
            for entry in files_below(self._beside, skip=is_hidden)
        }


def _is_image(name: str) -> bool:
    return suffix_of(name) in images.SUFFIXES or suffix_of(name) in VIDEO_SUFFIXES


def _stem(name: str) -> str:
    return name[: len(name) - len(suffix_of(name))]
