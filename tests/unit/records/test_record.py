from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.errors import ErrorCode
from lorapod.records import stored_record as records
from lorapod.records.process_id import age_key, new_process_id
from lorapod.records.progress import Failure, Observation, StoredProgress
from lorapod.records.record import RECORD_VERSION, TaskDetails, TrainingDetails
from lorapod.records.status import IllegalTransition, Phase, ProcessStatus
from lorapod.records.stored_record import dump, load
from lorapod.testing.records import make_record


def test_what_is_stored_comes_back() -> None:
    record = make_record(progress=StoredProgress(step=3, total_steps=10, loss=0.5), phase=Phase.TRAINING)
    assert records.load(records.dump(record)) == record


def test_the_details_of_a_failure_are_kept_and_may_be_missing_in_an_earlier_record() -> None:
    failure = Failure(code=ErrorCode.INVALID_INPUT, message="No.", details=[{"node": "1", "allowed": [1, 2]}])
    stored = json.loads(records.dump(make_record(status=ProcessStatus.FAILED, failure=failure)))

    assert load(json.dumps(stored).encode()).failure == failure
    del stored["failure"]["details"]
    earlier = load(json.dumps(stored).encode()).failure
    assert earlier is not None
    assert list(earlier.details) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"process_id": "x"}'])
def test_a_damaged_record_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError):
        records.load(damage)


def test_a_record_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ValueError, match="newer"):
        records.load(records.dump(make_record(version=RECORD_VERSION + 1)))


def test_only_legal_moves() -> None:
    with pytest.raises(IllegalTransition):
        make_record(status=ProcessStatus.COMPLETED).moved(ProcessStatus.RUNNING)


def test_an_observation_changes_what_it_saw_and_nothing_else() -> None:
    record = make_record(progress=StoredProgress(step=3, total_steps=10, loss=0.5))
    seen = record.observed(Observation(step=4, phase=Phase.TRAINING))
    assert seen.progress == StoredProgress(step=4, total_steps=10, loss=0.5)
    assert seen.phase is Phase.TRAINING
    assert record.observed(Observation()) is record


def test_percent_is_of_the_steps() -> None:
    assert StoredProgress(step=650, total_steps=1000).percent == 65.0
    assert StoredProgress(step=5).percent is None
    assert StoredProgress(step=12, total_steps=10).percent == 100.0


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.floats(0.01, 1e6),
)
def test_ids_sort_by_age(moment: datetime, later_s: float) -> None:
    older = new_process_id("train", moment)
    newer = new_process_id("train", moment + timedelta(seconds=later_s))
    assert re.fullmatch(r"train_[0-9a-f]{12}", older)
    assert age_key(older)[:10] < age_key(newer)[:10]


def test_a_record_of_version_1_is_read() -> None:
    stored = {
        "process_id": "train_0123456789ab",
        "type": "train",
        "name": "model",
        "folder": "model",
        "status": "interrupted",
        "created_at": "2026-01-01T00:00:00Z",
        "worker_id": "worker-1",
        "trainer": "builtin",
        "engine": None,
        "generation": 3,
        "session": "training_session_1",
        "trigger_word": "cat",
        "base_model": "sdxl",
        "resumed_from_step": 40,
        "job_id": "12345",
        "asked_by": "runpod-1",
        "dataset": {"path": "training_data/cat"},
        "outcome": {},
        "goes_on": False,
        "version": 1,
    }
    record = load(json.dumps(stored).encode())
    assert record.training == TrainingDetails(
        trainer="builtin",
        session="training_session_1",
        trigger_word="cat",
        base_model="sdxl",
        dataset={"path": "training_data/cat"},
        resumed_from_step=40,
    )
    assert (record.caller_job_id, record.runpod_job_id, record.generation) == ("12345", "runpod-1", 3)
    assert record.task is None
    assert load(dump(record)) == record


def test_a_generation_of_version_1_is_read() -> None:
    stored = {
        "process_id": "generate_0123456789ab",
        "type": "generate",
        "name": "diffusers",
        "folder": "",
        "status": "completed",
        "created_at": "2026-01-01T00:00:00Z",
        "worker_id": "worker-1",
        "trainer": "",
        "engine": "diffusers",
        "outcome": {"seed": 7},
    }
    record = load(json.dumps(stored).encode())
    assert record.task == TaskDetails(engine="diffusers", outcome={"seed": 7})
    assert record.training is None
