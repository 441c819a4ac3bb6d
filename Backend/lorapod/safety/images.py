"""Pictures, believed only after they were opened."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lorapod.errors import InvalidInput, TooLarge

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

#: Most pixels that a picture may have: the largest usual cameras have 61 million. Checking one takes up to 16 bytes
#: for each (WebP; PNG 4, JPEG hardly any).
PIXELS_MAX = 64_000_000

#: Longest side of a picture, in pixels.
SIDE_MAX = 65_500

#: The formats that trainers read, each with the suffixes that name it.
FORMAT_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
}
SUFFIXES = frozenset(suffix for suffixes in FORMAT_SUFFIXES.values() for suffix in suffixes)

_HEAD_BYTES = 16
#: Where the end of a picture is looked for.
_TAIL_BYTES = 1 << 16
_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\1\0": "ICO",
    b"%PDF": "PDF",
    b"PK\3\4": "zip",
    b"\x1f\x8b": "gzip",
}
_BOX_FORMATS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC"}

#: What Pillow's readers raise on damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True)
class ImageInfo:
    """A picture that can be read."""

    width: int
    height: int
    #: As Pillow names it: `JPEG`, `PNG` or `WEBP`.
    format: str


def suffix_by_content(path: Path) -> str | None:
    """The suffix that the picture at `path` should have, by its first bytes; None where trainers read no such thing.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        found = _format(file.read(_HEAD_BYTES))
    return None if found is None else FORMAT_SUFFIXES[found][0]


def is_cut_off(path: Path) -> bool:
    """Whether the picture lacks its end, as its format marks it; a look at a few bytes, nothing is decoded.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, size_bytes - _TAIL_BYTES))
        tail = file.read()
    match _format(head):
        case "JPEG":
            # Cameras and phones may write more after the end of the picture.
            return b"\xff\xd9" not in tail
        case "PNG":
            return b"IEND" not in tail
        case "WEBP":
            return size_bytes < int.from_bytes(head[4:8], "little") + 8
        case _:
            return False


def measure(path: Path) -> ImageInfo:
    """Format and size by the file's head alone; the rest of the picture may be damaged.

    Raises:
        InvalidInput: it is empty, not a picture of a known format, or does not fit its suffix.
        TooLarge: it has more pixels than `PIXELS_MAX`, or a side longer than `SIDE_MAX`.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return _measured(path.name, _opened(path.name, file))


def verify(path: Path, *, name: str | None = None) -> ImageInfo:
    """Decode the whole picture once, to know that a trainer can.

    A PNG's checksums alone would cost a fiftieth, and a WebP has none; but what they cover may still be no picture, and
    that would be seen only once a GPU waits for it.

    Args:
        path: the file.
        name: what to call it, and whose suffix it must fit; the file's own name where it is left out.

    Raises:
        InvalidInput: as `measure`, or it is cut off or damaged.
        TooLarge: as `measure`, before anything is decoded.
        OSError: the file cannot be read.
    """
    shown = name or path.name
    with path.open("rb") as file:
        image = _opened(shown, file)
        picture = _measured(shown, image)
        try:
            # A JPEG is decoded at an eighth of its size: every byte is read, at a fraction of time and memory.
            image.draft(image.mode, (1, 1))
            image.load()
        except _DAMAGE as error:
            raise InvalidInput(f"{shown} is cut off or damaged: it cannot be decoded.") from error
    return picture


def thumbnail(path: Path, side: int) -> Image:
    """The picture, scaled down to fit a square of `side` pixels, turned as its camera was held, in RGB.

    Raises:
        InvalidInput, TooLarge: as `verify`.
        OSError: the file cannot be read.
    """
    from PIL import ImageOps

    with path.open("rb") as file:
        image = _opened(path.name, file)
        _measured(path.name, image)
        try:
            image.draft("RGB", (side, side))
            image.thumbnail((side, side))
            return ImageOps.exif_transpose(image).convert("RGB")
        except _DAMAGE as error:
            raise InvalidInput(f"{path.name} is cut off or damaged: it cannot be decoded.") from error


def _opened(name: str, file: IO[bytes]) -> ImageFile:
    """The picture's header, read by the one reader that fits its content; nothing is decoded.

    Pillow's own `open` would try every format it knows and judge the size by a process-wide setting.
    """
    if not os.fstat(file.fileno()).st_size:
        raise InvalidInput(f"{name} is empty: 0 bytes.")
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    found = _format(head)
    if found is None:
        raise InvalidInput(
            f"{name} is not a picture{_what_it_is(head)}.",
            hint="Send JPEG, PNG or WebP: trainers read no other.",
        )
    suffixes = FORMAT_SUFFIXES[found]
    if not name.lower().endswith(suffixes):
        raise InvalidInput(
            f"{name} holds a {found} picture.", hint=f"Name it {Path(name).stem}{suffixes[0]}."
        )
    try:
        return _reader(found)(file, name)
    except _DAMAGE as error:
        raise InvalidInput(f"{name} is cut off or damaged: its {found} header cannot be read.") from error


def _reader(found: str) -> type[ImageFile]:
    # Imported here: Pillow is needed only once a picture arrives.
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    match found:
        case "JPEG":
            return JpegImageFile
        case "PNG":
            return PngImageFile
        case _:
            return WebPImageFile


def _measured(name: str, image: ImageFile) -> ImageInfo:
    width, height = image.size
    if width * height > PIXELS_MAX or max(width, height) > SIDE_MAX:
        raise TooLarge(
            f"{name} has {width} x {height} pixels; {PIXELS_MAX // 1_000_000} million is the most.",
            hint="Scale it down; trainers do so anyway.",
        )
    return ImageInfo(width=width, height=height, format=image.format or "")


def _format(head: bytes) -> str | None:
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return None


def _what_it_is(head: bytes) -> str:
    """` but …`, where the content tells."""
    if head[4:8] == b"ftyp" and (boxed := _BOX_FORMATS.get(head[8:12])):
        return f" that trainers read but {boxed}"
    for magic, other in _OTHER_FORMATS.items():
        if head.startswith(magic):
            return f" that trainers read but {other}"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return " but text"
    return ""
