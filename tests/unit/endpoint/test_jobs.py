from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from lorapod.endpoint.jobs import TRANSITIONS, EndpointJob, ForbiddenTransition, JobState
from lorapod.endpoint.rawjson import RawJson

FINAL = {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT}


def job(**changes: Any) -> EndpointJob:
    return EndpointJob(
        **{
            "id": "j",
            "input": b'{"a":1}',
            "submitted_at": 10.0,
            "expires_at": 1_000.0,
            "execution_timeout_s": 100.0,
            "kept_s": 60.0,
            **changes,
        }
    )


def text(pieces: list[RawJson]) -> Any:
    return json.loads(b"".join(pieces))


def in_state(state: JobState) -> EndpointJob:
    if state is JobState.IN_QUEUE:
        return job()
    running = job().taken("w", 12.0)
    return running if state is JobState.IN_PROGRESS else running.ended(state, 15.0)


def step(present: EndpointJob, state: JobState) -> EndpointJob:
    if state is JobState.IN_QUEUE:
        return present.requeued(counts=True)
    if state is JobState.IN_PROGRESS:
        return present.taken("w", 20.0)
    return present.ended(state, 20.0)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_only_the_steps_of_the_table_are_taken(before: JobState, after: JobState) -> None:
    if after in TRANSITIONS[before]:
        assert step(in_state(before), after).state is after
    else:
        with pytest.raises(ForbiddenTransition, match=f"from {before} to {after}"):
            step(in_state(before), after)


def test_an_end_is_final() -> None:
    assert {state for state in JobState if in_state(state).is_final} == FINAL


def test_a_worker_gets_the_input_as_it_came() -> None:
    assert b"".join(job(input=b'{"a":  1.50}').for_worker()) == b'{"id":"j","input":{"a":  1.50}}'
    assert text(job(s3_config=b'{"b":2}').for_worker())["s3Config"] == {"b": 2}


def test_a_caller_reads_times_in_milliseconds() -> None:
    assert text(job().for_caller()) == {"id": "j", "status": "IN_QUEUE"}
    running = job().taken("w", 12.5)
    assert text(running.for_caller()) == {
        "id": "j",
        "status": "IN_PROGRESS",
        "delayTime": 2_500,
        "workerId": "w",
    }
    done = running.ended(JobState.FAILED, 14.0, output=b"[1]", error="no")
    assert text(done.for_caller()) == {
        "id": "j",
        "status": "FAILED",
        "delayTime": 2_500,
        "executionTime": 1_500,
        "workerId": "w",
        "error": "no",
        "output": [1],
    }


def test_an_end_drops_progress_and_input() -> None:
    ended = job().taken("w", 11.0).progressed(b"1").ended(JobState.CANCELLED, 12.0)
    assert ended.output is None
    assert ended.input == b"null"


def test_a_requeued_job_forgets_its_attempt_but_counts_it() -> None:
    again = job().taken("w", 11.0).progressed(b"1").requeued(counts=True)
    assert (again.output, again.worker_id, again.started_at, again.attempts) == (None, None, None, 1)
    assert job().taken("w", 11.0).requeued(counts=False).attempts == 0


def test_only_its_worker_runs_it() -> None:
    running = job().taken("w", 11.0)
    assert running.runs_on("w")
    assert not running.runs_on("another")
    assert not running.ended(JobState.COMPLETED, 12.0).runs_on("w")


def test_deadlines() -> None:
    assert job().deadline == 1_000.0
    assert job().taken("w", 50.0).deadline == 150.0
    assert job().taken("w", 950.0).deadline == 1_000.0
    assert job().taken("w", 50.0).ended(JobState.COMPLETED, 70.0).deadline == 130.0
