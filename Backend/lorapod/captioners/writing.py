"""Captions on their way to the dataset: one file at a time, whole or not at all, never over a person's own by accident."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from lorapod.atomic import sync_folder, temporary_path, write_atomically
from lorapod.datasets.captions import CAPTION_MAX_BYTES
from lorapod.folders import files_below

#: Between these, models think aloud before they answer; what they cut off there is no answer.
_THINKS, _THOUGHT = "<think>", "</think>"
#: Control characters, and invisible ones that only change how a text is shown.
_INVISIBLE = re.compile(
    r"[^\S\n]*\x1b\[[0-9;]*[A-Za-z]|(?!\s)[\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]"
)
_QUOTES = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"))
#: The name of a caption that is being written, as `temporary_path` makes it.
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.tmp")
#: What a file system answers that has no second names for a file.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


def clean_caption(text: str) -> str:
    """Return what a model answered as one line of text, without what is not the caption; empty if nothing is left."""
    answer = _INVISIBLE.sub("", text.rpartition(_THOUGHT)[2].partition(_THINKS)[0])
    line = re.sub(r"\s+", " ", answer).strip()
    for before, after in _QUOTES:
        if len(line) > 1 and line.startswith(before) and line.endswith(after):
            line = line[1:-1].strip()
    return shorten_caption(line)


def shorten_caption(text: str) -> str:
    """Return a text that is no longer than a caption may be, and UTF-8."""
    return text.encode("utf-8", errors="replace")[:CAPTION_MAX_BYTES].decode(errors="ignore")


def write_caption(path: Path, text: str, *, overwrite: bool) -> bool:
    """Write a caption; return False if there is one already that is not to be replaced.

    An empty caption does not count as a caption. The check and the writing are one step: a caption that appears meanwhile is kept.

    Raises:
        OSError: the disk failed; the file is as it was.
    """
    if overwrite or _is_empty(path):
        write_atomically(path, text.encode())
        return True
    if path.exists():
        return False
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        if not _give_name(temporary, path):
            return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def sweep(folder: Path, caption_ext: str) -> None:
    """Remove what a killed worker has left of captions that it was writing; only while no other process writes some.

    Raises:
        OSError: the folder cannot be read.
    """
    for entry in files_below(folder):
        left = _TEMPORARY.fullmatch(entry.name)
        if left is not None and left["name"].endswith(caption_ext):
            Path(entry.path).unlink(missing_ok=True)


def _give_name(temporary: Path, path: Path) -> bool:
    """Give a file its name, if that is free."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        temporary.replace(path)
    return True


def _is_empty(path: Path) -> bool:
    try:
        return not path.read_bytes().strip()
    except FileNotFoundError:
        return False
