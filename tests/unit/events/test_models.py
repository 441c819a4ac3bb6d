from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from lorapod.events.event_types import EventType
from lorapod.events.models import DATA, Event
from lorapod.testing.events import sample_event


@pytest.mark.parametrize("event_type", list(EventType))
def test_what_is_sent_can_be_read_again(event_type: EventType) -> None:
    event = sample_event(7, event_type)
    read = Event.model_validate_json(event.body())
    assert read == event
    assert type(read.data) is DATA[event_type]
    assert b"\n" not in event.body()


def test_the_body_is_that_of_the_contract() -> None:
    sent = json.loads(sample_event(7).body())
    assert sent == {
        "event_type": "training.progress",
        "event_id": "train_0123456789ab-7",
        "job_id": "12345",
        "process_id": "train_0123456789ab",
        "sequence": 7,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "data": {"status": "training", "progress": 50, "step": 1, "total_steps": 2},
    }


def test_what_has_no_value_is_left_out() -> None:
    assert "job_id" not in json.loads(sample_event(job_id=None).body())


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "training.exploded"},
        {"data": {"status": "training", "progress": 101}},
        {"data": {"status": "training", "progress": 1, "artifacts": []}},
        {"data": {"status": "bored", "progress": 1}},
    ],
)
def test_what_is_no_event_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Event.model_validate({**json.loads(sample_event().body()), **change})


def test_four_types_of_each_kind_are_the_last_of_a_run() -> None:
    assert {kind for kind in EventType if kind.last} == {
        EventType.COMPLETED,
        EventType.FAILED,
        EventType.CANCELLED,
        EventType.INTERRUPTED,
        EventType.CAPTION_COMPLETED,
        EventType.CAPTION_FAILED,
        EventType.CAPTION_CANCELLED,
        EventType.CAPTION_INTERRUPTED,
        EventType.COMPARE_COMPLETED,
        EventType.COMPARE_FAILED,
        EventType.COMPARE_CANCELLED,
        EventType.COMPARE_INTERRUPTED,
        EventType.SWEEP_COMPLETED,
        EventType.SWEEP_FAILED,
        EventType.SWEEP_CANCELLED,
        EventType.SWEEP_INTERRUPTED,
    }
