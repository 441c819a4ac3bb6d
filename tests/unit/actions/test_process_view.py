"""A process in answers: its record, and the results of its kind under their own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorapod.actions.process_view import view
from lorapod.records.record import TaskDetails
from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record
from lorapod.workspace import Workspace

FAILED = [{"name": "cut.png", "error": "It is cut off."}]


@pytest.mark.parametrize(
    "outcome",
    [
        {"captioned": 2, "skipped": 0, "failed": FAILED, "failed_count": 120},
        {"path": "models/loras/cat.safetensors", "size_bytes": 9, "sha256": "ab"},
        {"warnings": ["The second LoRA fits only partly."]},
    ],
    ids=["captions", "download", "warnings"],
)
@pytest.mark.parametrize("status", [ProcessStatus.COMPLETED, ProcessStatus.CANCELLED])
def test_results_appear_under_their_own_names(
    outcome: dict[str, Any], status: ProcessStatus, tmp_path: Path
) -> None:
    record = make_record(status=status, task=TaskDetails(outcome=outcome))

    answer = view(record, Workspace.create(tmp_path / "workspace")).answer()

    assert {name: answer.get(name) for name in outcome} == outcome
    assert answer["outcome"] == outcome


def test_a_result_never_replaces_what_is_known_of_the_process(tmp_path: Path) -> None:
    outcome = {"status": "fine", "seed": 3, "captioned": 1}
    record = make_record(status=ProcessStatus.FAILED, task=TaskDetails(outcome=outcome))

    answer = view(record, Workspace.create(tmp_path / "workspace")).answer()

    assert (answer["status"], answer["captioned"]) == ("failed", 1)
    assert "seed" not in answer
