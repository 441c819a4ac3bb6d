from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lorapod.events.artifact_tracker import ArtifactTracker
from lorapod.events.event_data import CheckpointData
from lorapod.events.event_types import EventType
from lorapod.records.progress import StoredProgress
from lorapod.testing.records import make_record
from lorapod.workspace import Workspace


def test_final_weights_are_reported_again_once_the_training_has_more_steps(tmp_path: Path) -> None:
    workspace, record = Workspace.create(tmp_path / "workspace"), make_record()
    path = record.run_folder(workspace) / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    tracker = ArtifactTracker(workspace)
    first = record.changed(progress=StoredProgress(step=10, total_steps=10))
    tracker.mark_reported(workspace.relative(path), total_steps=10)
    assert list(tracker.new_artifacts(first, still=True)) == []
    longer = record.changed(progress=StoredProgress(step=20, total_steps=20))
    ((_, data),) = tracker.new_artifacts(longer, still=True)
    assert isinstance(data, CheckpointData)
    assert (data.checkpoint_step, data.final) == (20, True)
    assert list(tracker.new_artifacts(longer, still=True)) == []


WEIGHTS = (2).to_bytes(8, "little") + b"{}"


def test_weights_that_cannot_be_read_at_the_last_look_are_reported_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, record = Workspace.create(tmp_path / "workspace"), make_record()
    path = record.run_folder(workspace) / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    tracker, open_file = ArtifactTracker(workspace), os.open

    def stale(name: Any, *arguments: Any, **options: Any) -> int:
        if Path(name) == path:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(name))
        return open_file(name, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", stale)
        with pytest.raises(OSError, match="Stale file handle"):
            list(tracker.new_artifacts(record, still=True))
    assert [kind for kind, _ in tracker.new_artifacts(record, still=True)] == [EventType.CHECKPOINT]
    assert list(tracker.new_artifacts(record, still=True)) == []
