"""Names what a trainer leaves out of a dataset's folder, and says why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem, FoundFile, LeftOut, LeftOutCode, base_name
from lorapod.kinds import AUDIO_SUFFIXES, CAPTION_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from lorapod.wire.dataset import IMAGE_SUFFIXES

_UNREAD_IMAGES = frozenset(
    {".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".jxl", ".svg", ".psd"}
)
_TEXT_SUFFIXES = CAPTION_SUFFIXES | {".json"}
_TABLES = frozenset({"metadata.jsonl", "metadata.csv", "metadata.parquet"})
_TABLE_SUFFIXES = frozenset({".jsonl", ".csv", ".parquet"})
_MEDIA_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES | AUDIO_SUFFIXES


class Leftovers:
    """The files of one folder that are neither items nor captions of items."""

    def __init__(self, entry: DatasetEntry, items: Sequence[DatasetItem]) -> None:
        """Judge what remains beside `items`."""
        self._entry = entry
        self._read = {item.caption_file.name for item in items if item.caption_file is not None}
        #: The items by their stem in small letters.
        self._items = {_stem(item.name).lower(): item for item in items}

    def of(self, rest: Sequence[FoundFile]) -> Iterator[LeftOut]:
        """Yield every file of `rest` that is not read."""
        unread = {
            _stem(file.name).lower(): file.name for file in rest if _suffix(file.name) in _MEDIA_SUFFIXES
        }
        for file in rest:
            if file.name in self._read:
                continue
            if base_name(file.name).startswith("."):
                code, sentence = LeftOutCode.HIDDEN, _HIDDEN.format(name=file.name)
            else:
                code, sentence = self._judged(file.name, unread)
            yield LeftOut(name=file.name, code=code, sentence=sentence)

    def _judged(self, name: str, unread: dict[str, str]) -> tuple[LeftOutCode, str]:
        suffix, path = _suffix(name), PurePosixPath(name)
        if path.name.lower() in _TABLES or suffix in _TABLE_SUFFIXES:
            return self._table(name)
        if suffix in _TEXT_SUFFIXES or (suffix and suffix == self._entry.caption_ext.lower()):
            return self._text(name, suffix, unread)
        if path.parent.name == "_controls":
            return LeftOutCode.CONTROLS, _CONTROLS.format(name=name)
        if suffix in _UNREAD_IMAGES:
            return LeftOutCode.UNREAD_FORMAT, f"{name} is not read by trainers: send it as JPEG, PNG or WebP."
        if suffix in VIDEO_SUFFIXES and not self._entry.audio:
            return LeftOutCode.CLIP, _CLIP.format(name=name)
        return LeftOutCode.OTHER, f"{name} is not read by the trainer."

    def _table(self, name: str) -> tuple[LeftOutCode, str]:
        if self._items and all(item.has_caption for item in self._items.values()):
            return LeftOutCode.SPARE_CAPTION, f"{name} is not read: each image has a caption beside it."
        return LeftOutCode.CAPTION_TABLE, (
            f"{name} is not read: the trainer reads a caption beside each image, "
            f"named as the image but ending in {self._entry.caption_ext}."
        )

    def _text(self, name: str, suffix: str, unread: dict[str, str]) -> tuple[LeftOutCode, str]:
        stem = _stem(name)
        item = self._items.get(stem.lower())
        if item is not None:
            if (read := item.caption_file) is not None:
                return LeftOutCode.SPARE_CAPTION, (
                    f"{name} is not read: the caption of {item.name} is {read.name}."
                )
            wanted = base_name(_stem(item.name) + self._entry.caption_ext)
            fits = suffix in CAPTION_SUFFIXES and name.endswith(suffix) and stem == _stem(item.name)
            way = f" Rename it, or set caption_ext: {suffix[1:]}." if fits else " Rename it."
            return LeftOutCode.CAPTION_NOT_READ, (
                f"{name} is not read: as the caption of {item.name} the trainer reads {wanted} only."
                + ("" if item.has_caption or suffix == ".json" else way)
            )
        if (owner := unread.get(stem.lower())) is not None:
            return (
                LeftOutCode.CAPTION_WITHOUT_IMAGE,
                f"The caption {name} is not read, because {owner} is not.",
            )
        if suffix == ".json" and self._entry.caption_ext != ".json":
            return LeftOutCode.OTHER, f"{name} is not read by the trainer."
        return LeftOutCode.CAPTION_WITHOUT_IMAGE, f"The caption {name} has no image."


_HIDDEN = "{name} is not read: its name begins with a dot. Rename it."
_CLIP = "{name} is a video and is not read: set num_frames in the config's dataset to train on videos."
_CONTROLS = "{name} is not read: AI Toolkit keeps a folder named _controls for images that it makes itself."


def _suffix(name: str) -> str:
    return suffix_of(base_name(name))


def _stem(name: str) -> str:
    suffix = _suffix(name)
    return name[: -len(suffix)] if suffix else name
