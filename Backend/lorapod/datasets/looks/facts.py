"""What the content of one file says. It depends on the file alone, so it can be kept between looks."""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path

from lorapod.datasets.captions import read_caption
from lorapod.datasets.looks.image_look import ImageLook, look_at_opened
from lorapod.errors import WorkerError
from lorapod.safety import images


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What every look says."""

    #: Why no trainer can read the file, in a sentence.
    error: str = ""
    #: Whether another look at the same file would find the same: it was read.
    lasting: bool = True


@dataclass(frozen=True, kw_only=True)
class ImageFacts(FileFacts):
    """One image: how it looks to a trainer; no look if none can read it."""

    look: ImageLook | None


@dataclass(frozen=True, kw_only=True)
class CaptionFacts(FileFacts):
    """One caption."""

    empty: bool = False
    #: Whether it begins with a byte order mark, which the trainer reads as a part of it.
    marked: bool = False


def facts_of_image(path: Path, name: str, *, decode_alpha: bool) -> ImageFacts:
    """Read an image's header and its end; `name` is its name in sentences.

    Raises:
        OSError: the file cannot be read now.
    """
    try:
        with path.open("rb") as file:
            if images.ends_early(file):
                return ImageFacts(look=None, error=f"{name} is cut off: its end is missing.")
            return ImageFacts(look=look_at_opened(file, name, decode_alpha=decode_alpha))
    except WorkerError as error:
        return ImageFacts(look=None, error=error.message)


def facts_of_caption(path: Path, name: str) -> CaptionFacts:
    """Read a caption.

    Raises:
        OSError: the file cannot be read now.
    """
    try:
        text = read_caption(path, name=name)
    except WorkerError as error:
        return CaptionFacts(error=error.message)
    marked = path.stat().st_size == len(text.encode()) + len(BOM_UTF8)
    return CaptionFacts(empty=not text.strip(), marked=marked)
