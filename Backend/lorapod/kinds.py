"""The kind of a file, judged by its name."""

from __future__ import annotations

from enum import StrEnum
from mimetypes import MimeTypes

from lorapod.wire import dataset


class FileKind(StrEnum):
    """The kinds that callers can filter by."""

    IMAGE = "image"
    CAPTION = "caption"
    MODEL = "model"
    LOG = "log"
    CONFIG = "config"
    ARCHIVE = "archive"
    VIDEO = "video"
    OTHER = "other"


CAPTION_SUFFIXES = dataset.CAPTION_SUFFIXES
VIDEO_SUFFIXES = dataset.VIDEO_SUFFIXES
AUDIO_SUFFIXES = frozenset({".mp3", ".wav", ".flac", ".aac", ".ogg", ".m4a"})

_KINDS = {
    FileKind.IMAGE: {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".apng"},
    FileKind.CAPTION: CAPTION_SUFFIXES,
    FileKind.MODEL: {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf"},
    FileKind.LOG: {".log"},
    FileKind.CONFIG: {".yaml", ".yml", ".json", ".jsonl", ".toml"},
    FileKind.ARCHIVE: {".zip", ".tar", ".gz", ".tgz", ".7z"},
    FileKind.VIDEO: VIDEO_SUFFIXES,
}
_KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}

#: Not the machine's own list: a slim image has none.
_TYPES = MimeTypes()
for _suffix, _type in {
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".apng": "image/apng",
    ".mkv": "video/x-matroska",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".m4a": "audio/mp4",
    ".glb": "model/gltf-binary",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".jsonl": "application/jsonl",
}.items():
    _TYPES.add_type(_type, _suffix)

#: Folders of a trainer's caches: it computes them from a dataset, and can compute them again.
CACHE_FOLDERS = dataset.CACHE_FOLDERS


def kind_of(name: str) -> FileKind:
    """Return the kind of a file of that name."""
    return _KIND_OF_SUFFIX.get(suffix_of(name), FileKind.OTHER)


def content_type_of(name: str) -> str:
    """Return the media type of a file of that name."""
    return _TYPES.guess_type(name)[0] or "application/octet-stream"


def suffix_of(name: str) -> str:
    """Return the last suffix in small letters, with its dot; an empty text if the name has no suffix."""
    place = name.rfind(".")
    return name[place:].lower() if place > 0 else ""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of that name is internal to the worker or a trainer."""
    return name.startswith(".") or name in CACHE_FOLDERS
