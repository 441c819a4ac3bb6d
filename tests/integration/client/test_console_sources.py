"""The console over a real training: by its worker, by the volume without a worker, and over an endpoint that sleeps."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.error_log import error_log
from tests.running_console import RunningConsole, running_console
from tests.servers.volume_server import RunningVolume
from tests.tiny_models import place_tiny
from tests.unit.client.console.test_console_server import HttpCaller

import lorapod
from lorapod.client import Client
from lorapod.client.console.routes import all_routes
from lorapod.client.console.sources import VolumeSource
from lorapod.client.drawing.creature import draw_creatures
from lorapod.client.project_file import ProjectFile
from lorapod.client.serving import serving
from lorapod.client.volume import AsyncVolume, Volume, VolumeAccess
from lorapod.endpoint import EndpointConfig, LocalEndpoint
from lorapod.testing.fake_queue import FakeQueue

pytest.importorskip("diffusers", reason="needs the `builtin` extra")
pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]


def worker_config(root: Path, logs: Path, **fields: Any) -> EndpointConfig:
    return EndpointConfig(
        command=[sys.executable, str(Path(lorapod.__file__).parent.parent / "rp_handler.py")],
        environment={
            "WORKSPACE_PATH": str(root),
            "OMP_NUM_THREADS": "1",
            "PROGRESS_INTERVAL_S": "0.5",
            "HF_HUB_OFFLINE": "1",
            "DISK_MIN_FREE_BYTES": "0",
        },
        log_folder=error_log.watch(logs),
        stop_grace_s=30.0,
        **fields,
    )


@pytest.fixture(scope="module")
def url(volume: RunningVolume, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An endpoint whose worker has the volume as its workspace."""
    place_tiny(volume.folder / "models" / "tiny")
    with serving(worker_config(volume.folder, tmp_path_factory.mktemp("logs"))) as endpoint:
        yield endpoint.url


@pytest.fixture(scope="module")
def training(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A training of the builtin trainer that has ended."""
    pictures = tmp_path_factory.mktemp("pictures")
    draw_creatures(pictures)
    with Client(url) as client:
        client.upload_dataset(pictures, "creatures")
        started = client.train(
            preset="sd15",
            model="models/tiny",
            dataset={"training_name": "creatures"},
            trainer="builtin",
            name="creatures",
            steps=4,
            resolution=64,
            sample_every=2,
            sample_prompts=["a mimo", "a mimo in the rain"],
        )
        return client.wait(started, interval_s=0.3).answer()


def opened(console: RunningConsole) -> HttpCaller:
    caller = HttpCaller(console=console)
    caller.open()
    return caller


def is_whole(view: Any) -> bool:
    """Return whether a page has all that a training of 4 steps leaves."""
    samples = view["samples"]
    return (
        view["process"]["status"] == "completed"
        and view["curves"]["loss/loss"]["points"] == 4
        and len(samples) >= 4
        and all(sample["picture"] for sample in samples)
        and any(one["final"] for one in view["process"]["checkpoints"])
        and bool(view["process"]["log_tail"])
    )


def test_a_worker_tells_all_of_a_training(url: str, training: dict[str, Any], tmp_path: Path) -> None:
    with running_console(Client(url), tmp_path) as console:
        caller = opened(console)
        console.learn(training["process_id"])

        view = caller.json(f"/api/trainings/{training['process_id']}")
        (card,) = caller.json("/api/trainings")["trainings"]

        assert view["ask"]["problem"] is None
        assert is_whole(view), view
        assert {sample["prompt"] for sample in view["samples"]} == {"a mimo", "a mimo in the rain"}
        assert card["picture"]
        assert len(card["spark"]) == 4


def test_the_volume_tells_it_without_a_worker(
    volume: RunningVolume, training: dict[str, Any], tmp_path: Path
) -> None:
    queue = FakeQueue()
    source = VolumeSource(AsyncVolume(Volume(VolumeAccess.read(volume.environment, ProjectFile()))))
    with running_console(Client("https://a.test/v2/x", http=queue), tmp_path, volume=source) as console:
        caller = opened(console)
        home = f"/api/trainings/{training['process_id']}"
        first = caller.json(home)
        caller.json("/api/home")
        console.wait_for_asks()

        view = caller.json(home)
        (card,) = caller.json("/api/home")["recent"]

        assert first["process"]["name"] == "creatures"
        assert is_whole(view), view
        assert not view["looking"]
        assert card["picture"]

        path = view["process"]["checkpoints"][-1]["path"]
        caller.send(f"{home}/download", method="POST", body={"path": path})
        caller.send(json.loads(caller.text)["url"])
        assert caller.content == (volume.folder / path).read_bytes()
        assert caller.json(f"{home}/log?offset=0")["text"]
        assert queue.inputs == []


def started(endpoint: LocalEndpoint) -> list[int]:
    return [worker.pid for worker in endpoint.workers if worker.pid is not None]


def test_opening_every_page_starts_no_worker_of_an_endpoint_that_sleeps(tmp_path: Path) -> None:
    config = EndpointConfig(command=[sys.executable, "-c", "input()"], min_workers=0, log_folder=tmp_path)
    with serving(config) as endpoint, running_console(Client(endpoint.url), tmp_path / "cache") as console:
        caller = opened(console)
        reads = {route.path for route in all_routes(console.parts) if route.method == "GET"}
        assert len(reads) > 12
        for path in ("/", "/trainings", "/datasets/x", "/new", *reads):
            shown = re.sub(r"\{[^}]+\}", "x", path.replace("{process_id}", "train_0123456789ab"))
            assert caller.send(shown).status in {200, 404}, shown

        assert not caller.json("/api/endpoint")["worker_up"]
        assert started(endpoint) == []
        # The button does start one, so this test can fail.
        console.ask_only("train_0123456789ab")
        console.wait_until(lambda: bool(started(endpoint)))
