from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from lorapod.client import Client, EndpointError, JobNotFound, RetryPolicy
from lorapod.testing.fake_queue import FakeQueue


@pytest.fixture
def both(queue: FakeQueue) -> Iterator[Client]:
    queue.actions = {name: lambda _: {} for name in ("processes", "train", "ping")}
    once = RetryPolicy(attempts=1)
    door = "https://runpod.test/v2/door"
    with Client("https://runpod.test/v2/gpu", "rpa_x", front_door=door, retries=once, http=queue) as client:
        yield client


def ways(queue: FakeQueue) -> list[str]:
    return [request.url.path.removeprefix("/v2/") for request in queue.requests]


def test_each_request_goes_to_the_endpoint_that_can_do_it(both: Client, queue: FakeQueue) -> None:
    both.call("processes")
    both.call("train")
    both.run({"type": "processes"})
    both.run({"prompt": "a cat"})
    both.health()

    assert ways(queue) == ["door/runsync", "gpu/runsync", "door/run", "gpu/run", "gpu/health"]
    assert both.url.endswith("/v2/gpu")


def test_without_a_front_door_everything_goes_to_the_one_endpoint(client: Client, queue: FakeQueue) -> None:
    queue.actions["processes"] = lambda _: {}
    queue.states = [{"status": "COMPLETED"}]

    client.call("processes")
    client.status("job-1")

    assert ways(queue) == ["fake/runsync", "fake/status/job-1"]


def test_a_job_is_asked_for_where_it_is(both: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "IN_PROGRESS"}, {"status": "COMPLETED"}]

    job = both.run({"type": "processes"})
    both.status(job.job_id)
    both.status(job.job_id)

    assert ways(queue)[1:] == ["door/status/job-1", "door/status/job-1"]


def test_a_job_of_an_earlier_client_is_found_on_either(both: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "IN_PROGRESS"}]
    queue.trouble = [httpx.Response(404)]
    both.status("job-9")
    both.cancel("job-9")
    queue.trouble = [httpx.Response(404), httpx.Response(404)]
    with pytest.raises(JobNotFound):
        both.status("job-8")

    assert ways(queue) == [
        *("gpu/status/job-9", "door/status/job-9", "door/cancel/job-9"),
        *("gpu/status/job-8", "door/status/job-8"),
    ]


def test_a_front_door_that_is_gone_is_named_with_what_to_do(both: Client, queue: FakeQueue) -> None:
    queue.trouble = [httpx.Response(404)]

    with pytest.raises(EndpointError, match="v2/door") as caught:
        both.call("processes")

    assert "lorapod deploy --front-door cpu" in caught.value.hint
    assert "LORAPOD_FRONT_DOOR=none" in caught.value.hint
