"""The kind of a file, judged by its name."""

from __future__ import annotations

from enum import StrEnum

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
    FileKind.IMAGE: {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"},
    FileKind.CAPTION: CAPTION_SUFFIXES,
    FileKind.MODEL: {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf"},
    FileKind.LOG: {".log"},
    FileKind.CONFIG: {".yaml", ".yml", ".json", ".jsonl", ".toml"},
    FileKind.ARCHIVE: {".zip", ".tar", ".gz", ".tgz", ".7z"},
    FileKind.VIDEO: VIDEO_SUFFIXES,
}
_KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}

#: Folders of a trainer's caches: it computes them from a dataset, and can compute them again.
CACHE_FOLDERS = frozenset({"_latent_cache", "_t_e_cache", "_clip_vision_cache"})


def kind_of(name: str) -> FileKind:
    """Return the kind of a file of that name."""
    return _KIND_OF_SUFFIX.get(suffix_of(name), FileKind.OTHER)


def suffix_of(name: str) -> str:
    """Return the last suffix in small letters, with its dot; an empty text if the name has no suffix."""
    place = name.rfind(".")
    return name[place:].lower() if place > 0 else ""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of that name is internal to the worker or a trainer."""
    return name.startswith(".") or name in CACHE_FOLDERS
