"""Move checked files from a staging area into the dataset: each file, or the whole folder, in one step."""

from __future__ import annotations

import filecmp
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as changed
from pathlib import Path

from lorapod.datasets.caption_writing import CaptionWriter
from lorapod.datasets.exchange import exchange, rename_to_free
from lorapod.datasets.intake import TEXT_SUFFIXES, is_table
from lorapod.datasets.staging import StagingArea
from lorapod.errors import Conflict
from lorapod.folders import files_below
from lorapod.kinds import CACHE_FOLDERS, CAPTION_SUFFIXES, VIDEO_SUFFIXES, is_hidden, suffix_of
from lorapod.safety import images

#: Return the id of a live training that reads a dataset's folder, or None; the second argument is a process to leave out.
FindReader = Callable[[Path, str | None], str | None]

_SYNCS_AT_A_TIME = 16


def add(area: StagingArea, folder: Path, trigger_word: str | None, find_reader: FindReader) -> None:
    """Put every checked file into the dataset, in place of one with the same name.

    Raises:
        Conflict: the dataset has a folder with the name of one of the files, or a training reads what was computed
            from an image that one of them would replace; the dataset is unchanged.
        OSError: the file system failed; each file is either there whole or not at all.
    """
    if not area.staged:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in _names(area):
        area.destination.check_free(name)
    write_captions(area, trigger_word, beside=folder)
    _sync([area.ready / name for name in _names(area)])
    names = sorted(_names(area), key=_captions_first)
    caches = {name: found for name in names if (found := _caches_of(folder / name))}
    if caches and (reader := find_reader(folder, None)) is not None:
        if not all(filecmp.cmp(folder / name, area.ready / name, shallow=False) for name in caches):
            raise Conflict(
                f"Files of the dataset {folder.name!r} cannot be replaced by others: {reader} is training on them.",
                hint=f"Wait until {reader} has ended, or upload to another training_name.",
            )
        caches = {}
    area.notes.add_replaced([name for name in names if _is_another_image(folder / name, area.ready / name)])
    for found in caches.values():
        for cache in found:
            cache.unlink(missing_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (area.ready / name).replace(folder / name)


def replace(area: StagingArea, folder: Path) -> None:
    """Make the checked files the whole dataset; `write_captions` was called.

    Raises:
        OSError: the file system failed; the old dataset is where it was.
    """
    _sync([area.ready / name for name in _names(area)])
    put_in_place(area.ready, folder)


def refuse_if_read(folder: Path, find_reader: FindReader) -> None:
    """Refuse to replace a dataset that a training reads.

    Raises:
        Conflict: a live training reads it; the message names the process.
    """
    if folder.is_dir() and (reader := find_reader(folder, None)) is not None:
        raise Conflict(
            f"The dataset {folder.name!r} cannot be replaced: the process {reader} uses it.",
            hint=f"Wait until {reader} has ended or cancel it, or upload to another training_name.",
        )


def put_in_place(new: Path, target: Path) -> None:
    """Make the folder `new` be `target`, then remove the old content.

    A reader finds the old folder or the new one. On file systems that cannot exchange two names (some network ones)
    there is a moment between two renames in which it finds no folder.

    Raises:
        Conflict: `target` is a file.
        OSError: the file system failed; the old folder is where it was.
    """
    while not rename_to_free(new, target):
        if exchange(new, target):
            shutil.rmtree(new, ignore_errors=True)
            return
        old = new.with_name(f"{new.name}.{secrets.token_hex(4)}.old")
        try:
            target.rename(old)
        except FileNotFoundError:
            continue  # another worker is replacing it too
        try:
            free = rename_to_free(new, target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
        if free:
            return


def write_captions(area: StagingArea, trigger_word: str | None, *, beside: Path | None) -> None:
    """Write the captions of an intake as trainers read them, with the trigger word; see `CaptionWriter`.

    Args:
        area: what is checked; its captions' sizes and digests are then those of the new texts.
        trigger_word: put in front of captions without it, and written for images without one; None: neither.
        beside: the dataset that the files are added to; None: they become the whole.

    Raises:
        OSError: the disk is full or not writable.
    """
    CaptionWriter(area, beside=beside, trigger_word=trigger_word).write()
    for name, file in area.staged.items():
        if suffix_of(name) in TEXT_SUFFIXES or is_table(name):
            data = file.path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            area.staged[name] = changed(file, size_bytes=len(data), sha256=digest)


def holds(folder: Path, area: StagingArea) -> bool:
    """Return whether the dataset has the names of what is staged, and no other but captions that the worker wrote."""
    present = {
        entry.path.removeprefix(f"{folder}/")
        for entry in files_below(folder, skip=is_hidden)
        if not is_hidden(entry.name)
    }
    extra = present - area.staged.keys()
    return not area.staged.keys() - present and all(suffix_of(name) in CAPTION_SUFFIXES for name in extra)


def _sync(files: Sequence[Path]) -> None:
    """Write the files to the disk before they get their names: after a power cut each is there whole or not at all.

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


def _names(area: StagingArea) -> Sequence[str]:
    """Return the names of all files that are ready, also of captions that the upload did not contain."""
    return [path.relative_to(area.ready).as_posix() for path in area.ready.rglob("*") if path.is_file()]


def _captions_first(name: str) -> tuple[bool, str]:
    """Return a sort key by which an image appears after its caption, so that no trainer finds it without."""
    return suffix_of(name) not in TEXT_SUFFIXES, name


def _caches_of(image: Path) -> Sequence[Path]:
    """Return the files that a trainer computed from a file of the dataset.

    AI Toolkit names its caches after the image's name and size in pixels, not after its content: they have to go when
    the image is replaced.
    """
    if not image.exists():
        return []
    folder, name = image.parent, image.name
    stem = name[: -len(suffix)] if (suffix := suffix_of(name)) else name
    return [
        path
        for cache in CACHE_FOLDERS
        if (folder / cache).is_dir()
        for path in (folder / cache).iterdir()
        if path.name.startswith(f"{stem}_")
    ]


def _is_another_image(present: Path, sent: Path) -> bool:
    if (
        suffix_of(present.name) not in images.SUFFIXES | VIDEO_SUFFIXES
        or present.is_symlink()
        or not present.is_file()
    ):
        return False
    return not filecmp.cmp(present, sent, shallow=False)
