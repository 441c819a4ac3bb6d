"""The fast entry behind the real SDK loop: real environments, the real worker in them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.error_log import error_log
from tests.integration.endpoint_caller import Caller, eventually
from tests.integration.fast.local_index import pip_environment, put_gated, put_heavy, put_lock
from tests.tiny_models import tiny_model

from lorapod.client.drawing.creature import draw_creatures
from lorapod.endpoint import EndpointConfig, LocalEndpoint

pytestmark = pytest.mark.timeout(480)

HANDLER = Path(__file__).parents[3] / "FastBackend/handler_fast.py"
DEADLINE_S = 150.0
LEASE_S = 2.0


class Desk:
    """Calls the workers behind an endpoint."""

    def __init__(self, endpoint: LocalEndpoint, caller: Caller) -> None:
        self.endpoint = endpoint
        self.caller = caller

    async def send(self, **fields: Any) -> dict[str, Any]:
        """A job that is waited for, however it ends."""
        status, job = await self.caller.call("POST", "/runsync?wait=120000", {"input": fields})
        assert status == 200, job
        return dict(job)

    async def ask(self, **fields: Any) -> dict[str, Any]:
        job = await self.send(**fields)
        assert job["status"] == "COMPLETED", job
        return dict(job["output"])

    async def refused(self, **fields: Any) -> dict[str, Any]:
        job = await self.send(**fields)
        assert job["status"] == "FAILED", job
        return {**job["output"], "error": job["error"]}

    async def start(self, **fields: Any) -> str:
        status, job = await self.caller.call("POST", "/run", {"input": fields})
        assert status == 200, job
        return str(job["id"])

    async def environment(self) -> dict[str, Any]:
        return dict((await self.ask(type="health"))["environment"])

    async def until_environment(self, status: str) -> dict[str, Any]:
        async def reached() -> Any:
            now = await self.environment()
            return now if now["status"] == status else None

        return dict(await eventually(reached, f"the environment is {status}", DEADLINE_S))

    async def until_process(self, process_id: str, *statuses: str) -> dict[str, Any]:
        async def reached() -> Any:
            now = await self.ask(type="process_status", process_id=process_id)
            return now if now["status"] in statuses else None

        return dict(await eventually(reached, f"{process_id} is {statuses}", DEADLINE_S))

    async def until(self, job_id: str, state: str) -> dict[str, Any]:
        async def reached() -> Any:
            now = await self.caller.status(job_id)
            return now if now["status"] == state else None

        return dict(await eventually(reached, f"job {job_id} {state}", DEADLINE_S))

    async def update(self, job_id: str, key: str) -> dict[str, Any]:
        """The first progress update of a job that has `key`."""

        async def output() -> Any:
            now = (await self.caller.status(job_id)).get("output") or {}
            return now if key in now else None

        return dict(await eventually(output, f"an update with {key}", DEADLINE_S))

    @property
    def pid(self) -> int:
        (worker,) = self.endpoint.workers
        assert worker.pid is not None
        return worker.pid

    @property
    def inner(self) -> psutil.Process:
        """The real worker behind the entry."""
        (found,) = [
            child
            for child in psutil.Process(self.pid).children()
            if "lorapod.fast.serving" in child.cmdline()
        ]
        return found


@asynccontextmanager
async def serving(
    folder: Path, index: Path, lock: Path, *, workers: int = 1, **environment: str
) -> AsyncIterator[Desk]:
    config = EndpointConfig(
        command=[sys.executable, str(HANDLER)],
        environment={
            "WORKSPACE_PATH": str(folder / "volume"),
            "FAST_LOCK": str(lock),
            "DISK_MIN_FREE_BYTES": "0",
            "LEASE_S": str(LEASE_S),
            "PROGRESS_INTERVAL_S": "0.3",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "TRAINER": "builtin",
            **pip_environment(index),
            **environment,
        },
        workers=workers,
        ping_interval_s=1,
        stop_grace_s=30.0,
        log_folder=error_log.watch(folder / "logs"),
    )
    async with LocalEndpoint(config) as endpoint, Caller(endpoint.url) as caller:
        yield Desk(endpoint, caller)


@pytest.fixture(scope="module")
def tiny() -> Path:
    """A base model with random weights."""
    pytest.importorskip("diffusers", reason="needs the `builtin` extra")
    return tiny_model()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    put_heavy(tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return put_lock(tmp_path / "lock.txt", "heavy==1.0")


@pytest.fixture
def gate(tmp_path: Path, index: Path, lock: Path) -> Path:
    """pip stands still until this file is there."""
    put_gated(index, tmp_path / "gate")
    put_lock(lock, "heavy==1.0", "gated==1.0")
    return tmp_path / "gate"


def open_gate(gate: Path) -> None:
    gate.touch()


async def test_what_can_be_answered_at_once_is_and_the_rest_waits(
    tmp_path: Path, index: Path, lock: Path, gate: Path
) -> None:
    async with serving(tmp_path, index, lock) as desk:
        assert (await desk.ask(type="ping"))["pong"] is True
        assert (await desk.ask(type="echo", any=["thing"]))["echo"] == {"any": ["thing"]}
        health = await desk.ask(type="health")
        assert (health["status"], health["checks"][0]["name"]) == ("degraded", "environment")

        job_id = await desk.start(type="processes")
        told = await desk.update(job_id, "environment")
        assert (told["status"], told["sequence"] >= 1) == ("preparing", True)
        await eventually(gate.with_suffix(".reached").exists, "pip in the gated package", DEADLINE_S)
        view = await desk.environment()
        assert (view["status"], view["step"]) == ("preparing", "fetching")
        assert 0 < view["percent"] < 100
        assert view["remaining_s"] > 0

        answer = await desk.refused(type="train", preset="sd15", if_preparing="refuse")
        assert answer["code"] == "conflict"
        assert answer["details"][0]["remaining_s"] > 0
        assert "Send it again in about" in answer["hint"]
        assert (await desk.refused(type="ping", x=1))["code"] == "invalid_input"
        assert (await desk.refused(type="train", if_preparing="perhaps"))["code"] == "invalid_input"

        open_gate(gate)
        job = await desk.until(job_id, "COMPLETED")
        assert job["output"]["processes"] == []
        health = await desk.ask(type="health")
        assert health["environment"]["status"] == "ready"
        assert {check["name"] for check in health["checks"]} >= {"workspace", "disk"}
        assert (await desk.refused(type="trian"))["code"] == "unknown_type"


async def test_two_workers_make_one_environment(tmp_path: Path, index: Path, lock: Path, gate: Path) -> None:
    async with serving(tmp_path, index, lock, workers=2, WORKER_CONCURRENCY="1") as desk:
        jobs = [await desk.start(type="keep_alive", duration_s=1) for _ in range(2)]
        await eventually(gate.with_suffix(".reached").exists, "pip in the gated package", DEADLINE_S)
        open_gate(gate)
        ended = [await desk.until(job_id, "COMPLETED") for job_id in jobs]
        assert len({job["output"]["worker_id"] for job in ended}) == 2
    (environments,) = (tmp_path / "volume/.environments").iterdir()
    assert len(list(environments.glob("build_*"))) == 1


async def test_a_failure_is_told_and_tried_again_when_asked(tmp_path: Path, lock: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    async with serving(tmp_path, index, lock) as desk:
        failed = await desk.refused(type="processes")
        assert failed["code"] == "upstream_error"
        assert "heavy==1.0" in failed["error"]
        view = await desk.environment()
        assert (view["status"], view["failure"]["code"]) == ("failed", "upstream_error")
        assert (await desk.ask(type="ping"))["pong"] is True
        # What has just failed is not tried again by every job.
        assert (await desk.refused(type="processes"))["code"] == "upstream_error"
        put_heavy(index)
        ready = await desk.ask(type="setup_environment")
        assert ready["environment"]["status"] == "ready"
        assert (await desk.ask(type="processes"))["processes"] == []


def ended(process: psutil.Process) -> bool:
    """Return whether it runs no more; the machine's first process may take its time to reap an orphan."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_stopped_while_it_prepares(tmp_path: Path, index: Path, lock: Path, gate: Path) -> None:
    async with serving(tmp_path, index, lock) as desk:
        job_id = await desk.start(type="processes")
        await eventually(gate.with_suffix(".reached").exists, "pip in the gated package", DEADLINE_S)
        worker = psutil.Process(desk.pid)
        # The ping process, which the SDK forks, lives as long as the worker; it is no part of the build.
        builders = [one for one in worker.children(recursive=True) if one.cmdline() != worker.cmdline()]
        assert builders
        os.kill(desk.pid, signal.SIGTERM)
        job = await desk.until(job_id, "FAILED")
        assert "being stopped" in job["error"]
        await eventually(lambda: all(ended(child) for child in builders), "the end of the build")


