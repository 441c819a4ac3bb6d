"""`caption_dataset` through a whole worker, with a real model of random weights."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.contract.engine_cases import shared_pool
from tests.tiny_captioners import WORDS, tiny_captioner
from tests.unit.datasets.library_bench import picture

from lorapod.actions.action import RunPodJob
from lorapod.captioners.port import Captioner
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.captioners.transformers.adapter import TransformersCaptioner
from lorapod.clock import SystemClock
from lorapod.events.outbox import Outbox
from lorapod.settings import Settings
from lorapod.testing.captioner import FakeCaptioner
from lorapod.testing.manager import SOON_S
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker
from lorapod.workspace import Workspace

pytestmark = pytest.mark.torch


class CaptionDesk:
    """A worker with a model, and a dataset of three images, one of them with a caption."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.workspace = worker.services.workspace
        self.folder = self.workspace.training_data / "cats"
        if self.folder.exists():
            return
        self.folder.mkdir()
        for number in range(3):
            self.add(f"{number}.png")
        (self.folder / "1.txt").write_text("my own words")

    def add(self, name: str) -> None:
        (self.folder / name).write_bytes(picture(size=(64, 48)))

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        return await self.worker.answer(
            {"id": "j", "input": {"type": type_, **fields}}, RunPodJob(job_id="j")
        )

    async def caption(self, **fields: Any) -> dict[str, Any]:
        usual = {"training_name": "cats", "model": "blip", "max_new_tokens": 6, "wait": True}
        return await self.ask("caption_dataset", **usual | fields)

    async def until_ended(self, process_id: str) -> dict[str, Any]:
        while True:
            seen = await self.ask("process_status", process_id=process_id)
            if seen["status"] in {"completed", "failed", "cancelled", "interrupted"}:
                return seen
            await asyncio.sleep(0.05)

    async def until_captioned(self, count: int) -> None:
        """Return once there are so many captions; the suite's own limit ends a wait for nothing."""
        while len(self.captions()) < count:  # noqa: ASYNC110 - what is waited for is on a disk
            await asyncio.sleep(0.01)

    async def events(self, process_id: str, *, until: str) -> list[dict[str, Any]]:
        """The events of a process, once the last of them is of this type: an end is emitted just after it is stored."""
        async with asyncio.timeout(SOON_S):
            while True:
                found = [json.loads(event.body()) for event in Outbox(self.workspace, process_id).history()]
                if found and found[-1]["event_type"] == until:
                    return found
                await asyncio.sleep(0.02)

    def captions_starting(self) -> dict[str, str]:
        found = {path: path.read_bytes() for path in sorted(self.folder.glob("[0-9].txt"))}
        return {path.name: " ".join(text.decode().split()[:2]) for path, text in found.items()}

    def captions(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.folder.glob("*.txt"))}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[CaptionDesk]:
    """A worker whose captioner has models."""
    workspace = Workspace.create(tmp_path / "workspace")
    for kind in ("blip", "llava", "qwen"):
        shutil.copytree(tiny_captioner(kind), workspace.models / kind)
    async with _opened(tmp_path) as found:
        yield found


@pytest.fixture
async def bare_desk(tmp_path: Path) -> AsyncIterator[CaptionDesk]:
    """A worker with a folder that looks like a model, for what is refused before that is loaded."""
    folder = Workspace.create(tmp_path / "workspace").models / "blip"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "blip"}')
    (folder / "model.safetensors").write_bytes(b"")
    async with _opened(tmp_path) as found:
        yield found


@asynccontextmanager
async def _opened(tmp_path: Path, captioner: Captioner | None = None) -> AsyncIterator[CaptionDesk]:
    settings = Settings(
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        hf_hub_offline=True,
    )
    workspace = Workspace.create(tmp_path / "workspace")
    captioner = captioner or TransformersCaptioner(
        settings=settings, workspace=workspace, clock=SystemClock(), starter=shared_pool()
    )
    opened = Worker.create(
        settings, trainers=TrainerRegistry([ScriptTrainer()]), captioners=CaptionerRegistry([captioner])
    )
    opened.start()
    try:
        yield CaptionDesk(opened)
    finally:
        await asyncio.to_thread(opened.close)


