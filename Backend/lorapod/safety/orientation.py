"""How a camera was held, as an image's metadata say: trainers and viewers turn the image by it."""

from __future__ import annotations

import os
import re
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

#: Values of the tag "orientation" that exchange width and height.
QUARTER_TURNS = frozenset({5, 6, 7, 8})
UPRIGHT = 1

_TAG = 0x0112
#: A PNG may have its metadata after its pixels: they are looked for in so many last bytes.
_TAIL_BYTES = 1 << 16
_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")


def orientation_of(image: ImageFile, file: IO[bytes]) -> int:
    """Return the orientation of an image whose header was read from `file`: 1 to 8, 1 is upright.

    Nothing is decoded. Metadata that cannot be read count as none, as they do for trainers.

    Raises:
        OSError: the file cannot be read.
    """
    exif = image.info.get("exif")
    if exif is None and image.format == "PNG":
        exif = _late_metadata(file)
    if isinstance(exif, bytes) and (found := exif_orientation(exif)) is not None:
        return found
    xmp = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or b""
    match = _XMP.search(xmp.encode() if isinstance(xmp, str) else xmp)
    return int(match[1]) if match else UPRIGHT


def exif_orientation(content: bytes) -> int | None:
    """Return the orientation in a block of Exif metadata; None if it has none, or is damaged."""
    content = content.removeprefix(b"Exif\0\0")
    order = {b"II": "little", b"MM": "big"}.get(content[:2])
    if order is None:
        return None

    def number(at: int, size_bytes: int) -> int:
        return int.from_bytes(content[at : at + size_bytes], "little" if order == "little" else "big")

    directory = number(4, 4)
    for entry in range(min(number(directory, 2), (len(content) - directory) // 12)):
        at = directory + 2 + 12 * entry
        if number(at, 2) == _TAG:
            value = number(at + 8, 2)
            return value if UPRIGHT <= value <= 8 else UPRIGHT
    return None


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return width and height after the image is turned."""
    return (height, width) if orientation in QUARTER_TURNS else (width, height)


def _late_metadata(file: IO[bytes]) -> bytes | None:
    """Return the Exif metadata near the end of a PNG."""
    place = file.tell()
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, size_bytes - _TAIL_BYTES))
    tail = file.read()
    file.seek(place)
    found = tail.rfind(b"eXIf")
    if found < 4:
        return None
    length = int.from_bytes(tail[found - 4 : found])
    content = tail[found + 4 : found + 4 + length]
    return content if len(content) == length else None
