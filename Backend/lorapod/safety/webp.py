"""The header of a WebP file: Pillow reads the whole file for it, which takes seconds for a large dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from lorapod.errors import InvalidInput
from lorapod.safety.orientation import UPRIGHT, exif_orientation

#: Chunks that are looked at: an animation has one for each frame, after all that is needed here.
_CHUNKS_MAX = 16
#: Largest block of metadata that is read, in bytes.
_METADATA_MAX_BYTES = 1 << 20

_ANIMATED, _EXIF, _ALPHA, _PROFILE = 0x02, 0x08, 0x10, 0x20


@dataclass(frozen=True, kw_only=True)
class WebPHeader:
    """What a WebP file says of itself."""

    width: int
    height: int
    #: Whether pixels may be transparent. Encoders leave it out for opaque pixels.
    alpha: bool = False
    animated: bool = False
    #: The embedded colour profile (ICC).
    profile: bytes | None = None
    #: How the camera was held, as `orientation_of` returns it.
    orientation: int = UPRIGHT


def read_webp_header(file: IO[bytes], name: str) -> WebPHeader:
    """Read the header; the image itself may be damaged.

    Raises:
        InvalidInput: it is cut off or damaged.
        OSError: the file cannot be read.
    """
    chunks = _chunks(file)
    kind, data = next(chunks, (b"", b""))
    header: WebPHeader | None = None
    if kind == b"VP8 " and len(data) >= 10 and data[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        header = WebPHeader(width=width, height=height)
    elif kind == b"VP8L" and len(data) >= 5 and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        header = WebPHeader(
            width=(bits & 0x3FFF) + 1, height=(bits >> 14 & 0x3FFF) + 1, alpha=bool(bits >> 28 & 1)
        )
    elif kind == b"VP8X" and len(data) >= 10:
        flags = data[0]
        kept = dict(chunks) if flags & (_PROFILE | _EXIF) else {}
        header = WebPHeader(
            width=int.from_bytes(data[4:7], "little") + 1,
            height=int.from_bytes(data[7:10], "little") + 1,
            alpha=bool(flags & _ALPHA),
            animated=bool(flags & _ANIMATED),
            profile=kept.get(b"ICCP"),
            orientation=exif_orientation(kept.get(b"EXIF", b"")) or UPRIGHT,
        )
    if header is None or not header.width or not header.height:
        raise InvalidInput(f"{name} is cut off or damaged: its WEBP header cannot be read.")
    return header


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the first chunks; of an image's data only the beginning."""
    end = file.seek(0, os.SEEK_END)
    position = 12
    for _ in range(_CHUNKS_MAX):
        file.seek(position)
        head = file.read(8)
        size_bytes = int.from_bytes(head[4:], "little")
        if len(head) < 8 or position + 8 > end:
            return
        metadata = head[:4] in {b"ICCP", b"EXIF"} and size_bytes <= _METADATA_MAX_BYTES
        yield head[:4], file.read(size_bytes if metadata else min(size_bytes, 16))
        position += 8 + size_bytes + size_bytes % 2