async def test_images_without_captions_get_some(desk: CaptionDesk) -> None:
    done = await desk.caption()

    assert done["status"] == "completed", done
    assert done["process_id"].startswith("caption_")
    assert done["outcome"] == {"captioned": 2, "skipped": 1, "failed": []}
    told = await desk.ask("process_status", process_id=done["process_id"])
    for answer in (done, told):
        assert (answer["captioned"], answer["skipped"], answer["failed"]) == (2, 1, [])
    captions = desk.captions()
    assert done["progress"]["image"] == done["progress"]["total_images"] == 2
    assert captions.pop("1.txt") == "my own words"
    assert sorted(captions) == ["0.txt", "2.txt"]
    for text in captions.values():
        assert len(text.split()) == 6
        assert set(text.split()) <= set(WORDS)
    assert [path.name for path in desk.folder.iterdir() if path.name.startswith(".")] == []


async def test_what_is_not_there_to_caption_is_left_alone(desk: CaptionDesk) -> None:
    """Empty captions count as missing; unreadable images are named; a person's captions stay."""
    (desk.folder / "0.txt").write_text(" \n")
    (desk.folder / "broken.png").write_bytes(b"no image")
    (desk.folder / "cut.png").write_bytes(picture(size=(640, 480))[:200])
    odd = "caf\u00e9".encode("latin-1")
    desk.add("odd.png")
    (desk.folder / "odd.txt").write_bytes(odd)

    done = await desk.caption(trigger_word="ohwx cat")

    assert done["status"] == "completed", done
    outcome = done["outcome"]
    assert (outcome["captioned"], outcome["skipped"]) == (2, 2)
    assert [one["name"] for one in outcome["failed"]] == ["broken.png", "cut.png"]
    assert all(
        one["error"].endswith(".") and str(desk.workspace.root) not in one["error"]
        for one in outcome["failed"]
    )
    assert desk.captions_starting() == {"0.txt": "ohwx cat,", "1.txt": "my own", "2.txt": "ohwx cat,"}
    assert (desk.folder / "odd.txt").read_bytes() == odd


async def test_everything_is_replaced_only_if_that_is_asked(desk: CaptionDesk) -> None:
    limited = await desk.caption(overwrite="all", limit_names=["1.png"])
    assert limited["outcome"] == {"captioned": 1, "skipped": 0, "failed": []}
    first = desk.captions()
    assert sorted(first) == ["1.txt"]
    assert first["1.txt"] != "my own words"
    (desk.folder / "1.txt").write_text("mine again")
    assert (await desk.caption(overwrite="all"))["outcome"]["captioned"] == 3
    assert desk.captions()["1.txt"] == first["1.txt"]


@pytest.mark.parametrize(
    ("kind", "model_class"),
    [("qwen", "Qwen2_5_VLForConditionalGeneration"), ("llava", "LlavaForConditionalGeneration")],
)
async def test_a_chat_model_is_asked_with_the_prompt(desk: CaptionDesk, kind: str, model_class: str) -> None:
    for number in range(3, 6):
        (desk.folder / f"{number}.png").write_bytes(picture(size=(40 + 17 * number, 64)))
    done = await desk.caption(
        model=f"models/{kind}", prompt="{trigger_word} in {filename}?", trigger_word="ohwx", batch_size=3
    )
    assert done["outcome"] == {"captioned": 5, "skipped": 1, "failed": []}, done
    assert all(text.startswith("ohwx") for name, text in desk.captions().items() if name != "1.txt")
    log = await desk.ask("logs", process_id=done["process_id"])
    assert f"{model_class} on cpu in float32" in log["text"]


