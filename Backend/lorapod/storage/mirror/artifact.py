"""Find the files of a run that are sent (checkpoints, samples, logs), their keys, and whether they still change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from lorapod.clock import Clock
from lorapod.folders import files_below
from lorapod.storage.mirror.key_names import mapped_name
from lorapod.weights import SUFFIX, is_whole

_SAMPLES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".mp4", ".webm"})
_LOGS = frozenset({".log", ".db", ".jsonl", ".csv"})
#: What trainers append to the name of weights that are not final.
_STEP = re.compile(r"_(?P<step>\d{9,})$")
_TEMPORARY = frozenset({".tmp", ".part"})

#: For so long the size and time of a file must not change.
DEBOUNCE_S = 3.0


class ArtifactKind(StrEnum):
    """The kind of an artifact; the value is its folder in the store."""

    CHECKPOINT = "checkpoints"
    SAMPLE = "samples"
    LOG = "logs"


@dataclass(frozen=True, kw_only=True)
class MirroredRun:
    """The folders of one process that artifacts are read from, and their place below a target."""

    process_id: str
    #: The trainer's output folder.
    folder: Path
    #: The log of the trainer.
    log: Path
    #: Prefix of every key, without a slash at its end: the model's name, as the store accepts it.
    root: str
    #: Whether the store accepts only plain Latin letters.
    plain: bool = False

    def key(self, kind: ArtifactKind, name: str) -> str:
        """Return the key of a file of that kind; `name` is its place below the folder of its kind."""
        return f"{self.root}/{kind}/{mapped_name(name, plain=self.plain)}"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file as it was at one look."""

    path: Path
    key: str
    kind: ArtifactKind
    size_bytes: int
    mtime_ns: int

    @property
    def state(self) -> tuple[int, int]:
        """Changes when the file does."""
        return self.size_bytes, self.mtime_ns

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts what is sent first: the final weights, the newest checkpoints, samples, logs."""
        if self.kind is not ArtifactKind.CHECKPOINT:
            return list(ArtifactKind).index(self.kind), 0
        step = _STEP.search(self.path.stem)
        return (0, -int(step["step"])) if step else (-1, 0)


def kind_of(relative: PurePosixPath) -> ArtifactKind | None:
    """Return the kind of a file in a run folder, by its place and extension; None: it is never sent.

    Hidden names and names with an underscore in front are caches and unfinished files of every trainer.
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
        yield from _seen(run.log, run.key(ArtifactKind.LOG, "training.log"), ArtifactKind.LOG)
    for entry in files_below(run.folder, skip=lambda name: name.startswith((".", "_"))):
        path = Path(entry.path)
        relative = PurePosixPath(path.relative_to(run.folder).as_posix())
        if (kind := kind_of(relative)) is None or entry.is_symlink():
            continue
        below = relative.relative_to(kind) if relative.parts[0] == kind else relative
        yield from _seen(path, run.key(kind, below.as_posix()), kind)


def _seen(path: Path, key: str, kind: ArtifactKind) -> Iterator[Artifact]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    yield Artifact(path=path, key=key, kind=kind, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


class StabilityTracker:
    """Remembers since when each file has not changed; for one thread."""

    def __init__(self, clock: Clock) -> None:
        """Start with no file known."""
        self._clock = clock
        self._since: dict[str, tuple[tuple[int, int], float]] = {}

    def update(self, artifacts: Iterable[Artifact]) -> None:
        """Record the present state of the files; forget all others."""
        now = self._clock.monotonic()
        before, self._since = self._since, {}
        for artifact in artifacts:
            state, since = before.get(artifact.key, (None, now))
            self._since[artifact.key] = (artifact.state, since if state == artifact.state else now)

    def is_stable(self, artifact: Artifact, *, still: bool) -> bool:
        """Return whether a file may be sent; `still`: the training has ended, so only incomplete files are held back.

        Raises:
            OSError: the file cannot be read now.
        """
        if not still and self._clock.monotonic() < self.stable_at(artifact):
            return False
        return artifact.kind is not ArtifactKind.CHECKPOINT or is_whole(artifact.path)

    def stable_at(self, artifact: Artifact) -> float:
        """Return when a file may be sent if it does not change, on the monotonic clock."""
        return self._since[artifact.key][1] + DEBOUNCE_S
