"""The whole worker with ComfyUI: what image-to-video callers send, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.integration.engines.conftest import Target
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import ComfyUIStandIn
from tests.servers.comfyui_process import install
from tests.servers.ports import free_port

from lorapod.actions.action import RunPodJob
from lorapod.engines.comfyui.templates import WorkflowTemplates
from lorapod.settings import Settings
from lorapod.worker import Worker

KEY = "comfy-org-key-that-must-not-leak"
WORKFLOW = "video_wan2_2_14B_i2v"


def picture(colour: str = "red", size: tuple[int, int] = (90, 60)) -> str:
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, format="PNG")
    return base64.b64encode(content.getvalue()).decode()


class Caller:
    """Sends jobs to one worker, and keeps the progress that they send."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.updates: list[Any] = []

    async def send(self, **job_input: Any) -> dict[str, Any]:
        job = RunPodJob(job_id="job-1", progress=self.updates.append)
        return await self.worker.answer({"id": "job-1", "input": job_input}, job)


def settings(root: Path, url: str, *, allow_cpu: bool = True, **more: Any) -> Settings:
    return Settings(
        workspace_path=root,
        scratch_path=root.parent / "scratch",
        comfyui_url=url,
        allow_cpu=allow_cpu,
        disk_min_free_bytes=0,
        min_free_memory_bytes=0,
        warm_trainer=False,
        progress_interval_s=0.05,
        **more,
    )


@pytest.fixture
async def caller(tmp_path: Path, stand_in: ComfyUIStandIn) -> AsyncIterator[Caller]:
    worker = Worker.create(settings(tmp_path / "workspace", stand_in.url, comfyui_path=stand_in.root))
    worker.start()
    yield Caller(worker)
    await asyncio.to_thread(worker.close)


async def test_an_image_to_video_caller_gets_its_video(caller: Caller, stand_in: ComfyUIStandIn) -> None:
    answer = await caller.send(
        prompt='A fox "runs"',
        image=picture(),
        width=64,
        height=48,
        length=33,
        comfyui_workflow_name=WORKFLOW,
        comfy_org_api_key=KEY,
    )

    assert answer.keys() == {"output"}
    assert answer["output"]["images"] == []
    [video] = answer["output"]["videos"]
    assert video["type"] == "base64"
    assert video["filename"].endswith(".mp4")
    assert base64.b64decode(video["data"])
    [sent] = [json.loads(body) for _, path, body in stand_in.requests if path == "/prompt"]
    nodes = {node["_meta"]["title"]: node["inputs"] for node in sent["prompt"].values()}
    assert nodes["Prompt"]["text"] == 'A fox "runs"'
    assert [nodes["First frame and canvas"][name] for name in ("width", "height", "length")] == [64, 48, 33]
    assert nodes["Shift of high noise"]["model"] == ["3", 0]


async def test_the_paid_apis_key_is_kept_nowhere(caller: Caller, stand_in: ComfyUIStandIn) -> None:
    await caller.send(prompt="a fox", image=picture(), width=64, height=64, comfy_org_api_key=KEY)

    root = caller.worker.services.workspace.root
    held = [path for path in (*root.rglob("*"), *stand_in.root.rglob("*")) if path.is_file()]
    assert held
    assert [path for path in held if KEY.encode() in path.read_bytes()] == []
    assert KEY not in repr(caller.updates)


async def test_progress_reaches_the_runpod_job_node_by_node(caller: Caller) -> None:
    answer = await caller.send(type="generate", workflow=graphs.slow(nodes=6))

    assert answer["engine"] == "comfyui"
    nodes = {update.get("progress", {}).get("node") for update in caller.updates if isinstance(update, dict)}
    assert "ImageSharpen" in nodes


async def test_a_workflow_keeps_its_own_seed_until_one_is_asked_for(caller: Caller) -> None:
    graph = {**graphs.picture(), "4": graphs.node("ImageAddNoise", image=["2", 0], seed=5, strength=0.1)}
    graph["3"]["inputs"]["images"] = ["4", 0]

    kept = await caller.send(type="generate", workflow=graph)
    asked = await caller.send(type="generate", workflow=graph, seed=9)

    assert (kept["seed"], kept["images"][0]["seed"]) == (5, 5)
    assert (asked["seed"], asked["images"][0]["seed"]) == (9, 9)


