"""What a file is, by its name."""

from __future__ import annotations

from enum import StrEnum

from lorapod.wire import dataset


class FileKind(StrEnum):
    """The kinds that callers can ask for."""

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

#: Folders in which a trainer keeps what it computed from a dataset, and may compute again.
CACHE_FOLDERS = frozenset({"_latent_cache", "_t_e_cache", "_clip_vision_cache"})


def kind_of(name: str) -> FileKind:
    """The kind of a file of that name."""
    return _KIND_OF_SUFFIX.get(suffix_of(name), FileKind.OTHER)


def suffix_of(name: str) -> str:
    """The last suffix in small letters, with its dot; empty where there is none."""
    place = name.rfind(".")
    return name[place:].lower() if place > 0 else ""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is the worker's or the trainer's own business."""
    return name.startswith(".") or name in CACHE_FOLDERS
