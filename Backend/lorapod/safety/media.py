"""Sounds and videos by their first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_HEAD_BYTES = 64


class MediaKind(StrEnum):
    """What a file plays."""

    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, kw_only=True)
class Media:
    """What the first bytes of a file show."""

    kind: MediaKind
    #: The usual suffix of such files.
    suffix: str


_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B "})


def media_by_content(path: Path) -> Media | None:
    """Return what the file at `path` plays, by its first bytes; None if that is not known.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        found = _suffix(file.read(_HEAD_BYTES))
    if found is None:
        return None
    kind = MediaKind.VIDEO if found in _VIDEOS else MediaKind.AUDIO
    return Media(kind=kind, suffix=found)


_VIDEOS = frozenset({".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif"})


def _suffix(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return ".m4a" if brand in _AUDIO_BRANDS else ".mov" if brand == b"qt  " else ".mp4"
    if head[:4] == b"RIFF":
        return {b"WAVE": ".wav", b"AVI ": ".avi"}.get(head[8:12])
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return ".webm" if b"webm" in head else ".mkv"
    for magic, suffix in ((b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"GIF8", ".gif")):
        if head.startswith(magic):
            return suffix
    if head[:1] == b"\xff" and len(head) > 1:
        # The first frame of an MP3 (layer III), or of AAC.
        return ".mp3" if head[1] & 0xE6 == 0xE2 else ".aac" if head[1] & 0xF6 == 0xF0 else None
    return None
