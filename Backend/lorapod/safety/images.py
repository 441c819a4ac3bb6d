"""Checks of images: by their first bytes, their header, or fully decoded."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lorapod.errors import InvalidInput, TooLarge
from lorapod.kinds import suffix_of
from lorapod.safety import image_formats
from lorapod.safety.image_formats import FORMAT_SUFFIXES, HEAD_BYTES, TEXT, format_name, trained_format
from lorapod.safety.orientation import orientation_of, upright_size
from lorapod.safety.webp import read_webp_header

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

#: Most pixels of an image: the largest usual cameras have 61 million. Checking an image takes up to 16 bytes of memory
#: for each pixel (WebP; PNG 4, JPEG hardly any).
PIXELS_MAX = 64_000_000

#: Longest side of an image, in pixels.
SIDE_MAX = 65_500

#: Size of the largest file that an image of `PIXELS_MAX` can need: 4 channels of 16 bits, not compressed.
BYTES_MAX = 8 * PIXELS_MAX

#: The suffixes of images that trainers read.
SUFFIXES = image_formats.SUFFIXES

#: The end of an image is looked for in so many last bytes.
_TAIL_BYTES = 1 << 16
#: What Pillow's readers raise on damaged files.
DAMAGE = (
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
    """Size and format of an image that can be read."""

    #: As trainers and viewers see it: after it is turned as its metadata say.
    width: int
    height: int
    #: As Pillow names it: `JPEG`, `PNG` or `WEBP`.
    format: str


def suffix_by_content(path: Path) -> str | None:
    """Return the suffix that the image at `path` should have, by its first bytes; None if trainers do not read it.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        found = trained_format(file.read(HEAD_BYTES))
    return None if found is None else FORMAT_SUFFIXES[found][0]


def is_cut_off(path: Path) -> bool:
    """Return whether the end mark of the image's format is missing; reads a few bytes and decodes nothing.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return ends_early(file)


def ends_early(file: IO[bytes]) -> bool:
    """Do as `is_cut_off` with an open file; go back to its beginning."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, size_bytes - _TAIL_BYTES))
    tail = file.read()
    file.seek(0)
    match trained_format(head):
        case "JPEG":
            # Cameras and phones may write more after the end of the image.
            return b"\xff\xd9" not in tail
        case "PNG":
            return b"IEND" not in tail
        case "WEBP":
            return size_bytes < int.from_bytes(head[4:8], "little") + 8
        case _:
            return False


def measure(path: Path) -> ImageInfo:
    """Return format and size as the header says; the rest of the image may be damaged.

    Raises:
        InvalidInput: it is empty, or not an image of a known format.
        TooLarge: it has more pixels than `PIXELS_MAX`, or a side longer than `SIDE_MAX`.
        OSError: the file cannot be read.
    """
    name = path.name
    with path.open("rb") as file:
        if not is_webp(file):
            return _measured(name, open_header(name, file), file)
        header = read_webp_header(file, name)
        _known_format(_head(name, file), name)
    refuse_too_large(name, header.width, header.height)
    width, height = upright_size(header.width, header.height, header.orientation)
    return ImageInfo(width=width, height=height, format="WEBP")


def is_webp(file: IO[bytes]) -> bool:
    """Return whether an open file is a WebP by its first bytes; go back to its beginning."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return trained_format(head) == "WEBP"


def verify(path: Path, *, name: str | None = None) -> ImageInfo:
    """Decode the whole image, as a trainer will.

    To check a PNG's checksums would cost a fiftieth of that, but data with right checksums may still not be an image, and
    that would be found only while a GPU waits; and a WebP has no checksums.

    Args:
        path: the file.
        name: its name in errors; by default the file's own name.

    Raises:
        InvalidInput: as `measure`, or it is cut off or damaged.
        TooLarge: as `measure`, before anything is decoded.
        OSError: the file cannot be read.
    """
    shown = name or path.name
    with path.open("rb") as file:
        image = open_header(shown, file)
        info = _measured(shown, image, file)
        try:
            # A JPEG is decoded at an eighth of its size: every byte is read, at a fraction of time and memory.
            image.draft(image.mode, (1, 1))
            image.load()
        except DAMAGE as error:
            raise InvalidInput(f"{shown} is cut off or damaged: it cannot be decoded.") from error
    return info


def check_beginning(path: Path, *, name: str) -> None:
    """Refuse an image of which the end has not arrived, as far as its first bytes tell.

    Raises:
        InvalidInput: it is not an image of a known format.
        TooLarge: as `measure`.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return
        file.seek(0)
        reader = _reader(_known_format(head, name))
        try:
            image = reader(file, name)
        except DAMAGE:
            return  # the header may be longer than what has arrived
        refuse_too_large(name, *image.size)


