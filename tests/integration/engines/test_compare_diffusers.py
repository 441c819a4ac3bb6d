"""`compare` and `generate` on the real diffusers engine, with LoRAs of a training whose base model they take."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.contract.engine_cases import shared_pool
from tests.tiny_models import ENVIRONMENT, place_tiny, write_lora

from lorapod.actions.action import RunPodJob
from lorapod.clock import SystemClock
from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.registry import EngineRegistry
from lorapod.processes.order import TrainingOrder, keep_order
from lorapod.records.progress import StoredProgress
from lorapod.records.record import TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.testing.records import make_record
from lorapod.worker import Worker
from lorapod.workspace import Workspace

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.torch, pytest.mark.timeout(240)]

TRAINED = "train_0123456789ab"
PROMPTS = ["mycat on a red ground", "mycat"]


class Gallery:
    """A worker with the real engine, and a training of two checkpoints on the tiny model."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.root = worker.services.workspace.root

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        return await self.worker.answer(
            {"id": "j", "input": {"type": type_, **fields}}, RunPodJob(job_id="j")
        )

    def digest(self, path: str) -> str:
        with Image.open(self.root / path) as image:
            return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()

    def put_training(self) -> None:
        run_folder = self.root / "output" / TRAINED / "cat"
        write_lora(run_folder / "cat_000000010.safetensors", seed=1)
        write_lora(run_folder / "cat.safetensors", seed=2)
        sample = {"prompts": ["[trigger] on a red ground", "[trigger] --w 64"], "width": 64, "height": 64}
        sample |= {"sample_steps": 2, "seed": 7, "guidance_scale": 1.0}
        config = {"config": {"process": [{"trigger_word": "mycat", "sample": sample}]}}
        store = self.worker.context.store
        details = TrainingDetails(
            trainer="ai-toolkit", base_model=str(self.root / "models" / "tiny"), trigger_word="mycat"
        )
        store.records.create(
            make_record(
                process_id=TRAINED,
                name="cat",
                folder="cat",
                status=ProcessStatus.COMPLETED,
                progress=StoredProgress(step=20, total_steps=20),
                training=details,
            )
        )
        keep_order(TrainingOrder(trainer="ai-toolkit", config=config), store.orders, TRAINED)


@pytest.fixture
async def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gallery]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        hf_hub_offline=True,
        cuda_visible_devices="",
    )
    workspace = Workspace.create(settings.workspace_root)
    place_tiny(workspace.models / "tiny")
    engine = DiffusersEngine(
        settings=settings, workspace=workspace, clock=SystemClock(), starter=shared_pool()
    )
    opened = Worker.create(settings, engines=EngineRegistry([engine]))
    opened.start()
    made = Gallery(opened)
    made.put_training()
    yield made
    await asyncio.to_thread(opened.close)


async def test_checkpoints_are_drawn_on_the_base_model_that_they_were_trained_on(gallery: Gallery) -> None:
    answer = await gallery.ask("compare", process_ids=[TRAINED], weights=[0, 1], wait=True)

    assert answer["status"] == "completed", answer
    cells = {(cell["step"], cell["weight"], cell["prompt"]): cell for cell in answer["cells"]}
    assert set(cells) == {(step, weight, text) for step in (10, 20) for weight in (0, 1) for text in PROMPTS}
    assert {cell["seed"] for cell in answer["cells"]} == {7}
    digests = {key: gallery.digest(cell["path"]) for key, cell in cells.items()}
    for text in PROMPTS:
        # Without the LoRA both are the base model; with it each is its own.
        assert digests[10, 0, text] == digests[20, 0, text]
        assert len({digests[step, weight, text] for step in (10, 20) for weight in (0, 1)}) == 3
    assert (answer["drawn"], answer["kept"]) == (6, 2)

    # The same picture as `generate` makes, which takes the base model of the training too.
    made = await gallery.ask(
        "generate",
        prompt=PROMPTS[0],
        seed=7,
        steps=2,
        width=64,
        height=64,
        guidance_scale=1.0,
        loras=[{"process_id": TRAINED}],
    )
    assert made.get("status") == "completed", made
    assert gallery.digest(made["images"][0]["path"]) == digests[20, 1, PROMPTS[0]]
    assert gallery.worker.services.engines["diffusers"].probe().model == str(gallery.root / "models" / "tiny")
