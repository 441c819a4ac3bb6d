"""What the headers of many model files say, read once for all requests and workers."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lorapod import weights
from lorapod.atomic import replace_file
from lorapod.errors import WorkerError
from lorapod.workspace import Workspace

#: Hidden file in `models/`; a network volume answers one read sooner than thousands.
FILE_NAME = ".headers.json"

#: Of the stored form, and of what is read from a header.
VERSION = 1

#: Longest text of a header in a list.
LINE_CHARACTERS = 300

#: More files than these are read again each time a worker starts.
MAX_KEPT = 50_000


@dataclass(frozen=True, kw_only=True)
class HeaderNotes:
    """What a list shows of a model; only `whole` if the file is cut off."""

    whole: bool = False
    is_lora: bool = False
    rank: int | None = None
    step: int | None = None
    base_model: str | None = None
    trigger_word: str | None = None


class HeaderBook:
    """Remembers headers by path, size and time; may be used by any thread, its file by any worker."""

    def __init__(self, *, workspace: Workspace) -> None:
        """Read nothing yet."""
        self._workspace = workspace
        self._path = workspace.models / FILE_NAME
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, int, HeaderNotes]] | None = None
        self._news = False

    def notes(self, path: Path, state: os.stat_result) -> HeaderNotes:
        """Return what the header of `path` says; `state` is the stat of the file."""
        key = self._workspace.relative(path)
        with self._lock:
            if self._known is None:
                self._known = self._load()
            known = self._known.get(key)
        if known is not None and known[:2] == (state.st_size, state.st_mtime_ns):
            return known[2]
        notes = _read(path)
        with self._lock:
            self._known[key] = (state.st_size, state.st_mtime_ns, notes)
            self._news = True
        return notes

    def keep(self) -> None:
        """Write down what was learnt. Of two workers at once the last one's is kept: the other's is read again."""
        with self._lock:
            if not self._news or self._known is None:
                return
            self._news = False
            latest = list(self._known.items())[-MAX_KEPT:]
        files = {key: [size, mtime, asdict(notes)] for key, (size, mtime, notes) in latest}
        # What cannot be kept is read again: a full disk must not stop a list.
        with contextlib.suppress(OSError):
            replace_file(self._path, json.dumps({"version": VERSION, "files": files}).encode())

    def _load(self) -> dict[str, tuple[int, int, HeaderNotes]]:
        try:
            stored: Any = json.loads(self._path.read_bytes())
            if stored["version"] != VERSION:
                return {}
            return {
                str(key): (int(size), int(mtime), HeaderNotes(**notes))
                for key, (size, mtime, notes) in stored["files"].items()
            }
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}


def _read(path: Path) -> HeaderNotes:
    try:
        header = weights.read_header(path)
    except WorkerError:
        return HeaderNotes()
    if not header.whole:
        return HeaderNotes()
    return HeaderNotes(
        whole=True,
        is_lora=header.is_lora,
        rank=header.rank,
        step=weights.step_of(header),
        base_model=_line(header.base_model),
        trigger_word=_line(header.trigger_word),
    )


def _line(text: str | None) -> str | None:
    """Cut a text to the length that a list can hold: a header may have megabytes."""
    return text if text is None else text[:LINE_CHARACTERS]
