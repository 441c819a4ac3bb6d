"""List the files that a process has written. They are read from its folder each time: a stored list could be wrong.

Every function raises `OSError` if a folder cannot be read now.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lorapod.errors import Conflict, NotFound
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.port import EntryKind, VolumeListing
from lorapod.workspace import Workspace

_SAMPLE = re.compile(r"\d+__(?P<step>\d{9})_(?P<index>\d+)\.(?:jpg|jpeg|png|webp|mp4|gif)")

WEIGHTS_SUFFIX = ".safetensors"

#: Folders in an output folder that hold no results.
_NO_OUTPUT = frozenset({"_latent_cache", "__pycache__"})


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The weights of one step."""

    path: Path
    #: None for the final weights, whose name carries no step.
    step: int | None
    size_bytes: int
    created_at: datetime

    @property
    def final(self) -> bool:
        """Whether these are the final weights."""
        return self.step is None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample image."""

    path: Path
    step: int
    index: int


def checkpoints(run_folder: Path, name: str, *, files: VolumeListing = LOCAL_FILES) -> Sequence[Checkpoint]:
    """Return the weights in a run folder, by step, the final ones last."""
    numbered = re.compile(rf"{re.escape(name)}_(?P<step>\d{{9}})\.safetensors")
    found: list[Checkpoint] = []
    for entry in files.entries(run_folder):
        match = numbered.fullmatch(entry.name)
        if not entry.is_file or (match is None and entry.name != f"{name}.safetensors"):
            continue
        # A trainer keeps only the newest: one may go between its listing and this look.
        with contextlib.suppress(FileNotFoundError):
            state = entry.state()
            found.append(
                Checkpoint(
                    path=entry.path,
                    step=int(match["step"]) if match else None,
                    size_bytes=state.size_bytes,
                    created_at=datetime.fromtimestamp(state.modified_ns / 1e9, UTC),
                )
            )
    return sorted(found, key=lambda checkpoint: (checkpoint.final, checkpoint.step or 0))


def samples(run_folder: Path, *, files: VolumeListing = LOCAL_FILES) -> Sequence[Sample]:
    """Return the sample images in a run folder, by step and index."""
    found = (
        Sample(path=entry.path, step=int(match["step"]), index=int(match["index"]))
        for entry in files.entries(run_folder / "samples")
        if entry.is_file and (match := _SAMPLE.fullmatch(entry.name))
    )
    return sorted(found, key=lambda sample: (sample.step, sample.index, sample.path))


def left_by_a_task(
    record: ProcessRecord, workspace: Workspace, *, is_file: Callable[[Path], bool] = Path.is_file
) -> Sequence[Path]:
    """Return the existing files that a task names in its outcome: `files`, each with a `path`, or one `path`."""
    outcome = record.outcome
    named = [file["path"] for file in outcome.get("files", ())] or [outcome.get("path")]
    found = [workspace.root / path for path in named if isinstance(path, str)]
    return [path for path in found if is_file(path)]


def final_artifact(
    record: ProcessRecord, workspace: Workspace, *, is_file: Callable[[Path], bool] = Path.is_file
) -> Path:
    """Return the one file that a completed process was started for.

    Raises:
        NotFound: it has left no file.
        Conflict: it is not completed, or has left several.
    """
    if record.status is not ProcessStatus.COMPLETED:
        raise Conflict(
            f"{record.process_id} is {record.status}: it has no final artifact.",
            hint="`process_status` names its checkpoints; `download_file` fetches them.",
            details=[{"field": "process_id", "status": record.status.value}],
        )
    if record.trainer:
        return record.run_folder(workspace) / f"{record.name}{WEIGHTS_SUFFIX}"
    left = left_by_a_task(record, workspace, is_file=is_file)
    if not left:
        raise NotFound(f"{record.process_id} has left no file.")
    if len(left) > 1:
        raise Conflict(
            f"{record.process_id} has left {len(left)} files.",
            hint="`bulk_download` brings them all; `download_file` each, by its path in `process_status`.",
        )
    return left[0]


def output_files(folder: Path, *, files: VolumeListing = LOCAL_FILES) -> Iterator[Path]:
    """Yield every file below an output folder, sorted, without hidden files, caches and links."""
    for entry in files.below(folder, skip=lambda name: name in _NO_OUTPUT or name.startswith(".")):
        if not entry.name.startswith(".") and entry.kind is not EntryKind.LINK:
            yield entry.path
