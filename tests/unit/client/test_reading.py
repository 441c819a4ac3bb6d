"""Answers of workers that are newer or older than the client."""

from __future__ import annotations

from typing import Any

import pytest

from lorapod.client import ProcessView, UnexpectedAnswer
from lorapod.client.reading import read
from lorapod.volume.file_page import FileView

#: What the first release answers of a training that has just been accepted.
FIRST_RELEASE: dict[str, Any] = {
    "process_id": "train_0123456789ab",
    "type": "train",
    "name": "cat",
    "trainer": "ai-toolkit",
    "status": "queued",
    "progress": {"step": 0},
    "created_at": "2026-01-31T12:00:00.000Z",
    "worker_id": "w",
    "config_path": "output/train_0123456789ab/config.yaml",
    "output_path": "output/train_0123456789ab",
    "log_path": "logs/train_0123456789ab.log",
    "resumable": False,
}


def test_an_older_worker_is_understood() -> None:
    process = read(ProcessView, FIRST_RELEASE)
    assert (process.status, process.samples, process.estimate) == ("queued", [], None)


def test_fields_of_a_newer_worker_are_left_out_at_any_depth() -> None:
    newer = {
        **FIRST_RELEASE,
        "colour": "blue",
        "progress": {"step": 1, "mood": "good"},
        "samples": [{"path": "a.png", "step": 1, "index": 0, "likeness": 0.5}],
    }
    process = read(ProcessView, newer)
    assert (process.progress.step, process.samples[0].path) == (1, "a.png")
    assert not hasattr(process, "colour")


@pytest.mark.parametrize(
    ("more", "name", "expected"),
    [
        ({"estimate": {"duration_s": "about a week"}}, "estimate", None),
        ({"settings": {"rank": "adaptive", "alpha": 4}}, "settings", {"alpha": 4.0, "resolution": []}),
        ({"samples": [{"path": "a.png"}, {"path": "b.png", "step": 1, "index": 0}]}, "samples", ["b.png"]),
        ({"uploads": {"targets": [{"to": {"gcs": {"bucket": "b"}}, "root": "r"}], "sent": 1, "pending": 0}},
         "uploads", {"targets": [], "sent": 1, "pending": 0, "failed": []}),
        ({"progress": {"step": 3, "loss": {"mean": 1}}}, "progress", {"step": 3}),
    ],
)  # fmt: skip
def test_a_value_that_is_not_understood_costs_that_value_alone(
    more: dict[str, Any], name: str, expected: Any
) -> None:
    found = getattr(read(ProcessView, FIRST_RELEASE | more), name)
    if name == "samples":
        assert [one.path for one in found] == expected
    elif expected is None:
        assert found is None or found.duration_s is None
    else:
        assert found.model_dump(exclude_none=True) == expected


def test_the_code_of_a_failure_may_be_one_of_tomorrow() -> None:
    failure = {"code": "gpu_on_fire", "message": "The GPU burns.", "hint": "Run."}
    found = read(ProcessView, FIRST_RELEASE | {"status": "failed", "failure": failure}).failure
    assert found is not None
    assert (found.code, found.message, found.hint) == ("gpu_on_fire", "The GPU burns.", "Run.")


def test_a_file_may_be_of_a_kind_of_tomorrow() -> None:
    file = {
        "path": "a.usdz",
        "name": "a.usdz",
        "size_bytes": 1,
        "modified_at": "2026-01-31T12:00:00.000Z",
        "kind": "scene",
    }
    assert read(FileView, file).kind == "other"


@pytest.mark.parametrize("lost", ["process_id", "status", "progress"])
def test_what_every_worker_must_say_is_missed_by_its_name(lost: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=lost) as caught:
        read(ProcessView, {name: value for name, value in FIRST_RELEASE.items() if name != lost})
    assert "pip install --upgrade lorapod-client" in caught.value.hint
    assert caught.value.code == "unexpected_answer"


def test_an_answer_of_another_form_is_told() -> None:
    with pytest.raises(UnexpectedAnswer):
        read(ProcessView, {"pong": True})
    with pytest.raises(UnexpectedAnswer):
        read(ProcessView, FIRST_RELEASE | {"progress": "soon"})