async def test_a_failure_is_one_sentence(caller: Caller) -> None:
    answer = await caller.send(type="generate", workflow=graphs.failing())

    assert answer["code"] == "upstream_error"
    assert answer["error"].startswith("Node 1 (RegexReplace) failed")


async def test_a_refused_input_names_its_field(caller: Caller) -> None:
    answer = await caller.send(prompt="a fox", image="bm90IGEgcGljdHVyZQ==")

    assert answer["code"] == "invalid_input"
    assert "image" in answer["error"]


async def test_an_unknown_workflow_is_answered_with_those_there_are(caller: Caller) -> None:
    answer = await caller.send(prompt="a fox", image=picture(), comfyui_workflow_name="nothing")

    assert answer["code"] == "not_found"
    assert WORKFLOW in answer["error"]


async def test_no_room_is_said_before_anything_starts(tmp_path: Path, stand_in: ComfyUIStandIn) -> None:
    tight = settings(tmp_path / "workspace", stand_in.url).model_copy(update={"disk_min_free_bytes": 1 << 60})
    worker = Worker.create(tight)

    answer = await Caller(worker).send(prompt="a fox", image=picture())

    assert answer["code"] == "insufficient_storage"
    assert [path for _, path, _ in stand_in.requests if path == "/prompt"] == []
    await asyncio.to_thread(worker.close)


async def test_health_shows_the_version_that_the_server_reports(
    caller: Caller, stand_in: ComfyUIStandIn
) -> None:
    stand_in.version = "0.99.1"
    health = await caller.send(type="health")

    [engine] = [each for each in health["engines"] if each["name"] == "comfyui"]
    assert engine["available"]
    assert engine["version"] == "0.99.1"


async def test_a_worker_without_comfyui_says_so(tmp_path: Path) -> None:
    worker = Worker.create(
        settings(tmp_path / "workspace", f"http://127.0.0.1:{free_port()}", comfyui_path=tmp_path / "nowhere")
    )

    answer = await Caller(worker).send(prompt="a fox", image=picture())

    assert answer["code"] == "unsupported"
    assert "COMFYUI_PATH" in answer["error"]
    await asyncio.to_thread(worker.close)


@pytest.mark.parametrize("name", ["text_to_image", "image_to_image", WORKFLOW])
def test_the_real_server_knows_every_node_and_input_of_the_templates(
    real_comfyui: Target, tmp_path: Path, name: str
) -> None:
    """It has no models, and refuses the workflow for their names; not for anything else."""
    graph = WorkflowTemplates(tmp_path).load(name)
    (real_comfyui.base / "input/in.png").write_bytes(base64.b64decode(picture()))
    for node in graph.values():
        node["inputs"] |= {"image": "in.png"} if node["class_type"] == "LoadImage" else {}

    answer = httpx.post(f"{real_comfyui.url}/prompt", json={"prompt": graph}, timeout=30)

    assert answer.status_code == 400
    found = answer.json()["node_errors"].values()
    problems = [
        (problem["type"], problem["extra_info"]["input_name"]) for each in found for problem in each["errors"]
    ]
    assert problems
    assert {kind for kind, _ in problems} == {"value_not_in_list"}
    assert {field for _, field in problems} <= {
        "ckpt_name",
        "lora_name",
        "unet_name",
        "clip_name",
        "vae_name",
    }


async def test_the_answer_has_the_seed_of_the_workflow(caller: Caller) -> None:
    graph = graphs.picture()
    graph["2"] = graphs.node("ImageAddNoise", image=["1", 0], seed=5, strength=0.5)

    answer = await caller.send(type="generate", workflow=graph, num_images=2)

    assert answer["seed"] == 5
    assert [image["seed"] for image in answer["images"]] == [5, 6]


async def test_the_answer_has_no_seed_where_none_is_known(caller: Caller) -> None:
    graph = graphs.picture()
    graph["2"] = graphs.node("ImageAddNoise", image=["1", 0], seed=["4", 0], strength=0.5)
    graph["4"] = graphs.node("PrimitiveInt", value=5)

    for fields in ({}, {"seed": 40}):
        answer = await caller.send(type="generate", workflow=graph, **fields)

        assert answer.get("seed") is None
        assert answer["images"][0].get("seed") is None
        assert "seed of node 2 (ImageAddNoise) comes from another node" in " ".join(answer["warnings"])
        begun = await caller.send(type="generate", workflow=graph, wait=False)
        assert begun.get("seed") is None


