"""The endpoint's workers: real SDK processes that die, hang, idle and are stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from tests.integration.endpoint_caller import COMMAND, Caller, eventually

from lorapod.endpoint import EndpointConfig, EndpointLimits, LocalEndpoint, WorkerState


def config(**changes: Any) -> EndpointConfig:
    return EndpointConfig(
        **{"command": COMMAND, "ping_interval_s": 1, "stop_grace_s": 5.0, "restart_wait_s": 0.05, **changes}
    )


def family(pid: int) -> list[psutil.Process]:
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def leader_of(endpoint: LocalEndpoint, state: WorkerState = WorkerState.IDLE) -> int:
    await eventually(lambda: endpoint.workers[0].state is state, f"a worker that is {state}")
    pid = endpoint.workers[0].pid
    assert pid is not None
    return pid


async def test_a_job_of_a_killed_worker_runs_again_on_the_next(tmp_path: Path) -> None:
    async with LocalEndpoint(config()) as endpoint, Caller(endpoint.url) as caller:
        started = tmp_path / "started"
        job_id = await caller.run("sleep", seconds=1.5, cancelled=str(tmp_path / "c"), started=str(started))
        await eventually(started.exists, "the job")
        first = await caller.status(job_id)
        processes = family(await leader_of(endpoint, WorkerState.RUNNING))
        assert len(processes) > 1, "the SDK's heartbeat is a process of its own"
        os.kill(processes[0].pid, signal.SIGKILL)
        answer = await caller.until(job_id, "COMPLETED")
        assert answer["workerId"] != first["workerId"]
        assert (await caller.health())["jobs"]["retried"] == 1
        assert all(gone(process) for process in processes)


async def test_a_job_that_kills_every_worker_fails() -> None:
    settings = config(limits=EndpointLimits(max_attempts=2))  # the third start would show nothing new
    async with LocalEndpoint(settings) as endpoint, Caller(endpoint.url) as caller:
        answer = await caller.runsync("crash")
        assert answer["status"] == "FAILED"
        assert "ended with exit code 3; given up after 2 attempts" in answer["error"]
        assert (await caller.health())["jobs"] == {
            "completed": 0,
            "failed": 1,
            "inProgress": 0,
            "inQueue": 0,
            "retried": 1,
        }


async def test_an_idle_worker_is_stopped_and_a_job_wakes_it() -> None:
    async with LocalEndpoint(config(idle_timeout_s=0.3)) as endpoint, Caller(endpoint.url) as caller:
        assert endpoint.workers[0].state is WorkerState.STOPPED
        patient = {"input": {"do": "echo"}, "policy": {"lowPriority": True}}
        _, low = await caller.call("POST", "/run", patient)
        first = await caller.runsync("echo")
        await caller.until(low["id"], "COMPLETED")
        await leader_gone(endpoint)
        second = await caller.runsync("echo")
        assert first["output"]["pid"] != second["output"]["pid"]
        await leader_gone(endpoint)


async def leader_gone(endpoint: LocalEndpoint) -> None:
    await eventually(lambda: endpoint.workers[0].state is WorkerState.STOPPED, "a stopped worker")
    assert endpoint.workers[0].pid is None


async def test_a_low_priority_job_starts_no_worker() -> None:
    async with LocalEndpoint(config(min_workers=0)) as endpoint, Caller(endpoint.url) as caller:
        body = {"input": {"do": "echo"}, "policy": {"lowPriority": True}}
        _, answer = await caller.call("POST", "/runsync?wait=1000", body)
        assert answer["status"] == "IN_QUEUE"
        assert endpoint.workers[0].state is WorkerState.STOPPED


async def test_more_jobs_than_a_worker_can_hold_start_another(tmp_path: Path) -> None:
    settings = config(workers=2, min_workers=1, scale_up_delay_s=0.2)
    async with LocalEndpoint(settings) as endpoint, Caller(endpoint.url) as caller:
        started = [tmp_path / str(number) for number in range(5)]
        asked = {"seconds": 600, "cancelled": str(tmp_path / "cancelled")}
        jobs = [await caller.run("sleep", started=str(each), **asked) for each in started]
        await eventually(lambda: all(each.exists() for each in started), "all five at once")
        answers = [await caller.status(job_id) for job_id in jobs]
        assert len({answer["workerId"] for answer in answers}) == 2
        for job_id in jobs:
            await caller.call("POST", f"/cancel/{job_id}")


async def test_refresh_worker_replaces_it() -> None:
    async with LocalEndpoint(config()) as endpoint, Caller(endpoint.url) as caller:
        first = await caller.runsync("refresh")
        second = await caller.runsync("echo")
        assert second["status"] == "COMPLETED"
        assert second["output"]["pid"] != first["output"]["pid"]


async def test_an_interrupted_worker_finishes_what_it_can(tmp_path: Path) -> None:
    async with LocalEndpoint(config()) as endpoint, Caller(endpoint.url) as caller:
        asked = {"seconds": 1.5, "cancelled": str(tmp_path / "c"), "started": str(tmp_path / "started")}
        short = await caller.run("sleep", **asked)
        await eventually((tmp_path / "started").exists, "the job")
        first = endpoint.workers[0].worker_id
        assert first is not None
        endpoint.interrupt_worker(first)
        second = await caller.run("echo")
        assert (await caller.until(short, "COMPLETED"))["workerId"] == first
        assert (await caller.until(second, "COMPLETED"))["workerId"] != first
        assert (await caller.health())["jobs"]["retried"] == 0


async def test_a_worker_without_heartbeat_is_unhealthy() -> None:
    async with LocalEndpoint(config(ping_stale_s=2.0)) as endpoint, Caller(endpoint.url) as caller:
        assert (await caller.runsync("echo"))["status"] == "COMPLETED"
        pid = await leader_of(endpoint)
        os.killpg(pid, signal.SIGSTOP)
        await leader_of(endpoint, WorkerState.UNHEALTHY)
        assert (await caller.health())["workers"]["unhealthy"] == 1
        os.killpg(pid, signal.SIGCONT)
        await leader_of(endpoint, WorkerState.IDLE)


async def test_an_execution_timeout_stops_the_handler(tmp_path: Path) -> None:
    settings = config(limits=EndpointLimits(execution_timeout_s=1.0))
    async with LocalEndpoint(settings) as endpoint, Caller(endpoint.url) as caller:
        answer = await caller.runsync("sleep", seconds=600, cancelled=str(tmp_path / "cancelled"))
        assert answer["status"] == "TIMED_OUT"
        assert "execution timeout of 1 s" in answer["error"]
        await eventually((tmp_path / "cancelled").exists, "CancelledError in the handler")


async def test_nothing_runs_after_the_close(tmp_path: Path) -> None:
    async with LocalEndpoint(config(stop_grace_s=1.0)) as endpoint, Caller(endpoint.url) as caller:
        await caller.run("deaf", started=str(tmp_path / "started"))
        await eventually((tmp_path / "started").exists, "a worker that ignores SIGTERM")
        processes = family(await leader_of(endpoint, WorkerState.RUNNING))
    assert len(processes) > 1
    assert all(gone(process) for process in processes)


async def test_a_generator_is_streamed() -> None:
    async with (
        LocalEndpoint(config(command=[*COMMAND, "stream"])) as endpoint,
        Caller(endpoint.url) as caller,
    ):
        job_id = (await caller.call("POST", "/run", {"input": {"to": 3}}))[1]["id"]
        await caller.until(job_id, "COMPLETED")
        _, answer = await caller.call("GET", f"/stream/{job_id}")
        assert [piece["output"]["number"] for piece in answer["stream"]] == [0, 1, 2]
        assert (await caller.call("GET", f"/stream/{job_id}"))[1]["stream"] == []


async def test_the_api_key_is_asked_for() -> None:
    settings = config(api_key="a-key", min_workers=0)
    async with LocalEndpoint(settings) as endpoint, Caller(endpoint.url) as stranger:
        for method, path in (("POST", "/run"), ("GET", "/health"), ("GET", "/status/x")):
            status, answer = await stranger.call(method, path, {"input": {"do": "echo"}})
            assert (status, "API key" in answer["error"]) == (401, True)
        async with Caller(endpoint.url, api_key="a-key") as friend:
            assert (await friend.runsync("echo"))["status"] == "COMPLETED"


@pytest.fixture
def silent_worker() -> list[str]:
    """A process that never speaks, so that the test can speak for it."""
    return [sys.executable, "-c", "import time; time.sleep(600)"]


async def test_a_job_taken_by_a_poll_that_died_goes_to_the_next(silent_worker: list[str]) -> None:
    settings = config(command=silent_worker, stop_grace_s=2.0)
    async with LocalEndpoint(settings) as endpoint, Caller(endpoint.url) as caller:
        pid = await leader_of(endpoint, WorkerState.INITIALIZING)
        environment = psutil.Process(pid).environ()
        take = environment["RUNPOD_WEBHOOK_GET_JOB"].replace("$ID", environment["RUNPOD_POD_ID"])
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TimeoutError):
                await session.get(take, timeout=aiohttp.ClientTimeout(total=0.3))
            job_id = await caller.run("echo")
            async with session.get(take) as response:
                assert (await response.json())["id"] == job_id
            async with session.get(take.replace("/worker/", "/worker/wrong")) as response:
                assert response.status == 404


async def test_the_output_of_a_worker_goes_to_a_file(tmp_path: Path) -> None:
    async with LocalEndpoint(config(log_folder=tmp_path)) as endpoint, Caller(endpoint.url) as caller:
        worker_id = (await caller.runsync("echo"))["workerId"]
    assert "Starting Serverless Worker" in (tmp_path / f"{worker_id}.log").read_text()


async def test_a_command_that_does_not_exist_is_said_at_once() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        await LocalEndpoint(config(command=["no-such-command"])).start()


async def serve() -> tuple[asyncio.subprocess.Process, str]:
    """The command line with one worker, and its address."""
    lorapod = [sys.executable, "-c", "from lorapod.client.cli import main; main()"]
    process = await asyncio.create_subprocess_exec(
        *lorapod, "endpoint", "--port", "0", "--", *COMMAND, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(20):
        while True:
            line = (await process.stderr.readline()).decode()
            assert line, "the command ended before it listened"
            if line.startswith("endpoint:"):
                return process, line.split()[1]


async def test_the_command_line_serves_until_it_is_interrupted() -> None:
    process, url = await serve()
    async with Caller(url) as caller:
        assert (await caller.runsync("echo"))["status"] == "COMPLETED"
    processes = family(process.pid)
    assert len(processes) > 2
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 0
    assert all(gone(each) for each in processes)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
async def test_workers_do_not_outlive_an_endpoint_that_was_killed() -> None:
    process, url = await serve()
    async with Caller(url) as caller:
        assert (await caller.runsync("echo"))["status"] == "COMPLETED"
    processes = family(process.pid)
    process.kill()
    await process.communicate()
    await eventually(lambda: all(gone(each) for each in processes), "the end of the workers")
