"""From a staging folder into the dataset: each file, or the whole folder, in one step."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as changed
from pathlib import Path

from lorapod.datasets.captions import with_trigger
from lorapod.datasets.intake import TEXT_SUFFIXES
from lorapod.datasets.staging import StagingArea
from lorapod.errors import Conflict
from lorapod.kinds import CACHE_FOLDERS, CAPTION_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from lorapod.safety import images

_SYNCS_AT_A_TIME = 16

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
#: What the kernel says where it, or the file system, cannot exchange two names.
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}


def add(area: StagingArea, folder: Path, trigger_word: str | None) -> None:
    """Put every checked file into the dataset, in the place of one of the same name.

    Raises:
        Conflict: a folder has the name of one of the files; none was put in place.
        OSError: the file system failed; each file is either there whole or not at all.
    """
    if not area.staged:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _prepare(area, trigger_word, beside=folder)
    for path in area.ready.iterdir():
        if (folder / path.name).is_dir():
            raise Conflict(f"There is a folder {path.name} in the dataset.")
    for path in sorted(area.ready.iterdir(), key=_captions_first):
        _forget_caches(folder, path.name)
        path.replace(folder / path.name)


def replace(area: StagingArea, folder: Path, trigger_word: str | None) -> None:
    """Make the checked files the whole dataset.

    Raises:
        OSError: the file system failed; the old dataset is where it was.
    """
    _prepare(area, trigger_word, beside=None)
    put_in_place(area.ready, folder)


def _prepare(area: StagingArea, trigger_word: str | None, *, beside: Path | None) -> None:
    if trigger_word is not None:
        _write_trigger(area, trigger_word, beside)
    for name, file in area.staged.items():
        if suffix_of(name) in TEXT_SUFFIXES:
            data = file.path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            area.staged[name] = changed(file, size_bytes=len(data), sha256=digest)
    _sync(list(area.ready.iterdir()))


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


def _write_trigger(area: StagingArea, trigger_word: str, beside: Path | None) -> None:
    for name, file in area.staged.items():
        suffix = suffix_of(name)
        if suffix in CAPTION_SUFFIXES:
            text = file.path.read_text(encoding="utf-8")
            if (told := with_trigger(text, trigger_word)) != text:
                file.path.write_text(told, encoding="utf-8")
        elif suffix in images.SUFFIXES or suffix in VIDEO_SUFFIXES:
            stem = name[: -len(suffix)]
            if not _has_caption(stem, (area.ready, *([beside] if beside else []))):
                (area.ready / f"{stem}.txt").write_text(trigger_word, encoding="utf-8")


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


def put_in_place(new: Path, target: Path) -> None:
    """Make the folder `new` be `target`; the old content is removed afterwards.

    A reader finds the old folder or the new one. On file systems that cannot exchange two names (some network ones)
    there is a moment between two renames in which it finds none.

    Raises:
        Conflict: `target` is no folder.
        OSError: the file system failed; the old folder is where it was.
    """
    try:
        new.rename(target)  # as if there were nothing yet, or an empty folder
    except NotADirectoryError as error:
        raise Conflict(f"{target.name} is a file, not a folder.") from error
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        return
    if _exchange(new, target):
        shutil.rmtree(new, ignore_errors=True)
        return
    old = new.with_name(f"{new.name}.{secrets.token_hex(4)}.old")
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where that cannot be done here."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    if (number := ctypes.get_errno()) in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
