"""What a trainer finds in a dataset's folder: items with their captions and second pictures, and files that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lorapod.dataset_reader.entry import PartnerFolder


class ItemKind(StrEnum):
    """What an item is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


class LeftOutCode(StrEnum):
    """Why a file of a dataset is not learnt."""

    #: Its name begins with a dot.
    HIDDEN = "hidden"
    #: It is in a folder named `_controls`.
    CONTROLS = "controls"
    #: A clip, and the config names no `num_frames`.
    CLIP = "clip_without_num_frames"
    #: An image of a format, or a file of a kind, that the trainer does not look for.
    UNREAD_FORMAT = "unread_format"
    #: A caption with another suffix, or other letters, than the trainer looks for.
    CAPTION_NOT_READ = "caption_not_read"
    #: A caption in another form than the trainer reads, beside one that it reads.
    SPARE_CAPTION = "spare_caption"
    CAPTION_WITHOUT_IMAGE = "caption_without_image"
    #: A table of captions (`metadata.jsonl`): trainers read one file for each image.
    CAPTION_TABLE = "caption_table"
    #: A link that leads out of the workspace: the trainer would follow it.
    LINK_OUTSIDE = "link_outside"
    #: A JSON list names it, and it is not there.
    LISTED_MISSING = "listed_missing"
    #: Neither image, clip nor caption.
    OTHER = "other"


def base_name(name: str) -> str:
    """Return the last part of a name in a dataset."""
    return name.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """One file below a dataset's folder."""

    #: Relative to the folder, with `/`.
    name: str
    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Partner:
    """The second picture of an item in one of the folders that the entry names; `file` is None if it is missing."""

    folder: PartnerFolder
    file: FoundFile | None

    @property
    def name(self) -> str:
        """Its name with that of its folder; empty if it is missing."""
        return f"{self.folder.path.name}/{self.file.name}" if self.file is not None else ""


@dataclass(frozen=True, kw_only=True)
class DatasetItem:
    """One image, clip or sound that the trainer trains on."""

    file: FoundFile
    kind: ItemKind
    #: The file that the trainer reads as its caption.
    caption_file: FoundFile | None = None
    #: The caption, if it is not in its own file but in the dataset's JSON file.
    listed_caption: str | None = None
    default_caption: str | None = None
    partners: Sequence[Partner] = ()

    @property
    def name(self) -> str:
        """Its name, relative to the folder."""
        return self.file.name

    @property
    def path(self) -> Path:
        """Its absolute path."""
        return self.file.path

    @property
    def has_caption(self) -> bool:
        """Whether the trainer reads a caption for it; the default caption does not count."""
        return self.caption_file is not None or self.listed_caption is not None

    @property
    def caption_name(self) -> str | None:
        """Name of the file with its caption."""
        return self.caption_file.name if self.caption_file is not None else None

    def read_caption(self, read: Callable[[Path], bytes] = Path.read_bytes) -> str:
        """Return the text that the trainer reads for it, before the trigger word is added; empty if there is none.

        `read` returns the content of a file.

        Raises:
            OSError: the file cannot be read.
            UnicodeDecodeError: it is not UTF-8; the trainer stops with this error too.
        """
        if self.listed_caption is not None:
            return self.listed_caption
        if self.caption_file is None:
            return self.default_caption or ""
        text = read(self.caption_file.path).decode().replace("\r\n", "\n").replace("\r", "\n")
        if not text.strip() and self.default_caption is not None:
            return self.default_caption
        return text


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A file that the trainer does not learn from, and why, in a sentence."""

    name: str
    code: LeftOutCode
    sentence: str