async def test_a_video_is_captioned_from_four_frames(desk: CaptionDesk) -> None:
    av = pytest.importorskip("av", reason="makes the video")
    with av.open(str(desk.folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(16):
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), (15 * number, 0, 0)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (desk.folder / "none.mp4").write_bytes(b"no video")
    for model in ("blip", "qwen"):
        done = await desk.caption(model=model, limit_names=["clip.mp4", "none.mp4"], overwrite="all")
        assert done["outcome"]["captioned"] == 1, done
        (failed,) = done["outcome"]["failed"]
        assert failed["name"] == "none.mp4"
        assert failed["error"].startswith("The video none.mp4 cannot be opened")
        assert (desk.folder / "clip.txt").read_text()


async def test_what_is_captioned_stays_when_it_is_cancelled_and_it_goes_on(desk: CaptionDesk) -> None:
    for number in range(3, 12):
        desk.add(f"{number}.png")
    # Two hundred tokens: most of a second for each image.
    started = await desk.caption(overwrite="all", max_new_tokens=200, wait=False)
    process_id = started["process_id"]
    await desk.until_captioned(3)
    for action, fields in (
        ("edit_dataset", {"training_name": "cats", "captions": {"0.png": "x"}}),
        ("delete", {"training_name": "cats"}),
        ("caption_dataset", {"training_name": "cats", "model": "blip"}),
        ("train", {"config": {"steps": 1}, "dataset": {"training_name": "cats"}, "trainer": "script"}),
    ):
        refused = await desk.ask(action, **fields)
        assert refused["code"] == "conflict", (action, refused)
        assert process_id in refused["error"]
    await desk.ask("cancel", process_id=process_id)
    ended = await desk.until_ended(process_id)
    assert ended["status"] == "cancelled"
    done = ended["outcome"]["captioned"]
    assert 2 <= done < 12
    assert ended["resumable"]
    before = desk.captions()

    went_on = await desk.ask("resume", process_id=process_id, wait=True)
    assert went_on["status"] == "completed", went_on
    assert went_on["outcome"] == {"captioned": 12, "skipped": 0, "failed": []}
    after = desk.captions()
    kept = [name for name, text in before.items() if after[name] == text and name != "1.txt"]
    assert len(after) == 12
    assert len(kept) >= done - 1
    events = await desk.events(process_id, until="caption.completed")
    types = [one["event_type"] for one in events]
    assert types[0] == "caption.started"
    assert "caption.cancelled" in types
    assert events[-1]["data"]["captioned"] == 12


async def test_a_dataset_that_a_training_reads_is_not_captioned(desk: CaptionDesk) -> None:
    trained = await desk.ask(
        "train", config={"steps": 1000, "step_s": 0.1}, dataset={"training_name": "cats"}, wait=False
    )
    refused = await desk.caption()
    assert refused["code"] == "conflict", refused
    assert trained["process_id"] in refused["error"]
    await desk.ask("cancel", process_id=trained["process_id"])


async def test_a_child_that_is_killed_costs_no_caption(desk: CaptionDesk) -> None:
    for number in range(3, 8):
        desk.add(f"{number}.png")
    started = await desk.caption(max_new_tokens=200, wait=False)
    await desk.until_captioned(3)
    log = (await desk.ask("logs", process_id=started["process_id"]))["text"]
    pid = int(log.partition("started the captioner process ")[2].split()[0])
    os.kill(pid, signal.SIGKILL)
    ended = await desk.until_ended(started["process_id"])
    assert ended["status"] == "failed"
    assert ended["failure"]["code"] == "out_of_memory"
    assert ended["outcome"]["captioned"] >= 2
    again = await desk.ask("resume", process_id=started["process_id"], wait=True)
    assert again["outcome"] == {"captioned": 7, "skipped": 1, "failed": []}, again
    assert desk.captions()["1.txt"] == "my own words"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"training_name": "none"}, "not_found"),
        ({"training_name": "../cats"}, "invalid_input"),
        ({"limit_names": ["0.png", "9.png"]}, "not_found"),
        ({"limit_names": []}, "invalid_input"),
        ({"model": "../../etc"}, "not_found"),
        ({"model": "models/none"}, "not_found"),
        ({"model": "a\0b"}, "invalid_input"),
        ({"model": "someone/not-here"}, "not_found"),
        ({"model": "training_data/cats"}, "invalid_input"),
        ({"captioner": "nobody"}, "invalid_input"),
        ({"prompt": "a photo of {trigger_word}"}, "invalid_input"),
        ({"style": "poem"}, "invalid_input"),
        ({"overwrite": "some"}, "invalid_input"),
        ({"max_new_tokens": 0}, "invalid_input"),
        ({"modell": "blip"}, "invalid_input"),
    ],
)
async def test_what_cannot_be_is_refused_in_a_sentence(
    bare_desk: CaptionDesk, fields: dict[str, Any], code: str
) -> None:
    refused = await bare_desk.caption(**fields)
    assert refused.get("code") == code, refused
    assert refused["error"].strip().endswith((".", "?"))
    assert list(bare_desk.captions()) == ["1.txt"]


