from __future__ import annotations

import json
import time

import pytest

from lorapod.client import (
    Client,
    ConflictError,
    EndpointError,
    InvalidInputError,
    JobCancelled,
    JobFailed,
    JobStatus,
    JobTimedOut,
    NotFoundError,
    RequestTooLarge,
    WaitTimeout,
)
from lorapod.testing.fake_queue import FakeQueue


def test_run_posts_input_and_policy_and_answers_the_job(client: Client, queue: FakeQueue) -> None:
    job = client.run({"type": "train"}, policy={"executionTimeout": 5000})

    assert job.job_id == "job-1"
    assert job.status is JobStatus.IN_QUEUE
    assert not job.status.ended
    request = queue.requests[0]
    assert request.url.path == "/v2/fake/run"
    assert json.loads(request.content) == {"input": {"type": "train"}, "policy": {"executionTimeout": 5000}}
    assert request.headers["Authorization"] == "Bearer rpa_made_up_key"


def test_runsync_asks_for_its_wait_in_milliseconds_within_the_queues_bounds(
    client: Client, queue: FakeQueue
) -> None:
    queue.actions["ping"] = lambda _: {"pong": True}

    job = client.runsync({"type": "ping"}, wait_s=2.5)
    client.runsync({"type": "ping"}, wait_s=0.01)
    client.runsync({"type": "ping"}, wait_s=9_999)

    assert job.output == {"pong": True}
    assert (job.delay_s, job.execution_s) == (0.012, 0.34)
    assert [request.url.params["wait"] for request in queue.requests] == ["2500", "1000", "300000"]


def test_call_answers_the_workers_object_and_leaves_fields_without_value_out(
    client: Client, queue: FakeQueue
) -> None:
    queue.actions["logs"] = lambda wish: {"got": wish}

    assert client.call("logs", process_id="p", offset=0, limit=None) == {
        "got": {"type": "logs", "process_id": "p", "offset": 0}
    }


def test_call_goes_on_asking_where_runsync_answers_too_early(client: Client, queue: FakeQueue) -> None:
    queue.slow = True
    queue.states = [{"status": "IN_PROGRESS"}, {"status": "COMPLETED", "output": {"pong": True}}]

    assert client.call("ping") == {"pong": True}
    assert [request.url.path for request in queue.requests[1:]] == ["/v2/fake/status/job-1"] * 2


def test_call_with_a_timeout_gives_up_but_names_the_job(client: Client, queue: FakeQueue) -> None:
    queue.slow = True
    queue.states = [{"status": "IN_QUEUE"}]

    began = time.monotonic()
    with pytest.raises(WaitTimeout, match="job job-1 continues") as caught:
        client.call("ping", timeout_s=0.05)
    assert caught.value.job_id == "job-1"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_input", InvalidInputError),
        ("unknown_type", InvalidInputError),
        ("not_found", NotFoundError),
        ("conflict", ConflictError),
        ("gpu_unavailable", JobFailed),
    ],
)
def test_a_workers_error_keeps_its_sentence_code_hint_and_details(
    client: Client, queue: FakeQueue, code: str, kind: type[JobFailed]
) -> None:
    queue.actions["train"] = lambda _: {
        "error": "Something is wrong.",
        "code": code,
        "hint": "Do this.",
        "details": [{"field": "steps", "error": "is required"}],
    }

    with pytest.raises(JobFailed) as caught:
        client.call("train")
    assert type(caught.value) is kind
    assert caught.value.message == "Something is wrong."
    assert str(caught.value) == "Something is wrong. Do this."
    assert (caught.value.code, caught.value.hint) == (code, "Do this.")
    assert caught.value.details == ({"field": "steps", "error": "is required"},)
    assert caught.value.job_id == "job-1"


def test_an_exception_that_the_sdk_reported_is_read_down_to_its_message(
    client: Client, queue: FakeQueue
) -> None:
    report = {"error_type": "<class 'KeyError'>", "error_message": "no such key", "error_traceback": "..."}
    queue.actions["ping"] = lambda _: {"error": json.dumps(report)}

    with pytest.raises(JobFailed, match=r"^no such key$") as caught:
        client.call("ping")
    assert caught.value.retryable


@pytest.mark.parametrize(("state", "kind"), [("CANCELLED", JobCancelled), ("TIMED_OUT", JobTimedOut)])
def test_a_job_that_was_ended_by_the_queue_is_an_error(
    client: Client, queue: FakeQueue, state: str, kind: type[Exception]
) -> None:
    queue.slow = True
    queue.states = [{"status": state}]

    with pytest.raises(kind, match="job-1"):
        client.call("ping")


def test_status_cancel_and_health(client: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "IN_PROGRESS", "output": {"step": 3}}]

    assert client.status("abc").output == {"step": 3}
    assert client.cancel("abc").status is JobStatus.CANCELLED
    assert client.health()["workers"] == {"idle": 1}


@pytest.mark.parametrize(("method", "size_bytes"), [("run", 10_000_000), ("runsync", 20_000_000)])
def test_a_body_beyond_the_queues_limit_is_never_sent(
    client: Client, queue: FakeQueue, method: str, size_bytes: int
) -> None:
    with pytest.raises(RequestTooLarge, match=f"takes {size_bytes}"):
        getattr(client, method)({"type": "x", "content": "a" * size_bytes})
    assert queue.requests == []


def test_an_answer_that_is_no_jobs_is_told_as_such(client: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "DANCING"}]
    with pytest.raises(EndpointError, match="queue endpoint"):
        client.status("abc")


@pytest.mark.parametrize("url", ["ftp://x/v2/a", "api.runpod.ai/v2/a", "https://user:secret@host/v2/a"])
def test_an_address_that_cannot_work_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        Client(url)
    assert "secret" not in str(caught.value)


def test_runpods_own_address(queue: FakeQueue) -> None:
    with Client.runpod("abc123", "rpa_made_up_key") as client:
        assert repr(client) == "Client('https://api.runpod.ai/v2/abc123')"


@pytest.mark.parametrize("base", ["http://127.0.0.1:9/v2", "http://127.0.0.1:9/v2/"])
def test_another_address_of_the_queues(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_ENDPOINT_BASE_URL", base)
    with Client.runpod("abc123", "rpa_made_up_key", front_door="door1") as client:
        assert client.url == "http://127.0.0.1:9/v2/abc123"
    monkeypatch.setenv("RUNPOD_ENDPOINT_BASE_URL", "https://user:secret@host/v2")
    with pytest.raises(ValueError, match="URL") as caught:
        Client.runpod("abc123", "rpa_made_up_key")
    assert "secret" not in str(caught.value)
