"""`caption_dataset` through a whole worker, with a real model of random weights."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.engine_cases import shared_pool
from tests.tiny_captioners import WORDS, tiny_captioner
from tests.unit.datasets.library_bench import picture

from lorapod.actions.action import RunPodJob
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.captioners.transformers.adapter import TransformersCaptioner
from lorapod.clock import SystemClock
from lorapod.settings import Settings
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

    def captions(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.folder.glob("*.txt"))}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[CaptionDesk]:
    settings = Settings(
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        hf_hub_offline=True,
    )
    workspace = Workspace.create(tmp_path / "workspace")
    for kind in ("blip", "qwen"):
        shutil.copytree(tiny_captioner(kind), workspace.models / kind)
    captioner = TransformersCaptioner(
        settings=settings, workspace=workspace, clock=SystemClock(), starter=shared_pool()
    )
    opened = Worker.create(
        settings, trainers=TrainerRegistry([ScriptTrainer()]), captioners=CaptionerRegistry([captioner])
    )
    opened.start()
    yield CaptionDesk(opened)
    await asyncio.to_thread(opened.close)


async def test_images_without_captions_get_some(desk: CaptionDesk) -> None:
    done = await desk.caption()

    assert done["status"] == "completed", done
    assert done["process_id"].startswith("caption_")
    assert done["outcome"] == {"captioned": 2, "skipped": 1, "failed": []}
    captions = desk.captions()
    assert captions.pop("1.txt") == "my own words"
    assert sorted(captions) == ["0.txt", "2.txt"]
    for text in captions.values():
        assert len(text.split()) == 6
        assert set(text.split()) <= set(WORDS)
    assert [path.name for path in desk.folder.iterdir() if path.name.startswith(".")] == []
