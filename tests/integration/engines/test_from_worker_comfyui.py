"""Requests in worker-comfyui's form on a ComfyUI: the stand-in, and the real one where there is one."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.engines.conftest import Target
from tests.servers import comfyui_graphs as graphs

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.worker import Worker

Ask = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def ask(target: Target, tmp_path: Path) -> AsyncIterator[Ask]:
    settings: dict[str, Any] = {
        "workspace_path": tmp_path / "workspace",
        "scratch_path": tmp_path / "scratch",
        "comfyui_url": target.url,
        "comfyui_path": target.root,
        "allow_cpu": True,
        "disk_min_free_bytes": 0,
        "min_free_memory_bytes": 0,
        "warm_trainer": False,
    }
    worker = Worker.create(Settings(**settings))

    async def send(**fields: Any) -> dict[str, Any]:
        return await worker.answer({"id": "job-1", "input": fields}, RunPodJob(job_id="job-1"))

    yield send
    worker.close()


def opened(image: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(image["data"])))


def picture(colour: str) -> str:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(content, format="PNG")
    return base64.b64encode(content.getvalue()).decode()


async def test_two_save_nodes_that_are_alike_make_one_file(ask: Ask) -> None:
    graph = graphs.picture()
    graph["4"] = dict(graph["3"])

    answer = await ask(workflow=graph)

    assert [image["filename"] for image in answer["images"]] == ["ComfyUI_00001_.png"]


async def test_inputs_are_found_by_name_and_outputs_by_their_prefix(ask: Ask) -> None:
    graph: graphs.Graph = {}
    for name in ("red", "blue"):
        graph[name] = graphs.node("LoadImage", image=f"{name}.png")
        graph[f"{name}-saved"] = graphs.node("SaveImage", images=[name, 0], filename_prefix=name)
    images = [{"name": f"{name}.png", "image": picture(name)} for name in ("red", "blue")]

    answer = await ask(workflow=graph, images=images)

    shown = {image["filename"]: opened(image).getpixel((0, 0)) for image in answer["images"]}
    assert shown == {"red_00001_.png": (255, 0, 0), "blue_00001_.png": (0, 0, 255)}


async def test_an_animation_stays_among_the_images(ask: Ask) -> None:
    graph = graphs.animations()
    del graph["png"]

    answer = await ask(workflow=graph)

    assert [Path(image["filename"]).suffix for image in answer["images"]] == [".webp"]
    assert opened(answer["images"][0]).n_frames > 1  # type: ignore[attr-defined] # of animated formats
    assert answer["videos"] == answer["images"]


async def test_every_missing_model_is_named_in_texts(ask: Ask) -> None:
    graph = {
        "4": graphs.node("CheckpointLoaderSimple", ckpt_name="not-there.safetensors"),
        "8": graphs.node("VAEDecode", samples=["5", 0], vae=["4", 2]),
        "5": graphs.node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "9": graphs.node("SaveImage", images=["8", 0], filename_prefix="a"),
    }

    answer = await ask(workflow=graph)

    assert "not-there.safetensors" in answer["error"]
    assert [type(text) for text in answer["details"]] == [str]
    assert "models/checkpoints" in answer["details"][0]
