"""The queue API, with the real SDK loop behind it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from tests.integration.endpoint_caller import COMMAND, Caller, eventually

from lorapod.endpoint import EndpointConfig, LocalEndpoint, WorkerState

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint() -> AsyncIterator[LocalEndpoint]:
    config = EndpointConfig(command=COMMAND, ping_interval_s=1, webhook_wait_s=0.05)
    async with LocalEndpoint(config) as endpoint:
        yield endpoint


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(endpoint: LocalEndpoint) -> AsyncIterator[Caller]:
    async with Caller(endpoint.url) as caller:
        yield caller


@pytest_asyncio.fixture(loop_scope="module")
async def hooks() -> AsyncIterator[tuple[str, asyncio.Queue[dict[str, Any]]]]:
    """A receiver of webhooks that is not well at first: its address, and what it took."""
    taken: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    calls = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            return web.Response(status=503)
        taken.put_nowait(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", taken
    await runner.cleanup()


async def test_runsync_answers_the_result(caller: Caller, endpoint: LocalEndpoint) -> None:
    answer = await caller.runsync("echo", text="Grüße, 世界")
    assert answer["status"] == "COMPLETED"
    assert answer["id"].startswith("sync-")
    assert answer["output"]["echo"] == {"do": "echo", "text": "Grüße, 世界"}
    assert answer["workerId"] == endpoint.workers[0].worker_id
    assert isinstance(answer["delayTime"], int)
    assert 0 <= answer["executionTime"] < 10_000


async def test_run_answers_at_once_and_status_tells_the_rest(caller: Caller) -> None:
    job_id = await caller.run("echo")
    answer = await caller.until(job_id, "COMPLETED")
    assert answer["output"]["echo"] == {"do": "echo"}
    assert (await caller.call("POST", f"/status/{job_id}"))[1] == answer


async def test_the_queue_is_served_at_the_root_too(caller: Caller, endpoint: LocalEndpoint) -> None:
    async with Caller(endpoint.base_url) as at_the_root:
        assert (await at_the_root.runsync("echo"))["status"] == "COMPLETED"
    async with caller.session.get(f"{endpoint.base_url}/v2/another/health") as response:
        assert response.status == 404


async def test_an_answered_error_fails_the_job_and_keeps_the_rest(caller: Caller) -> None:
    answer = await caller.runsync("fail", sentence="steps is not a number")
    assert answer["status"] == "FAILED"
    assert answer["error"] == "steps is not a number"
    assert answer["output"] == {"code": "invalid_input"}


async def test_an_exception_fails_the_job(caller: Caller) -> None:
    answer = await caller.runsync("explode")
    assert answer["status"] == "FAILED"
    assert "the handler raised" in answer["error"]


async def test_progress_shows_while_it_runs_and_never_replaces_the_result(
    caller: Caller, tmp_path: Path
) -> None:
    job_id = await caller.run("progress", go_on=str(tmp_path / "go-on"))

    async def has_progress() -> bool:
        answer = await caller.status(job_id)
        return bool(answer["status"] == "IN_PROGRESS" and answer.get("output") == {"step": 1})

    await eventually(has_progress, "the first progress update")
    (tmp_path / "go-on").touch()
    assert (await caller.until(job_id, "COMPLETED"))["output"] == {"done": True}
    await caller.runsync("sleep", seconds=0.5)
    assert (await caller.status(job_id))["output"] == {"done": True}


async def test_runsync_answers_the_id_when_its_wait_is_over(caller: Caller, tmp_path: Path) -> None:
    body = {"input": {"do": "sleep", "seconds": 1.5, "cancelled": str(tmp_path / "c")}}
    status, answer = await caller.call("POST", "/runsync?wait=1000", body)
    assert (status, answer["status"]) == (200, "IN_PROGRESS")
    assert (await caller.until(answer["id"], "COMPLETED"))["output"]["slept"] == 1.5


async def test_cancel_reaches_the_handler(caller: Caller, endpoint: LocalEndpoint, tmp_path: Path) -> None:
    job_id = await caller.run("sleep", seconds=600, cancelled=str(tmp_path / "cancelled"))
    await caller.until(job_id, "IN_PROGRESS")
    status, answer = await caller.call("POST", f"/cancel/{job_id}")
    assert (status, answer) == (200, {"id": job_id, "status": "CANCELLED"})
    await eventually((tmp_path / "cancelled").exists, "CancelledError in the handler")
    await eventually(lambda: endpoint.workers[0].state is WorkerState.IDLE, "an idle worker")


async def test_a_handler_that_ignores_its_cancellation_changes_nothing(
    caller: Caller, endpoint: LocalEndpoint, tmp_path: Path
) -> None:
    asked = {"go_on": str(tmp_path / "go-on"), "cancelled": str(tmp_path / "cancelled")}
    job_id = await caller.run("ignore_cancel", **asked)
    await caller.until(job_id, "IN_PROGRESS")
    await caller.call("POST", f"/cancel/{job_id}")
    await eventually((tmp_path / "cancelled").exists, "CancelledError in the handler")
    assert endpoint.workers[0].state is WorkerState.RUNNING
    (tmp_path / "go-on").touch()
    await eventually(lambda: endpoint.workers[0].state is WorkerState.IDLE, "the handler's return")
    answer = await caller.status(job_id)
    assert answer["status"] == "CANCELLED"
    assert "output" not in answer


async def test_a_worker_with_room_answers_while_it_works(caller: Caller, tmp_path: Path) -> None:
    long = await caller.run(
        "sleep", seconds=600, cancelled=str(tmp_path / "cancelled"), started=str(tmp_path / "started")
    )
    await eventually((tmp_path / "started").exists, "the long job")
    answer = await caller.runsync("echo")
    assert answer["status"] == "COMPLETED"
    assert (await caller.status(long))["status"] == "IN_PROGRESS"
    assert (await caller.health())["jobs"]["inProgress"] == 1
    await caller.call("POST", f"/cancel/{long}")
    await eventually((tmp_path / "cancelled").exists, "the end of the long job")


async def test_a_large_result_arrives_whole(caller: Caller) -> None:
    answer = await caller.runsync("big", size_bytes=19_000_000)
    digest = hashlib.sha256(answer["output"]["data"].encode()).hexdigest()
    assert digest == hashlib.sha256(b"x" * 19_000_000).hexdigest()


async def test_a_result_beyond_the_limit_fails_the_job(caller: Caller) -> None:
    answer = await caller.runsync("big", size_bytes=20_000_001)
    assert answer["status"] == "FAILED"
    assert "larger than 20 MB" in answer["error"]
    assert (await caller.runsync("echo"))["status"] == "COMPLETED"


async def test_a_result_that_is_not_json_fails_the_job(caller: Caller) -> None:
    answer = await caller.runsync("not_a_number")
    assert answer["status"] == "FAILED"
    assert "NaN is not JSON" in answer["error"]


async def test_a_job_whose_result_never_came_is_tried_again(caller: Caller, tmp_path: Path) -> None:
    before = (await caller.health())["jobs"]["retried"]
    answer = await caller.runsync("lose_result", once=str(tmp_path / "once"))
    assert answer["output"] == {"recovered": True}
    assert (await caller.health())["jobs"]["retried"] == before + 1


async def test_a_job_sent_to_a_blocked_worker_runs_once(caller: Caller, tmp_path: Path) -> None:
    before = (await caller.health())["jobs"]["retried"]
    blocker = await caller.run("block", seconds=3.2, started=str(tmp_path / "started"))
    await eventually((tmp_path / "started").exists, "the blocking job")
    assert (await caller.runsync("echo"))["status"] == "COMPLETED"
    assert (await caller.until(blocker, "COMPLETED"))["output"] == {"blocked": True}
    assert (await caller.health())["jobs"]["retried"] == before


@pytest.mark.parametrize(("path", "limit_bytes"), [("/run", 10_000_000), ("/runsync", 20_000_000)])
async def test_a_body_beyond_the_limit_is_refused(caller: Caller, path: str, limit_bytes: int) -> None:
    status, answer = await caller.call("POST", path, {"input": {"do": "echo", "data": "x" * limit_bytes}})
    assert status == 413
    assert f"larger than {limit_bytes // 1_000_000} MB" in answer["error"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "input"),
        ({"input": "text"}, "input"),
        ([], "object"),
        ({"input": {}, "policy": {"executionTimeout": 4_999}}, "policy.executionTimeout"),
        ({"input": {}, "policy": {"ttl": 7 * 86_400_000 + 1}}, "policy.ttl"),
        ({"input": {}, "policy": {"ttl": True}}, "policy.ttl"),
        ({"input": {}, "policy": []}, "policy"),
        ({"input": {}, "webhook": "file:///etc/passwd"}, "webhook"),
        ({"input": {}, "s3Config": "mine"}, "s3Config"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(caller: Caller, body: Any, named: str) -> None:
    status, answer = await caller.call("POST", "/run", body)
    assert status == 400
    assert named in answer["error"]


@pytest.mark.parametrize("wait", ["999", "300001", "long", "-1", "²"])
async def test_a_wait_out_of_range_is_refused(caller: Caller, wait: str) -> None:
    status, answer = await caller.call("POST", f"/runsync?wait={wait}", {"input": {"do": "echo"}})
    assert (status, "wait" in answer["error"]) == (400, True)


async def test_an_unknown_job_is_not_found(caller: Caller) -> None:
    for method, path in (("GET", "/status/no"), ("POST", "/cancel/no"), ("GET", "/stream/no")):
        status, answer = await caller.call(method, path)
        assert (status, "no job no" in answer["error"]) == (404, True)


async def test_unknown_policies_are_ignored_and_s3_config_is_handed_on(caller: Caller) -> None:
    body = {
        "input": {"do": "echo"},
        "policy": {"executionTimeout": 5_000, "ttl": 5_000, "colour": "blue"},
        "s3Config": {"bucketName": "mine"},
    }
    _, answer = await caller.call("POST", "/runsync", body)
    assert answer["output"]["s3"] == {"bucketName": "mine"}


async def test_a_webhook_hears_the_end_even_if_it_fails_once(
    caller: Caller, hooks: tuple[str, asyncio.Queue[dict[str, Any]]]
) -> None:
    url, taken = hooks
    _, answer = await caller.call("POST", "/run", {"input": {"do": "echo"}, "webhook": url})
    async with asyncio.timeout(20):
        heard = await taken.get()
    assert heard == await caller.status(answer["id"])
    assert heard["status"] == "COMPLETED"


async def test_health_counts(caller: Caller) -> None:
    before = (await caller.health())["jobs"]
    await caller.runsync("echo")
    await caller.runsync("explode")
    health = await caller.health()
    assert health["jobs"] == {
        **before,
        "completed": before["completed"] + 1,
        "failed": before["failed"] + 1,
        "inProgress": 0,
        "inQueue": 0,
    }
    assert health["workers"] == {
        "idle": 1,
        "initializing": 0,
        "ready": 1,
        "running": 0,
        "throttled": 0,
        "unhealthy": 0,
    }


async def test_a_purge_empties_the_queue_and_leaves_what_runs(
    caller: Caller, endpoint: LocalEndpoint, tmp_path: Path
) -> None:
    asked = [{"seconds": 600, "cancelled": str(tmp_path / str(number))} for number in range(4)]
    running = [await caller.run("sleep", **each) for each in asked]
    for job_id in running:
        await caller.until(job_id, "IN_PROGRESS")
    waiting = [await caller.run("echo") for _ in range(3)]
    assert (await caller.health())["jobs"]["inQueue"] == 3
    assert (await caller.call("POST", "/purge-queue"))[1] == {"removed": 3, "status": "completed"}
    assert [(await caller.status(job_id))["status"] for job_id in waiting] == ["CANCELLED"] * 3
    assert [(await caller.status(job_id))["status"] for job_id in running] == ["IN_PROGRESS"] * 4
    cancelled = await caller.run("echo")
    assert (await caller.call("POST", f"/cancel/{cancelled}"))[1]["status"] == "CANCELLED"
    for job_id in running:
        await caller.call("POST", f"/cancel/{job_id}")
    for each in asked:
        await eventually(Path(str(each["cancelled"])).exists, "the end of a running job")
