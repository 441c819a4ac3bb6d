"""The whole worker with ComfyUI, the stand-in and a real one: several files in, animations out."""

from __future__ import annotations

import asyncio
import base64
import io
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
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


def wav() -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\x00\x10" * 1600)
    return content.getvalue()


def mp4(path: Path) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(4):
            frame = av.VideoFrame.from_image(Image.new("RGB", (32, 32), RED))  # type: ignore[no-untyped-call]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


async def test_sounds_and_videos_reach_their_nodes(caller: Caller, tmp_path: Path) -> None:
    video = base64.b64encode(await asyncio.to_thread(mp4, tmp_path / "made.mp4")).decode()
    sound = base64.b64encode(wav()).decode()
    saved = {"format": "auto", "codec": "auto"}
    graph = {
        "1": graphs.node("LoadAudio", audio="speech.wav"),
        "2": graphs.node("SaveAudio", audio=["1", 0], filename_prefix="1talk"),
        "3": graphs.node("LoadVideo", file="clip.mp4"),
        "4": graphs.node("SaveVideo", video=["3", 0], filename_prefix="2clip", **saved),
        "5": graphs.node("LoadAudio", audio="{{ INPUT_AUDIO }}"),
        "6": graphs.node("SaveAudio", audio=["5", 0], filename_prefix="3tone"),
        "7": graphs.node("LoadVideo", file="{{ INPUT_VIDEO }}"),
        "8": graphs.node("SaveVideo", video=["7", 0], filename_prefix="4film", **saved),
    }

    answer = await caller.send(
        type="generate",
        workflow=graph,
        audios=[{"name": "speech.wav", "audio": sound}],
        videos=[{"name": "clip.mp4", "video": video}],
        audio=sound,
        video=video,
    )

    assert answer.get("warnings") == []
    assert [made["filename"][:5] for made in answer["videos"]] == ["2clip", "4film"]
    assert [made["filename"][:5] for made in answer["other"]] == ["1talk", "3tone"]
    assert {made["content_type"] for made in answer["other"]} == {"audio/flac"}


async def test_the_status_tells_of_the_node_at_work(caller: Caller) -> None:
    graph = graphs.slow(40)
    graph["0"]["inputs"]["color"] = time.time_ns() % 0xFFFFFF
    graph["3"]["_meta"] = {"title": "Third one"}
    begun = await caller.send(type="generate", workflow=graph, wait=False)

    seen: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while "Third one" not in seen:
            status = await caller.send(type="process_status", process_id=begun["process_id"])
            if node := status["progress"].get("node"):
                seen[node] = status
            await asyncio.sleep(0.02)

    status = seen["Third one"]
    assert (status["phase"], status["progress"]["node_id"]) == ("generating", "3")
    assert (status["progress"]["nodes_done"], status["progress"]["total_nodes"]) == (3, 42)
    assert status["progress"]["detail"] == "Third one (3 of 42 nodes are done)"
    await caller.send(type="cancel", process_id=begun["process_id"])
