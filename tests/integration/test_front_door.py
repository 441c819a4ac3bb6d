"""Two endpoints on one workspace: one that trains, and its front door without a GPU, on real workers."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.served_worker import worker_config
from typer.testing import CliRunner

from lorapod.client import Client, JobFailed
from lorapod.client.cli import app
from lorapod.client.serving import serving
from lorapod.endpoint import LocalEndpoint

DEADLINE_S = 30.0
LONG = {"name": "long", "steps": 100_000}


@dataclass(frozen=True, kw_only=True)
class Pair:
    gpu: LocalEndpoint
    door: LocalEndpoint
    client: Client

    def until(self, process_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + DEADLINE_S
        while not reached(now := self.client.process_status(process_id).answer()):
            assert time.monotonic() < end, now
            time.sleep(0.05)
        return now

    def training(self) -> str:
        """Start a long training, and wait for its first steps."""
        training = self.client.train(config=LONG, trainer="script", wait=False)
        self.until(training.process_id, lambda now: bool(now["progress"]["step"]))
        return training.process_id


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    workspace = tmp_path_factory.mktemp("volume")
    # What a person might copy from the other endpoint must not make the front door train.
    door_env = {"FRONT_DOOR_OF": "gpu", "AUTO_RESUME": "true", "TRAINER": "script", "LEASE_S": "2"}
    with ExitStack() as stack:
        gpu = stack.enter_context(
            serving(worker_config(workspace, endpoint_id="gpu", environment={"LEASE_S": "2"}))
        )
        door = stack.enter_context(
            serving(worker_config(workspace, endpoint_id="door", environment=door_env))
        )
        client = stack.enter_context(Client(gpu.url, front_door=door.url))
        yield Pair(gpu=gpu, door=door, client=client)


def jobs(endpoint: LocalEndpoint) -> int:
    """How many jobs of an endpoint are completed."""
    with Client(endpoint.url) as client:
        return int(client.health()["jobs"]["completed"])


def worker_of(endpoint: LocalEndpoint) -> str | None:
    return endpoint.workers[0].worker_id


def test_what_is_uploaded_at_the_front_door_is_trained_on_the_other_and_steered_from_the_front_door(
    pair: Pair, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "one.png")
    before = jobs(pair.gpu)
    pair.client.upload_dataset(tmp_path, "pictures")
    assert jobs(pair.gpu) == before, "the upload took no GPU"

    training = pair.client.train(
        config=LONG, trainer="script", dataset={"training_name": "pictures"}, wait=False
    )
    status = pair.until(training.process_id, lambda now: now["progress"]["step"] > 5)
    assert status["worker_id"] == worker_of(pair.gpu)
    begun = jobs(pair.gpu)
    assert "started long" in pair.client.logs(training.process_id)
    assert (
        pair.client.call("processes", status="running")["processes"][0]["process_id"] == training.process_id
    )

    pair.client.cancel_process(training.process_id)

    ended = pair.until(training.process_id, lambda now: now["status"] == "cancelled")
    assert ended["worker_id"] == worker_of(pair.gpu)
    assert jobs(pair.gpu) == begun, "only `train` went to the endpoint with GPUs"


@pytest.mark.parametrize(
    "request_",
    [
        {"type": "train", "config": LONG, "trainer": "script"},
        {"type": "generate", "prompt": "a cat"},
        {"type": "caption_dataset", "training_name": "pictures"},
        {"prompt": "a cat"},
    ],
)
def test_a_front_door_refuses_what_needs_a_gpu_and_names_the_endpoint(
    pair: Pair, request_: dict[str, Any]
) -> None:
    with Client(pair.door.url) as alone, pytest.raises(JobFailed) as caught:
        alone.runsync(request_).result()

    assert caught.value.code == "unsupported"
    assert "runs on the endpoint gpu" in caught.value.message
    assert "https://api.runpod.ai/v2/gpu/run" in caught.value.hint


def test_a_front_door_takes_up_no_training_of_a_dead_worker(pair: Pair) -> None:
    process_id = pair.training()
    (worker,) = pair.gpu.workers
    assert worker.pid is not None

    os.killpg(os.getpgid(worker.pid), signal.SIGKILL)

    # The front door is the worker that finds out.
    pair.until(process_id, lambda now: now["status"] == "interrupted")
    with Client(pair.door.url) as alone, pytest.raises(JobFailed, match="runs on the endpoint gpu"):
        alone.call("resume", process_id=process_id)
    assert pair.client.process_status(process_id).status == "interrupted"
    # The endpoint with GPUs still can.
    pair.client.resume(process_id, wait=False)
    pair.until(process_id, lambda now: now["status"] == "running")
    pair.client.cancel_process(process_id)
    pair.until(process_id, lambda now: now["status"] == "cancelled")


def test_a_front_door_is_well_without_a_gpu(pair: Pair) -> None:
    with Client(pair.door.url) as alone:
        health = alone.call("health")

    assert health["status"] == "ok"
    assert {"name": "front_door", "ok": True} in [
        {name: check[name] for name in ("name", "ok")} for check in health["checks"]
    ]


def test_the_command_line_uses_both(pair: Pair) -> None:
    before = jobs(pair.gpu), jobs(pair.door)
    env = {"LORAPOD_URL": pair.gpu.url, "LORAPOD_FRONT_DOOR": pair.door.url}

    listed = CliRunner().invoke(app, ["processes", "--json"], env=env)
    pinged = CliRunner().invoke(app, ["ping", "--json"], env=env)

    assert json.loads(listed.output)["processes"], listed.output
    assert json.loads(pinged.output)["worker_id"] == worker_of(pair.gpu)
    after = jobs(pair.gpu), jobs(pair.door)
    assert after == (before[0] + 1, before[1] + 1)
