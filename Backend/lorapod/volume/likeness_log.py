"""How like the dataset the samples of a training are, step by step: one JSON file beside its record, which its worker writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.port import VolumeFiles
from lorapod.workspace import Workspace

#: Its name among the curves of a training.
KEY = "likeness"


@dataclass(frozen=True, kw_only=True)
class LikenessLog:
    """The values so far."""

    #: What measured them: the model's name, and its commit on the Hub.
    model: str
    revision: str | None = None
    #: Step, and the mean cosine of that step's samples to the images of the dataset.
    points: Sequence[tuple[int, float]] = ()

    def up_to(self, step: int) -> LikenessLog:
        """Return the values of a training that goes on from this step."""
        return LikenessLog(
            model=self.model,
            revision=self.revision,
            points=[(each, value) for each, value in self.points if each <= step],
        )

    def with_points(self, points: Sequence[tuple[int, float]]) -> LikenessLog:
        """Return the values with further ones."""
        every = dict([*self.points, *points])
        return LikenessLog(model=self.model, revision=self.revision, points=sorted(every.items()))


_ADAPTER = TypeAdapter(LikenessLog)


def likeness_path(workspace: Workspace, process_id: str) -> Path:
    """Return the file of one process."""
    return workspace.process_folder(process_id) / "likeness.json"


def dump_likeness(log: LikenessLog) -> bytes:
    """Return the stored form."""
    return _ADAPTER.dump_json(log)


def read_likeness(
    workspace: Workspace, process_id: str, *, files: VolumeFiles = LOCAL_FILES
) -> LikenessLog | None:
    """Return the values; None if there are none, or the file is damaged."""
    try:
        return _ADAPTER.validate_json(files.read(likeness_path(workspace, process_id)).data)
    except (FileNotFoundError, ValidationError):
        return None