async def test_a_warning_comes_once(caller: Caller) -> None:
    answer = await caller.send(type="generate", workflow=graphs.picture(), prompt="a fox", num_images=2)

    assert answer["warnings"] == ["The workflow has no {{ PROMPT }}: prompt was not used."]


async def test_every_problem_of_a_refused_workflow_reaches_the_caller(caller: Caller) -> None:
    loaders = {f"l{number}": graphs.node("UNETLoader", unet_name=f"m{number}.gguf") for number in range(3)}
    shown = {f"p{number}": graphs.node("PreviewAny", source=[f"l{number}", 0]) for number in range(3)}

    answer = await caller.send(type="generate", workflow={**loaders, **shown, "1": graphs.canvas(0)})

    assert answer["code"] == "invalid_input"
    problems = [problem for problem in answer["details"] if "problem" in problem]
    assert "and 3 more" in answer["error"]
    assert {(problem["node"], problem["class"], problem["input"]) for problem in problems} == {
        (f"l{number}", "UNETLoader", name) for number in range(3) for name in ("unet_name", "weight_dtype")
    }
    [first, *_] = [problem for problem in problems if problem["input"] == "unet_name"]
    assert len(first["allowed"]) == 2
    assert first["model_folder"] == "models/diffusion_models"
    assert "models/diffusion_models" in answer["hint"]


@asynccontextmanager
async def worker_without_gpu(workspace: Path, url: str, root: Path, **more: Any) -> AsyncIterator[Caller]:
    """A worker on a machine without a GPU that is not told to use the processor."""
    worker = Worker.create(settings(workspace, url, allow_cpu=False, comfyui_path=root, **more))
    worker.start()
    try:
        yield Caller(worker)
    finally:
        await asyncio.to_thread(worker.close)


@pytest.mark.parametrize(
    ("device", "argv", "status"),
    [
        ("cpu", ["main.py", "--cpu"], "completed"),
        ("cuda", ["main.py"], "completed"),
        ("cpu", ["main.py"], "gpu_unavailable"),
    ],
    ids=["on-the-processor-by-its-owner", "with-a-gpu", "without-a-gpu"],
)
async def test_a_comfyui_that_runs_decides_whether_it_needs_a_gpu(
    tmp_path: Path, stand_in: ComfyUIStandIn, device: str, argv: list[str], status: str
) -> None:
    stand_in.devices, stand_in.argv = [{"name": device, "type": device}], argv
    async with worker_without_gpu(tmp_path / "workspace", stand_in.url, stand_in.root) as caller:
        answer = await caller.send(type="generate", workflow=graphs.picture())

    assert answer.get("status", answer.get("code")) == status


@pytest.mark.parametrize(("arguments", "status"), [("--cpu", "completed"), ("--lowvram", "gpu_unavailable")])
async def test_a_comfyui_that_is_started_needs_a_gpu_unless_its_arguments_say_otherwise(
    tmp_path: Path, arguments: str, status: str
) -> None:
    root, url = tmp_path / "comfyui", f"http://127.0.0.1:{free_port()}"
    install(root)
    more = {"comfyui_python": Path(sys.executable), "comfyui_args": arguments}
    async with worker_without_gpu(tmp_path / "workspace", url, root, **more) as caller:
        answer = await caller.send(type="generate", workflow=graphs.picture())

    assert answer.get("status", answer.get("code")) == status


async def test_health_names_an_extension_that_cannot_be_installed(
    tmp_path: Path, stand_in: ComfyUIStandIn
) -> None:
    more = {"comfyui_nodes": "https://git.example.com/Nodes.git"}
    async with worker_without_gpu(tmp_path / "workspace", stand_in.url, stand_in.root, **more) as caller:
        answer = await caller.send(type="health")

    [check] = [check for check in answer["checks"] if check["name"].startswith("extension:")]
    assert (check["ok"], answer["status"]) == (False, "degraded")
    assert "has no commit: add @ and all 40 digits" in check["detail"]