async def test_a_model_of_another_kind_is_refused_when_it_is_loaded(desk: CaptionDesk) -> None:
    other = desk.workspace.models / "bert"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    (other / "model.safetensors").write_bytes(b"")
    done = await desk.caption(model="models/bert")
    assert done["status"] == "failed"
    assert done["failure"]["code"] == "unsupported"
    assert "does not make text from images" in done["failure"]["message"]
    assert done["outcome"] == {"captioned": 0, "skipped": 1, "failed": []}


async def test_the_model_stays_loaded_until_another_process_needs_the_gpu(desk: CaptionDesk) -> None:
    captioner = desk.worker.services.captioners["transformers"]
    await desk.caption()
    assert captioner.probe().resident
    trained = await desk.ask("train", config={"steps": 1}, dataset={"training_name": "cats"}, wait=True)
    assert trained["status"] == "completed", trained
    assert not captioner.probe().resident


async def test_another_worker_goes_on_where_one_was_stopped(tmp_path: Path) -> None:
    async with _opened(tmp_path, FakeCaptioner()) as first:
        for number in range(3, 30):
            first.add(f"{number}.png")
        started = await first.caption(
            model="fake slow", wait=False, prompt="{filename} of {trigger_word}", trigger_word="ohwx"
        )
        process_id = started["process_id"]
        await first.until_captioned(5)
    async with _opened(tmp_path, FakeCaptioner()) as second:
        stopped = await second.ask("process_status", process_id=process_id)
        assert stopped["status"] == "interrupted", stopped
        assert 4 <= stopped["outcome"]["captioned"] < 29
        done = await second.ask("resume", process_id=process_id, wait=True)
        assert done["outcome"] == {"captioned": 29, "skipped": 1, "failed": []}, done
        captions = second.captions()
        assert captions["12.txt"] == "12 of ohwx: 12.png"
        assert captions["1.txt"] == "my own words"
        told = [one["event_type"] for one in await second.events(process_id, until="caption.completed")]
        assert told.count("caption.started") == 2
        assert [kind for kind in told if kind.endswith(("interrupted", "completed"))] == [
            "caption.interrupted",
            "caption.completed",
        ]
        again = await second.caption(model="fake")
        assert again["outcome"] == {"captioned": 0, "skipped": 30, "failed": []}


async def test_a_model_that_fails_on_every_image_ends_the_process(tmp_path: Path) -> None:
    async with _opened(tmp_path, FakeCaptioner()) as desk:
        for number in range(9):
            desk.add(f"odd{number}.png")
        names = [f"odd{number}.png" for number in range(9)]
        done = await desk.caption(model="fake odd", limit_names=names)
        assert done["status"] == "failed"
        assert "captioned no image" in done["failure"]["message"]
        assert len(done["outcome"]["failed"]) == 3
        some = await desk.caption(model="fake odd")
        assert some["status"] == "completed", some
        assert some["outcome"]["captioned"] == 2
        assert len(some["outcome"]["failed"]) == 9
