"""From a staging folder into the dataset: each file, or the whole folder, in one step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as changed
from pathlib import Path

from lorapod.datasets.captions import with_trigger
from lorapod.datasets.delivery import Delivery
from lorapod.datasets.exchange import put_in_place
from lorapod.datasets.intake import TEXT_SUFFIXES
from lorapod.errors import Conflict
from lorapod.kinds import CACHE_FOLDERS, CAPTION_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from lorapod.safety import images

_SYNCS_AT_A_TIME = 16


def add(delivery: Delivery, folder: Path, trigger_word: str | None) -> None:
    """Put every checked file into the dataset, in the place of one of the same name.

    Raises:
        Conflict: a folder has the name of one of the files; none was put in place.
        OSError: the file system failed; each file is either there whole or not at all.
    """
    if not delivery.staged:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _prepare(delivery, trigger_word, beside=folder)
    for path in delivery.ready.iterdir():
        if (folder / path.name).is_dir():
            raise Conflict(f"There is a folder {path.name} in the dataset.")
    for path in sorted(delivery.ready.iterdir(), key=_captions_first):
        _forget_caches(folder, path.name)
        path.replace(folder / path.name)


def replace(delivery: Delivery, folder: Path, trigger_word: str | None) -> None:
    """Make the checked files the whole dataset.

    Raises:
        OSError: the file system failed; the old dataset is where it was.
    """
    _prepare(delivery, trigger_word, beside=None)
    put_in_place(delivery.ready, folder)


def _prepare(delivery: Delivery, trigger_word: str | None, *, beside: Path | None) -> None:
    if trigger_word is not None:
        _write_trigger(delivery, trigger_word, beside)
    for name, file in delivery.staged.items():
        if suffix_of(name) in TEXT_SUFFIXES:
            data = file.path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            delivery.staged[name] = changed(file, size_bytes=len(data), sha256=digest)
    _sync(list(delivery.ready.iterdir()))


def _sync(files: Sequence[Path]) -> None:
    """Have the files on disk before they get their names: a power cut leaves each whole or not there.

    Several at a time cost little more than one.
    """
    if len(files) == 1:
        _sync_file(files[0])
        return
    with ThreadPoolExecutor(_SYNCS_AT_A_TIME) as pool:
        list(pool.map(_sync_file, files))


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _write_trigger(delivery: Delivery, trigger_word: str, beside: Path | None) -> None:
    for name, file in delivery.staged.items():
        suffix = suffix_of(name)
        if suffix in CAPTION_SUFFIXES:
            text = file.path.read_text(encoding="utf-8")
            if (told := with_trigger(text, trigger_word)) != text:
                file.path.write_text(told, encoding="utf-8")
        elif suffix in images.SUFFIXES or suffix in VIDEO_SUFFIXES:
            stem = name[: -len(suffix)]
            if not _has_caption(stem, (delivery.ready, *([beside] if beside else []))):
                (delivery.ready / f"{stem}.txt").write_text(trigger_word, encoding="utf-8")


def _has_caption(stem: str, folders: Iterable[Path]) -> bool:
    suffixes = (*CAPTION_SUFFIXES, ".json")
    return any((folder / f"{stem}{suffix}").exists() for folder in folders for suffix in suffixes)


def _captions_first(path: Path) -> tuple[bool, str]:
    """A picture becomes visible after its caption, so that no trainer starts on one without."""
    return suffix_of(path.name) not in TEXT_SUFFIXES, path.name


def _forget_caches(folder: Path, name: str) -> None:
    """Remove what a trainer computed from the picture that is replaced.

    AI Toolkit names its caches after the picture's name and size in pixels, not after its content.
    """
    if not (folder / name).exists():
        return
    stem = name[: -len(suffix)] if (suffix := suffix_of(name)) else name
    for cache in CACHE_FOLDERS:
        if (folder / cache).is_dir():
            for path in (folder / cache).iterdir():
                if path.name.startswith(f"{stem}_"):
                    path.unlink(missing_ok=True)
