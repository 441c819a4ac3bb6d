"""Whether a file is a video, by its first bytes."""

from __future__ import annotations

from pathlib import Path

from lorapod.errors import InvalidInput
from lorapod.safety import image_formats

#: Enough for two packets of an MPEG transport stream.
_HEAD_BYTES = 192
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_MAGIC = (b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"FLV\x01", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"OggS")
_PACKET_BYTES = 188


def check_video(path: Path, *, name: str, whole: bool = True) -> None:
    """Refuse a file that is not a video, whatever its name says: a trainer would end at it.

    Args:
        path: the file.
        name: its name in errors.
        whole: if False, only the beginning has arrived; a few bytes are not judged then.

    Raises:
        InvalidInput: it is empty, or its first bytes are of no container that trainers read.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not whole and len(head) < _HEAD_BYTES:
        return
    if not head:
        raise InvalidInput(f"{name} is empty: 0 bytes.")
    if not is_video(head):
        other = image_formats.format_name(head[:16])
        raise InvalidInput(
            f"{name} is not a video{f' but {other}' if other else ''}.",
            hint="Send MP4, MOV, WebM, MKV, AVI, WMV or FLV.",
        )


def is_video(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a container of videos."""
    if head[4:8] in _BOXES:
        return not image_formats.format_name(head[:16])
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head[:1] == b"G" and head[_PACKET_BYTES : _PACKET_BYTES + 1] == b"G":
        return not image_formats.format_name(head[:16])
    return head.startswith(_MAGIC)
