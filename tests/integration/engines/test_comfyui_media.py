"""The whole worker with ComfyUI, the stand-in and a real one: several files in, animations out."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.engines.conftest import Target
from tests.integration.engines.test_comfyui_worker import Caller, settings
from tests.servers import comfyui_graphs as graphs

from lorapod.worker import Worker

RED, BLUE = (255, 0, 0), (0, 0, 255)


def sent(colour: Any, form: str = "PNG", mode: str = "RGB") -> str:
    content = io.BytesIO()
    Image.new(mode, (16, 8), colour).save(content, format=form)
    return base64.b64encode(content.getvalue()).decode()


def shown(output: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(output["data"])))


@pytest.fixture
async def caller(tmp_path: Path, target: Target) -> AsyncIterator[Caller]:
    worker = Worker.create(settings(tmp_path / "workspace", target.url, comfyui_path=target.root))
    worker.start()
    yield Caller(worker)
    await asyncio.to_thread(worker.close)


async def test_several_images_reach_their_nodes(caller: Caller, target: Target) -> None:
    graph = {
        "1": graphs.node("LoadImage", image="input.png"),
        "2": graphs.node("LoadImage", image="style.gif"),
        "3": graphs.node("LoadImage", image="depth.png"),
        **{
            f"save{number}": graphs.node("SaveImage", images=[str(number), 0], filename_prefix=f"of{number}")
            for number in (1, 2, 3)
        },
    }

    answer = await caller.send(
        type="generate",
        workflow=graph,
        images=[
            {"name": "input.png", "image": sent(RED)},
            {"name": "style.gif", "image": sent(BLUE, "GIF")},
            {"name": "depth.png", "image": sent(32_896, mode="I;16")},
        ],
    )

    made = {image["filename"][:3]: shown(image).convert("RGB").getpixel((0, 0)) for image in answer["images"]}
    assert made == {"of1": RED, "of2": BLUE, "of3": (128, 128, 128)}
    assert answer["warnings"] == [
        "images.1 (style.gif): converted from GIF to PNG.",
        "images.2 (depth.png): scaled to 8 bits.",
    ]
    assert not list(target.base.glob("input/lorapod/*"))
    assert not list((caller.worker.services.scratch / "inputs").iterdir())


async def test_animations_are_videos(caller: Caller) -> None:
    answer = await caller.send(type="generate", workflow=graphs.animations())

    assert answer["images"] == []
    assert {video["content_type"]: shown(video).n_frames for video in answer["videos"]} == {  # type: ignore[attr-defined]
        "image/webp": 3,
        "image/apng": 3,
    }


async def test_an_animation_of_one_frame_is_an_image(caller: Caller) -> None:
    answer = await caller.send(type="generate", workflow=graphs.animations(1))

    assert answer["videos"] == []
    assert sorted(image["content_type"] for image in answer["images"]) == ["image/png", "image/webp"]
