"""The single-purpose handler as its callers know it: their own payloads, the real SDK loop, trainer and RabbitMQ.

Only the base model is another than theirs, and their site and Supabase are on this machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiohttp import web
from tests.servers.consumer import Consumer
from tests.servers.http_thread import serving as serving_files
from tests.servers.rabbitmq import RunningRabbitMQ
from tests.servers.receiver import Receiver
from tests.servers.supabase_storage import SERVICE_KEY, Held, SupabaseStandIn, running_supabase
from tests.tiny_models import place_tiny
from tests.unit.datasets.library_bench import packed

from lorapod import weights
from lorapod.client.drawing.creature import draw_creatures
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.acceptance, pytest.mark.torch, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
DEADLINE_S = 240.0
CALLBACK_PATH = "/api/training/events"
TOKEN = "<temporary-auth-token>"

#: AI Toolkit's own example, with paths of the machine that it was written on.
CONFIG = """
job: extension
config:
  name: {name}
  process:
    - type: sd_trainer
      training_folder: "output"
      device: cuda:0
      trigger_word: "p3r5on"
      network:
        type: lora
        linear: 4
        linear_alpha: 4
      save:
        dtype: float16
        save_every: 2
        max_step_saves_to_keep: 4
      datasets:
        - folder_path: "/path/to/images/folder"
          caption_ext: "txt"
          caption_dropout_rate: 0.05
          shuffle_tokens: false
          resolution: [64]
      train:
        batch_size: 1
        steps: {steps}
        lr: 1e-4
        gradient_checkpointing: false
        dtype: fp32
      model:
        name_or_path: models/tiny
        arch: sd1
      sample:
        sampler: ddim
        sample_every: 2
        width: 64
        height: 64
        sample_steps: 2
        prompts:
          - "a mimo"
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("pictures")
    draw_creatures(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Site:
    """Who sends the jobs: has the zip, and takes the callbacks."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        self.url = url
        self.receiver = receiver

    def job(self, *, steps: int = 4) -> dict[str, Any]:
        return {
            "internal_job_id": "12345",
            "config": CONFIG.format(name="hartsy-dreambooth", steps=steps),
            "dataset_urls": [f"{self.url}/api/training/downloads/dataset.zip"],
            "callback_base_url": self.url,
            "callback_token": TOKEN,
        }

    def events_of(self, process_id: str) -> list[dict[str, Any]]:
        """What its callback was told."""
        events = [posted.event for posted in self.receiver.posted]
        return [event for event in events if event["process_id"] == process_id]


@pytest.fixture(scope="module")
def site(pictures: dict[str, bytes]) -> Iterator[Site]:
    content = packed({f"dataset/{name}": data for name, data in pictures.items()})
    receiver = Receiver()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=content, content_type="application/zip")

    def app() -> web.Application:
        built = web.Application()
        built.router.add_get("/api/training/downloads/dataset.zip", answer)
        built.router.add_post(CALLBACK_PATH, receiver.answer)
        return built

    with serving_files(app) as port:
        yield Site(f"http://127.0.0.1:{port}", receiver)


@pytest.fixture(scope="module")
def consumer(rabbitmq_server: RunningRabbitMQ) -> Consumer:
    return Consumer(rabbitmq_server, "hartsy.training")


@pytest.fixture(scope="module")
def supabase(pictures: dict[str, bytes]) -> Iterator[SupabaseStandIn]:
    with running_supabase() as server:
        held = {
            f"my-dataset-folder/{name}": Held(data, "application/octet-stream", {})
            for name, data in pictures.items()
        }
        server.buckets = {"training-datasets": held, "training-outputs": {}}
        yield server


class Endpoint:
    """What a caller of RunPod's API has: an address."""

    def __init__(self, url: str, volume: Path) -> None:
        self.url = url
        self.volume = volume

    def run(self, job_input: dict[str, Any]) -> str:
        answer = httpx.post(f"{self.url}/run", json={"input": job_input}, timeout=30)
        return str(answer.raise_for_status().json()["id"])

    def status(self, job_id: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/status/{job_id}", timeout=30).raise_for_status().json())

    def until(self, job_id: str, *states: str) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while (answer := self.status(job_id))["status"] not in states:
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)
        return answer


@pytest.fixture(scope="module", params=["SimpleBackend/handler.py", "Backend/rp_handler.py"])
def endpoint(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    supabase: SupabaseStandIn,
    rabbitmq_server: RunningRabbitMQ,
) -> Iterator[Endpoint]:
    volume = tmp_path_factory.mktemp("volume")
    place_tiny(volume / "models" / "tiny")
    config = EndpointConfig(
        command=[sys.executable, str(ROOT / request.param)],
        environment={
            "NETWORK_VOLUME_PATH": str(volume),
            "SUPABASE_URL": supabase.url,
            "SUPABASE_SERVICE_KEY": SERVICE_KEY,
            "RABBITMQ_URL": rabbitmq_server.url.get_secret_value(),
            "CALLBACK_PATH": CALLBACK_PATH,
            "ALLOW_PRIVATE_URLS": "true",
            "TRAINER": "builtin",
            "OMP_NUM_THREADS": "1",
            "PROGRESS_INTERVAL_S": "0.5",
            "HF_HUB_OFFLINE": "1",
        },
        stop_grace_s=30.0,
    )
    with serving(config) as served:
        yield Endpoint(served.url, volume)


def events_until(consumer: Consumer, last: str, job_id: str) -> list[dict[str, Any]]:
    """The events of a job's training that RabbitMQ has brought, when the last one is among them."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        events = [event for event in consumer.drain() if event.get("job_id") == job_id]
        if events and events[-1]["event_type"] == last:
            return events
        assert time.monotonic() < deadline, events
        time.sleep(0.1)


def lasting(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but progress, of which a way that is slow for a moment brings the newest alone."""
    return [event for event in events if event["event_type"] != "training.progress"]


def test_a_zip_becomes_a_lora_on_the_volume(endpoint: Endpoint, site: Site, consumer: Consumer) -> None:
    consumer.bodies.clear()
    answer = endpoint.until(endpoint.run(site.job()), "COMPLETED", "FAILED")

    output = answer["output"]
    assert answer["status"] == "COMPLETED", answer
    session = endpoint.volume / output["session_id"]
    files = [path for path in (session / "output").rglob("*") if path.is_file()]
    visible = [path for path in files if not any(part.startswith((".", "_")) for part in path.parts)]
    assert output == {
        "success": True,
        "message": "Training completed successfully",
        "session_id": session.name,
        "model_name": "hartsy-dreambooth",
        "job_id": "12345",
        "images_downloaded": 12,
        "files_uploaded": len(visible),
    }
    assert {path.name for path in session.iterdir()} == {"config.yaml", "dataset", "output"}
    final = session / "output" / "hartsy-dreambooth" / "hartsy-dreambooth.safetensors"
    assert weights.step_of(weights.read_header(final)) == 4
    (process,) = yaml.safe_load((session / "config.yaml").read_text())["config"]["process"]
    assert process["training_folder"] == str(session / "output")
    assert [dataset["folder_path"] for dataset in process["datasets"]] == [str(session / "dataset")]

    events = events_until(consumer, "training.completed", "12345")
    kinds = [event["event_type"] for event in events]
    assert kinds[0] == "training.started"
    assert {"training.progress", "training.sample", "training.checkpoint"} <= set(kinds)
    assert events[0]["data"]["config_path"] == f"{session.name}/config.yaml"
    assert {"status", "progress", "current_step"} <= events[kinds.index("training.progress")]["data"].keys()
    artifacts = events[-1]["data"]["artifacts"]
    assert sorted(artifacts) == sorted(str(path.relative_to(endpoint.volume)) for path in visible)


def test_its_callback_is_told_the_same(endpoint: Endpoint, site: Site, consumer: Consumer) -> None:
    consumer.bodies.clear()
    site.receiver.posted.clear()
    endpoint.until(endpoint.run(site.job(steps=2)), "COMPLETED", "FAILED")
    events = events_until(consumer, "training.completed", "12345")
    deadline = time.monotonic() + DEADLINE_S
    while not (told := site.events_of(events[0]["process_id"])) or told[-1] != events[-1]:
        assert time.monotonic() < deadline, told
        time.sleep(0.1)

    assert lasting(told) == lasting(events)
    assert {posted.headers["Authorization"] for posted in site.receiver.posted} == {f"Bearer {TOKEN}"}
    left = [
        path for path in endpoint.volume.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    assert left == []


def test_supabase_to_supabase_live(endpoint: Endpoint, supabase: SupabaseStandIn, consumer: Consumer) -> None:
    results = supabase.buckets["training-outputs"]
    results.clear()
    job_input = {
        "config": CONFIG.format(name="my_model", steps=4),
        "dataset_config": {"bucket_name": "training-datasets", "folder_path": "my-dataset-folder"},
        "upload_config": {"bucket_name": "training-outputs", "folder_path": "training-session-123456"},
    }
    job_id = endpoint.run(job_input)
    answer = endpoint.until(job_id, "COMPLETED", "FAILED")

    assert answer["status"] == "COMPLETED", answer
    output = answer["output"]
    assert output == {
        "success": True,
        "message": "Training completed successfully",
        "session_id": output["session_id"],
        "model_name": "my_model",
        "upload_folder": "training-session-123456",
        "output_path": str(endpoint.volume / "training" / output["session_id"] / "output"),
    }
    folders = {tuple(key.split("/")[:3]) for key in results}
    assert folders == {
        ("training-session-123456", "my_model", kind) for kind in ("samples", "checkpoints", "logs")
    }
    final = Path(output["output_path"]) / "my_model" / "my_model.safetensors"
    stored = results["training-session-123456/my_model/checkpoints/my_model.safetensors"]
    assert stored.content == final.read_bytes()
    assert not [key for key in results if key.endswith("config.yaml")]
    assert events_until(consumer, "training.completed", job_id)[0]["event_type"] == "training.started"


def test_a_wrong_config_is_refused_in_the_same_shape(endpoint: Endpoint, site: Site) -> None:
    wrong = site.job() | {"config": CONFIG.format(name="a", steps="many")}
    answer = endpoint.until(endpoint.run(wrong), "COMPLETED", "FAILED")

    assert answer["status"] == "FAILED"
    assert "steps" in answer["error"]
    assert answer["output"] == {"success": False, "session_id": None, "job_id": "12345"}


def test_a_cancelled_job_stops_its_training_with_a_checkpoint(
    endpoint: Endpoint, site: Site, consumer: Consumer
) -> None:
    consumer.bodies.clear()
    job_id = endpoint.run(site.job(steps=100_000))
    deadline = time.monotonic() + DEADLINE_S
    while not (update := endpoint.status(job_id).get("output") or {}).get("progress", {}).get("step"):
        assert time.monotonic() < deadline, update
        time.sleep(0.1)
    httpx.post(f"{endpoint.url}/cancel/{job_id}", timeout=30).raise_for_status()

    asked = {"type": "process_status", "process_id": update["process_id"]}
    while (end := endpoint.until(endpoint.run(asked), "COMPLETED")["output"])["status"] != "cancelled":
        assert time.monotonic() < deadline, end
        time.sleep(0.1)
    assert end["resumable"] is True
    assert end["checkpoints"][-1]["path"].startswith(end["output_path"])
    assert events_until(consumer, "training.cancelled", "12345")[-1]["process_id"] == update["process_id"]