async def test_a_forced_build_counts_for_the_next_worker(tmp_path: Path, index: Path, lock: Path) -> None:
    async with serving(tmp_path, index, lock) as desk:
        await desk.ask(type="setup_environment")
        before = desk.inner.exe(), desk.inner.pid
        forced = await desk.ask(type="setup_environment", force=True)
        assert "from now on" in forced["note"]
        # Whatever runs goes on in its own.
        assert (desk.inner.exe(), desk.inner.pid) == before
        old = Path(desk.inner.cmdline()[0])
    async with serving(tmp_path, index, lock) as desk:
        await desk.ask(type="setup_environment")
        assert Path(desk.inner.cmdline()[0]).parent.parent.parent == old.parent.parent.parent
        assert Path(desk.inner.cmdline()[0]) != old


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A volume with images and a model; the environment that the first worker prepares there stays."""
    folder = tmp_path_factory.mktemp("prepared")
    put_heavy(folder / "index")
    put_lock(folder / "lock.txt", "heavy==1.0")
    pictures = folder / "volume/training_data/shapes"
    pictures.mkdir(parents=True)
    draw_creatures(pictures)
    shutil.copytree(tiny, folder / "volume/models/tiny")
    return folder


class TestTheRealWorkerBehind:
    """With a training of the builtin trainer, as long as the test needs it."""

    pytestmark = pytest.mark.torch

    @pytest.fixture
    async def desk(self, prepared: Path) -> AsyncIterator[Desk]:
        async with serving(prepared, prepared / "index", prepared / "lock.txt") as desk:
            yield desk

    @staticmethod
    async def train(desk: Desk, steps: int = 100_000) -> tuple[str, str]:
        """A waiting training that has begun to train; its job and its process."""
        config = {
            "job": "extension",
            "config": {
                "name": "shapes",
                "process": [
                    {
                        "type": "diffusion_trainer",
                        "datasets": [{"folder_path": "training_data/shapes", "resolution": [32]}],
                        "train": {"steps": steps, "batch_size": 1, "lr": 1e-4},
                        "save": {"save_every": 10},
                        "model": {"name_or_path": "models/tiny", "arch": "sd1"},
                        "network": {"type": "lora", "linear": 2},
                        "sample": {"sample_every": 1_000_000, "prompts": []},
                    }
                ],
            },
        }
        job_id = await desk.start(type="train", config=config, trainer="builtin", wait=True)
        process_id = str((await desk.update(job_id, "process_id"))["process_id"])
        if steps > 1000:

            async def trains() -> Any:
                now = await desk.ask(type="process_status", process_id=process_id)
                assert now["status"] in {"queued", "preparing", "running"}, now
                return now["progress"]["step"] > 12

            await eventually(trains, "a step", DEADLINE_S)
        return job_id, process_id

    async def test_trainings_are_answered_whole_and_stopped_with_their_jobs(self, desk: Desk) -> None:
        job_id, process_id = await self.train(desk, steps=20)
        job = await desk.until(job_id, "COMPLETED")
        assert (job["output"]["process_id"], job["output"]["status"]) == (process_id, "completed")
        job_id, process_id = await self.train(desk)
        await desk.caller.call("POST", f"/cancel/{job_id}")
        ended = await desk.until_process(process_id, "cancelled")
        assert ended["checkpoints"]

    async def test_sigterm_interrupts_it_with_a_checkpoint(self, desk: Desk) -> None:
        job_id, process_id = await self.train(desk)
        os.kill(desk.pid, signal.SIGTERM)
        job = await desk.until(job_id, "COMPLETED")
        assert (job["output"]["process_id"], job["output"]["status"]) == (process_id, "interrupted")
        assert job["output"]["resumable"] is True
        # The endpoint has started another worker, which finds environment and process.
        assert (await desk.until_process(process_id, "interrupted"))["resumable"] is True

    async def test_an_entry_that_is_killed_takes_nothing_with_it(self, desk: Desk) -> None:
        _, process_id = await self.train(desk)
        inner = desk.inner
        os.kill(desk.pid, signal.SIGKILL)
        await asyncio.to_thread(inner.wait, DEADLINE_S)
        assert (await desk.until_process(process_id, "interrupted", "running", "completed"))["checkpoints"]

    async def test_a_real_worker_that_is_killed_is_told_and_started_again(self, desk: Desk) -> None:
        job_id, process_id = await self.train(desk)
        desk.inner.kill()
        job = await desk.until(job_id, "FAILED")
        assert "killed by signal 9" in job["error"]
        assert (await desk.ask(type="ping"))["pong"] is True
        ended = await desk.until_process(process_id, "interrupted")
        assert ended["resumable"] is True
