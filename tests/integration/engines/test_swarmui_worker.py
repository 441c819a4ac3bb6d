"""A whole worker with a SwarmUI: the worker's own requests, and those of a worker that serves nothing else."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.servers.fault_server import FaultServer
from tests.servers.fault_thread import FaultThread
from tests.servers.swarmui import Fault, SwarmStandIn
from tests.unit.actions.desk import QuickTrainer

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker


class Desk:
    """Asks a worker as the RunPod SDK would."""

    def __init__(self, worker: Worker, server: SwarmStandIn, root: Path) -> None:
        self.worker = worker
        self.server = server
        self.root = root
        self.updates: list[Any] = []
        self.jobs = 0

    def ask(self, **fields: Any) -> dict[str, Any]:
        self.jobs += 1
        job = RunPodJob(job_id=f"job-{self.jobs}", progress=self.updates.append)
        return asyncio.run(self.worker.answer({"id": job.job_id, "input": fields}, job))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("HF_TOKEN", "HUGGINGFACE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    server = SwarmStandIn()
    server.models.add("LoRA", "people/cat.safetensors", title="Cat", author="me", tags=["pet"])
    with server.running():
        worker = Worker.create(
            Settings(
                workspace_path=tmp_path / "workspace",
                scratch_path=tmp_path / "scratch",
                swarmui_api_url=server.url,
                warm_trainer=False,
                disk_min_free_bytes=0,
                min_free_memory_bytes=0,
                progress_interval_s=0.1,
                allow_private_urls=True,
            ),
            trainers=TrainerRegistry([QuickTrainer()]),
        )
        worker.start()
        yield Desk(worker, server, tmp_path / "workspace")
        worker.close()


def shown(image: dict[str, Any]) -> tuple[int, int, int]:
    with Image.open(io.BytesIO(base64.b64decode(image["data"]))) as picture:
        colour = picture.getpixel((0, 0))
        assert isinstance(colour, tuple)
        red, green, blue = colour
        return int(red), int(green), int(blue)


@pytest.fixture
def origin() -> Iterator[FaultServer]:
    with FaultThread() as server:
        yield server


def page_events() -> list[dict[str, Any]]:
    """Every event on the page about SwarmUI."""
    text = (Path(__file__).parents[3] / "docs" / "howto" / "swarmui.md").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = []
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        rest = block.strip()
        while rest:
            event, end = json.JSONDecoder().raw_decode(rest)
            found.append(event["input"])
            rest = rest[end:].strip()
    return found


@pytest.mark.parametrize("fields", page_events())
def test_what_the_page_shows_does_what_it_says(
    desk: Desk, origin: FaultServer, fields: dict[str, Any]
) -> None:
    desk.server.models.add("Stable-Diffusion", "OfficialStableDiffusion/sd_xl_base_1.0.safetensors")
    desk.server.models.root = desk.root / "Models"
    desk.server.model_root = str(desk.root / "Models")
    for folder in ("Models/Lora", "models/loras"):
        (desk.root / folder).mkdir(parents=True, exist_ok=True)
    (desk.root / "models/loras/cat.safetensors").write_bytes(b"weights")
    desk.server.models.sources[origin.url("/m.safetensors")] = b"weights"
    here: dict[str, Any] = {"duration": 1, "duration_s": 1}
    here |= {name: origin.url("/m.safetensors") for name in ("source", "url")}

    answer = desk.ask(**{**fields, **{name: value for name, value in here.items() if name in fields}})

    assert "error" not in answer, answer
    assert not answer.get("warnings") or answer["warnings"] == [
        "No model was named, so SwarmUI was asked for 'OfficialStableDiffusion/sd_xl_base_1.0.safetensors'."
    ]
    if fields.get("type") == "generate" or "generate" in fields.get("action", ""):
        assert answer["images"]


class TestOwnRequests:
    def test_pictures_come_with_their_seeds(self, desk: Desk) -> None:
        answer = desk.ask(
            type="generate", engine="swarmui", prompt="a cat", model="tiny", seed=7, num_images=2, width=32
        )

        assert [image["seed"] for image in answer["images"]] == [7, 8]
        assert [shown(image) for image in answer["images"]] == [(7, 0, 0), (8, 0, 0)]
        assert (answer["engine"], answer["status"], answer["warnings"]) == ("swarmui", "completed", [])
        assert {"queued_s", "total_s", "ready_s", "generate_s"} <= answer["timings"].keys()

    def test_progress_reaches_the_runpod_job(self, desk: Desk) -> None:
        desk.server.work.step_s = 0.05

        desk.ask(type="generate", engine="swarmui", prompt="a cat", model="tiny", steps=20)

        percents = [update["progress"]["percent"] for update in desk.updates if update.get("progress")]
        assert any(0 < (percent or 0) < 100 for percent in percents)

    def test_a_refusal_is_an_error_with_a_code(self, desk: Desk) -> None:
        answer = desk.ask(type="generate", engine="swarmui", prompt="please fail", model="tiny")

        assert answer["code"] == "upstream_error"
        assert "out of stock" in answer["error"]
        unknown = desk.ask(type="generate", engine="swarmui", prompt="x", model="flux")
        assert unknown["code"] == "not_found"

    def test_what_cannot_be_is_refused_before_it_is_begun(self, desk: Desk) -> None:
        answer = desk.ask(type="generate", engine="swarmui", prompt="x", params={"session_id": "mine"})

        assert answer["code"] == "invalid_input"
        assert desk.server.fields_of("GenerateText2ImageWS") == []

    def test_unknown_parameters_are_warnings(self, desk: Desk) -> None:
        answer = desk.ask(type="generate", engine="swarmui", prompt="x", model="tiny", params={"stepz": 1})

        assert answer["warnings"] == ["SwarmUI does not know the parameter 'stepz': left out."]

    def test_health_shows_it(self, desk: Desk) -> None:
        (engine,) = [one for one in desk.ask(type="health")["engines"] if one["name"] == "swarmui"]

        assert engine["available"] is True
        assert engine["version"] == desk.server.version

    def test_its_models_are_listed_described_and_edited(self, desk: Desk) -> None:
        listed = desk.ask(type="list_models", engine="swarmui", kind="lora")
        edited = desk.ask(
            type="edit_model",
            engine="swarmui",
            model="people/cat",
            description="A cat.",
            params={"date": "2026"},
        )
        described = desk.ask(type="describe_model", engine="swarmui", model="people/cat")

        assert [model["name"] for model in listed["models"]] == ["people/cat"]
        assert (edited["title"], edited["description"]) == ("Cat", "A cat.")
        assert described["metadata"]["date"] == "2026"
        assert described["author"] == "me"

    def test_fields_of_swarmuis_own_are_nothing_to_the_workspace(self, desk: Desk) -> None:
        answer = desk.ask(type="edit_model", model="x", params={"date": "2026"})

        assert answer["code"] == "unsupported"

    def test_a_download_is_cancelled_at_swarmui(self, desk: Desk, origin: FaultServer) -> None:
        desk.server.models.sources[origin.url("/m.safetensors")] = b"x" * 1_000_000
        desk.server.models.chunk_s = 0.05
        begun = desk.ask(
            type="download_model",
            engine="swarmui",
            source=origin.url("/m.safetensors"),
            kind="lora",
            name="new",
            wait=False,
        )
        wait_for(lambda: bool(desk.server.models.downloads))

        desk.ask(type="cancel", process_id=begun["process_id"])

        wait_for(lambda: status(desk, begun) == "cancelled")
        assert desk.server.models.cancelled == 1

    def test_a_training_gets_the_gpu_and_its_lora_is_used(self, desk: Desk) -> None:
        desk.ask(type="generate", engine="swarmui", prompt="x", model="tiny")
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
        files = [{"filename": "a.png", "content": base64.b64encode(buffer.getvalue()).decode()}]
        desk.ask(type="upload_training_data", training_name="pictures", files=files)
        root = desk.root / "Models"
        root.mkdir()
        desk.server.models.root, desk.server.model_root = root, str(root)

        trained = desk.ask(
            type="train", preset="sd15", name="cat", dataset={"training_name": "pictures"}, wait=True
        )
        # The memory was freed before the training began.
        freed = desk.server.freed
        lora = {"process_id": trained["process_id"], "weight": 0.5}
        answer = desk.ask(type="generate", engine="swarmui", prompt="x", model="tiny", seed=7, loras=[lora])

        assert (trained["status"], freed) == ("completed", 1)
        assert shown(answer["images"][0]) == (7, 0, 50)
        (name,) = desk.server.fields_of("GenerateText2ImageWS")[-1]["loras"]
        assert (root / "Lora" / name).is_file()

    def test_a_cancelled_process_ends_at_swarmui(self, desk: Desk) -> None:
        desk.server.work.step_s = 0.05
        begun = desk.ask(type="generate", engine="swarmui", prompt="x", model="tiny", steps=1000, wait=False)
        wait_for(lambda: desk.server.work.live == 1)

        desk.ask(type="cancel", process_id=begun["process_id"])
        wait_for(lambda: desk.server.work.live == 0)

        wait_for(lambda: status(desk, begun) == "cancelled")
        assert desk.server.work.interrupts == 1


def status(desk: Desk, begun: dict[str, Any]) -> str:
    return str(desk.ask(type="process_status", process_id=begun["process_id"])["status"])


def wait_for(holds: Callable[[], bool], *, within_s: float = 30.0) -> None:
    until_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until_s, "it did not come to pass"
        time.sleep(0.02)


class TestRequestsOfAWorkerForSwarmUI:
    @pytest.mark.parametrize(
        "fields",
        [
            {
                "action": "generate_image",
                "payload": {"prompt": "a cat", "model": "tiny", "seed": 7, "images": 2},
            },
            {"action": "generate", "prompt": "a cat", "model": "tiny", "seed": 7, "images": 2, "cfgscale": 4},
            {"action": "generate", "raw_input": {"prompt": "a cat", "model": "tiny", "seed": 7, "images": 2}},
        ],
    )
    def test_a_generation(self, desk: Desk, fields: dict[str, Any]) -> None:
        answer = desk.ask(**fields)

        assert answer["success"] is True
        assert [shown(image) for image in answer["images"]] == [(7, 0, 0), (8, 0, 0)]
        assert answer["metadata"] == {"seed": 7, "images": 2}

    def test_a_failed_generation(self, desk: Desk) -> None:
        answer = desk.ask(action="generate_image", payload={"prompt": "please fail", "model": "tiny"})

        assert answer["success"] is False
        assert "out of stock" in answer["error"]

    def test_models(self, desk: Desk) -> None:
        listed = desk.ask(action="list_models", path="", depth=1, subtype="LoRA")
        described = desk.ask(action="describe_model", model_name="people/cat", subtype="LoRA")
        edited = desk.ask(
            action="edit_model_metadata",
            model_name="people/cat",
            subtype="LoRA",
            metadata={"title": "The cat", "tags": "pet,fur", "date": "2026", "type": ""},
        )
        missing = desk.ask(action="describe_model", payload={"model_name": "dog"})

        assert (listed["success"], listed["models"], listed["folders"]) == (True, [], ["people"])
        assert (described["success"], described["title"]) == (True, "Cat")
        assert (edited["success"], edited["title"], edited["tags"]) == (True, "The cat", ["pet", "fur"])
        assert (missing["success"], missing["code"]) == (False, "not_found")

    def test_a_model_that_swarmui_fetches(self, desk: Desk, origin: FaultServer) -> None:
        desk.server.models.sources[origin.url("/m.safetensors")] = b"x" * 5000

        begun = desk.ask(
            action="download_model",
            url=origin.url("/m.safetensors"),
            model_name="new",
            model_type="LoRA",
            metadata={"modelspec.title": "New"},
        )
        wait_for(lambda: status(desk, begun) not in {"queued", "preparing", "running"})
        told = desk.ask(type="process_status", process_id=begun["process_id"])
        again = desk.ask(
            action="download_model",
            payload={"url": origin.url("/m.safetensors"), "model_name": "new", "model_type": "LoRA"},
            wait=True,
        )

        assert (begun["success"], told["status"]) == (True, "completed")
        assert "new.safetensors" in desk.server.models.sets["LoRA"]
        assert desk.ask(action="describe_model", model_name="new", subtype="LoRA")["success"] is True
        assert (again["success"], again["status"]) == (False, "failed")
        assert again["failure"]["code"] == "conflict"

    def test_keeping_it_alive_pings_swarmui(self, desk: Desk) -> None:
        answer = desk.ask(action="keep_alive", duration=1.2, interval=1)

        assert (answer["success"], answer["pings"]) == (True, 2)
        assert desk.server.routes_asked().count("GetNewSession") >= 2

    def test_a_swarmui_that_does_not_answer_is_told(self, desk: Desk) -> None:
        desk.worker.services.engines["swarmui"].probe()
        desk.server.faults["GetNewSession"] = [Fault(drop=True)]

        answer = desk.ask(action="keep_alive", duration=0.2)

        assert (answer["success"], answer["pings"]) == (False, 0)
        assert "the connection broke" in answer["last_error"]
