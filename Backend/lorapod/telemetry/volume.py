"""What takes the space of the workspace: measured in one bounded pass, and kept for the next question."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from lorapod.atomic import replace_file
from lorapod.clock import Clock
from lorapod.kinds import CACHE_FOLDERS
from lorapod.sessions import PREFIX
from lorapod.thread_pools import ThreadPool
from lorapod.workspace import Workspace

#: A pass ends here, and says that it is not complete.
MEASURE_S = 60.0
FILES_MAX = 2_000_000

#: Folders and files that are listed, the largest first.
LARGEST = 30

#: Figures that are older are measured again when `health` shows them.
STALE_S = 6 * 3600.0

_PASSES = ThreadPool("volume", size=1)

_KEPT = ".usage.json"

#: The parts of the top folders; a dot begins the worker's own.
_PARTS = {
    "training_data": "datasets",
    "output": "outputs",
    "training": "outputs",
    "models": "models",
    "logs": "logs",
    "processes": "records",
    ".trash": "trash",
    ".environments": "environments",
    ".digests": "caches",
    ".speeds": "records",
    ".cache": "caches",
    "huggingface": "caches",
    "huggingface-cache": "caches",
    "ComfyUI": "programs",
    "SwarmUI": "programs",
    "ai-toolkit": "programs",
}


@dataclass(frozen=True, kw_only=True)
class VolumePart:
    """One kind of files."""

    #: `datasets`, `outputs`, `models`, `archives`, `caches`, `environments`, `programs`, `logs`, `records`, `trash`, `other`.
    name: str
    size_bytes: int
    files: int


@dataclass(frozen=True, kw_only=True)
class VolumeEntry:
    """One dataset, output folder, model or other folder; `path` is relative to the workspace."""

    path: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class VolumeUsage:
    """What one pass found."""

    measured_at: datetime
    #: False: the pass ended at `MEASURE_S` or `FILES_MAX`, so there is more than what it counted.
    complete: bool
    #: The largest first.
    parts: Sequence[VolumePart]
    #: The largest first, `LARGEST` at most.
    largest: Sequence[VolumeEntry]


_ADAPTER = TypeAdapter(VolumeUsage)


class VolumeMeter:
    """Measures a workspace; every method blocks on the disk."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        """Measure nothing yet."""
        self._workspace = workspace
        self._clock = clock
        self._file = workspace.processes / _KEPT
        self._pass_begun: Future[VolumeUsage] | None = None

    def kept(self) -> VolumeUsage | None:
        """Return what the last pass of any worker found, or None."""
        with suppress(OSError, ValueError):
            return _ADAPTER.validate_json(self._file.read_bytes())
        return None

    def latest(self) -> VolumeUsage | None:
        """Return what is known, and begin a pass in the background if that is older than `STALE_S`."""
        kept = self.kept()
        stale = kept is None or (self._clock.now() - kept.measured_at).total_seconds() > STALE_S
        if stale and (self._pass_begun is None or self._pass_begun.done()):
            self._pass_begun = _PASSES.submit(self.measure, max_age_s=STALE_S)
        return kept

    def measure(self, *, max_age_s: float = 0.0) -> VolumeUsage:
        """Look at every file once; or return what was found in the last `max_age_s` seconds.

        Raises:
            OSError: the workspace cannot be read.
        """
        kept = self.kept()
        now = self._clock.now()
        if kept is not None and 0 <= (now - kept.measured_at).total_seconds() < max_age_s:
            return kept
        usage = self._pass(now)
        with suppress(OSError):  # the volume may be full: that is when this is asked
            replace_file(self._file, _ADAPTER.dump_json(usage))
        return usage

    def _pass(self, now: datetime) -> VolumeUsage:
        sizes: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        entries: Counter[str] = Counter()
        linked: set[tuple[int, int]] = set()
        ends_s = time.monotonic() + MEASURE_S
        complete = True
        for number, (parts, found) in enumerate(_files(self._workspace.root)):
            if number >= FILES_MAX or (number % 1000 == 0 and time.monotonic() > ends_s):
                complete = False
                break
            if found.st_nlink > 1:
                if (found.st_dev, found.st_ino) in linked:
                    continue
                linked.add((found.st_dev, found.st_ino))
            part = _part(parts)
            sizes[part] += found.st_size
            counts[part] += 1
            entries[_entry(parts)] += found.st_size
        return VolumeUsage(
            measured_at=now,
            complete=complete,
            parts=[
                VolumePart(name=name, size_bytes=size, files=counts[name])
                for name, size in sizes.most_common()
            ],
            largest=[VolumeEntry(path=path, size_bytes=size) for path, size in entries.most_common(LARGEST)],
        )


def _files(root: Path) -> Iterator[tuple[tuple[str, ...], os.stat_result]]:
    """Yield every file below the root, links not followed; what vanishes meanwhile is left out."""
    folders: list[tuple[str, ...]] = [()]
    while folders:
        parts = folders.pop()
        try:
            with os.scandir(root.joinpath(*parts)) as entries:
                for entry in entries:
                    inner = (*parts, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(inner)
                    else:
                        with suppress(FileNotFoundError):
                            yield inner, entry.stat(follow_symlinks=False)
        except (FileNotFoundError, PermissionError):
            continue


def _part(parts: tuple[str, ...]) -> str:
    if not CACHE_FOLDERS.isdisjoint(parts[:-1]) or parts[:2] == ("training_data", ".thumbnails"):
        return "caches"
    if parts[:2] == ("output", "archives"):
        return "archives"
    if parts[0].startswith(PREFIX):
        return "outputs"
    return _PARTS.get(parts[0], "other")


def _entry(parts: tuple[str, ...]) -> str:
    """Return the folder or file that a person would delete as a whole."""
    depth = {"datasets": 2, "outputs": 2, "models": 3}.get(_PARTS.get(parts[0], ""), 1)
    return "/".join(parts[:depth])