def thumbnail(path: Path, side: int) -> Image:
    """Return the image in RGB, scaled down to fit a square of `side` pixels, turned as its camera was held.

    Raises:
        InvalidInput, TooLarge: as `verify`.
        OSError: the file cannot be read.
    """
    image = reduced(path, side)
    image.thumbnail((side, side))
    return image


def reduced(path: Path, side: int) -> Image:
    """Return the image in RGB, about as large as a square of `side` pixels, turned as its camera was held.

    A JPEG is decoded at a half, a quarter or an eighth of its size: the sides may be up to twice as long as asked for.

    Raises:
        InvalidInput, TooLarge: as `verify`.
        OSError: the file cannot be read.
    """
    from PIL import ImageOps

    with path.open("rb") as file:
        image = open_header(path.name, file)
        refuse_too_large(path.name, *image.size)
        try:
            scale = side / max(image.size)
            image.draft("RGB", (int(image.width * scale), int(image.height * scale)))
            if max(image.size) >= 2 * side:
                image.thumbnail((side, side))
            return ImageOps.exif_transpose(image).convert("RGB")
        except DAMAGE as error:
            raise InvalidInput(f"{path.name} is cut off or damaged: it cannot be decoded.") from error


def open_header(name: str, file: IO[bytes]) -> ImageFile:
    """Read the image's header with the reader that fits its content; decode nothing.

    Pillow's own `open` would try every format it knows and judge the size by a process-wide setting.

    Raises:
        InvalidInput: as `measure`.
        OSError: the file cannot be read.
    """
    found = _known_format(_head(name, file), name)
    try:
        return _reader(found)(file, name)
    except DAMAGE as error:
        raise InvalidInput(f"{name} is cut off or damaged: its {found} header cannot be read.") from error


def _head(name: str, file: IO[bytes]) -> bytes:
    """Return the first bytes, and go back to the beginning."""
    if not os.fstat(file.fileno()).st_size:
        raise InvalidInput(f"{name} is empty: 0 bytes.")
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


def _known_format(head: bytes, name: str) -> str:
    """Return the format that the first bytes of an image show, if trainers read it.

    Trainers open an image by its content: a WebP called `3.jpg` is an image like any other.
    """
    found = trained_format(head)
    if found is None:
        raise InvalidInput(
            f"{name} is not an image{_what_it_is(head)}.",
            hint="Send JPEG, PNG or WebP: trainers read no other.",
        )
    if suffix_of(name) not in SUFFIXES:
        raise InvalidInput(
            f"{name} holds a {found} image.", hint=f"Name it {Path(name).stem}{FORMAT_SUFFIXES[found][0]}."
        )
    return found


def _reader(found: str) -> type[ImageFile]:
    # Imported here: Pillow is needed only once an image arrives.
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


def _measured(name: str, image: ImageFile, file: IO[bytes]) -> ImageInfo:
    refuse_too_large(name, *image.size)
    width, height = upright_size(*image.size, orientation_of(image, file))
    return ImageInfo(width=width, height=height, format=image.format or "")


def refuse_too_large(name: str, width: int, height: int) -> None:
    """Refuse an image by its size in pixels, before it is decoded.

    Raises:
        TooLarge: it has more than trainers use.
    """
    if width * height > PIXELS_MAX or max(width, height) > SIDE_MAX:
        raise TooLarge(
            f"{name} has {width} x {height} pixels; {PIXELS_MAX // 1_000_000} million are the most.",
            hint="Scale it down; trainers do so too.",
        )


def _what_it_is(head: bytes) -> str:
    """Return ` but …` if the content shows what it is."""
    other = format_name(head)
    return "" if not other else f" but {other}" if other == TEXT else f" that trainers read but {other}"
