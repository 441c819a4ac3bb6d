"""Find the files of a run that are sent (checkpoints, samples, logs), their keys, and whether they still change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from lorapod.clock import Clock
from lorapod.folders import files_below
from lorapod.weights import SUFFIX, is_whole

_SAMPLES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".mp4", ".webm"})
_LOGS = frozenset({".log", ".db", ".jsonl", ".csv"})
#: What trainers append to the name of weights that are not final.
_STEP = re.compile(r"_(?P<step>\d{9,})$")
_TEMPORARY = frozenset({".tmp", ".part"})

#: For so long size and time of a file must stay as they are.
DEBOUNCE_S = 3.0


class ArtifactKind(StrEnum):
    """What an artifact is; the value is its folder in the store."""

    CHECKPOINT = "checkpoints"
    SAMPLE = "samples"
    LOG = "logs"


@dataclass(frozen=True, kw_only=True)
class MirroredRun:
    """Where the artifacts of one process lie, and where they go below a target."""

    process_id: str
    #: Where the trainer writes.
    folder: Path
    #: What the trainer says.
    log: Path
    #: What every key begins with, without a slash at its end: the model's name.
    root: str


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file as it was seen."""

    path: Path
    key: str
    kind: ArtifactKind
    size_bytes: int
    mtime_ns: int

    @property
    def state(self) -> tuple[int, int]:
        """What changes when the file does."""
        return self.size_bytes, self.mtime_ns

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts what is sent first: the final weights, the newest checkpoints, samples, logs."""
        if self.kind is not ArtifactKind.CHECKPOINT:
            return list(ArtifactKind).index(self.kind), 0
        step = _STEP.search(self.path.stem)
        return (0, -int(step["step"])) if step else (-1, 0)


def kind_of(relative: PurePosixPath) -> ArtifactKind | None:
    """What a file of a run folder is, by its place and ending; None: it is never sent.

    Hidden and underscored names are caches and work in progress of every trainer; of the rest only what is known.
    """
    suffix = relative.suffix.lower()
    if any(part.startswith((".", "_")) for part in relative.parts) or suffix in _TEMPORARY:
        return None
    if suffix == SUFFIX:
        return ArtifactKind.CHECKPOINT
    if suffix in _SAMPLES:
        return ArtifactKind.SAMPLE if relative.parts[0] == ArtifactKind.SAMPLE else None
    return ArtifactKind.LOG if suffix in _LOGS else None


def find_artifacts(run: MirroredRun) -> Iterator[Artifact]:
    """Yield everything of a run that may be sent, complete or not; links are passed over.

    Raises:
        OSError: a folder cannot be read now.
    """
    if run.log.is_file():
        yield from _seen(run.log, f"{run.root}/{ArtifactKind.LOG}/training.log", ArtifactKind.LOG)
    for entry in files_below(run.folder, skip=lambda name: name.startswith((".", "_"))):
        path = Path(entry.path)
        relative = PurePosixPath(path.relative_to(run.folder).as_posix())
        if (kind := kind_of(relative)) is None or entry.is_symlink():
            continue
        below = relative.relative_to(kind) if relative.parts[0] == kind else relative
        yield from _seen(path, f"{run.root}/{kind}/{below}", kind)


def _seen(path: Path, key: str, kind: ArtifactKind) -> Iterator[Artifact]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    yield Artifact(path=path, key=key, kind=kind, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


class StabilityTracker:
    """Remembers since when each file is as it is; for one thread."""

    def __init__(self, clock: Clock) -> None:
        """Begin knowing nothing: every file is new."""
        self._clock = clock
        self._since: dict[str, tuple[tuple[int, int], float]] = {}

    def look(self, artifacts: Iterable[Artifact]) -> None:
        """Take note of the files as they are now; what is not among them is forgotten."""
        now = self._clock.monotonic()
        before, self._since = self._since, {}
        for artifact in artifacts:
            state, since = before.get(artifact.key, (None, now))
            self._since[artifact.key] = (artifact.state, since if state == artifact.state else now)

    def settled(self, artifact: Artifact, *, still: bool) -> bool:
        """Whether it may be sent; `still`: nobody writes any more, so only what was cut off is held back."""
        if not still and self._clock.monotonic() < self.due(artifact):
            return False
        return artifact.kind is not ArtifactKind.CHECKPOINT or is_whole(artifact.path)

    def due(self, artifact: Artifact) -> float:
        """When it will have settled, on the monotonic clock, if it stays as it is."""
        return self._since[artifact.key][1] + DEBOUNCE_S
