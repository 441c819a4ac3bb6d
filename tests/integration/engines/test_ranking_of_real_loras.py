"""The ranking on LoRAs that were really trained: too few, enough, and far too many steps on the demo's base model."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.contract.engine_cases import shared_pool
from tests.tiny_models import ENVIRONMENT

from lorapod.actions.action import RunPodJob
from lorapod.client.demo_recipe import DEMO_BASE, DEMO_CLIP
from lorapod.clock import SystemClock
from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.registry import EngineRegistry
from lorapod.records.progress import StoredProgress
from lorapod.records.record import TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.testing.records import make_record
from lorapod.worker import Worker
from lorapod.workspace import Workspace

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

from ranked_loras import NAME, STEPS, draw_images

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(300)]

#: `scripts/ranked_loras.py` made them.
MADE = Path(__file__).parents[2] / "data" / "ranked_loras"
FEW, ENOUGH, MANY = STEPS
TRAINED = "train_0123456789ab"
#: Places and styles, some of which the images show; and what the LoRA should leave alone.
WITH_WORD = (
    "a photo of a mimo on grass",
    "a photo of a mimo at night",
    "a photo of a mimo in the snow",
    "a photo of a mimo in the desert",
    "a photo of a mimo on the beach",
    "a photo of a mimo on a white background",
    "a drawing of a mimo on grass",
    "pixel art of a mimo on the beach",
)
WITHOUT = (
    "a photo of a red ball on grass",
    "a photo of a blue house at night",
    "a drawing of a green tree in the snow",
    "a photo of a pink cup in the desert",
    "a drawing of a purple flower on the beach",
    "a photo of a green balloon on a white background",
    "a photo of a brown mushroom on the beach",
    "a photo of a purple fish under water",
)


class Studio:
    """A worker with the real engine, and a training of three checkpoints."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.root = worker.services.workspace.root

    def put_training(self) -> None:
        run_folder = self.root / "output" / TRAINED / NAME
        run_folder.mkdir(parents=True)
        for step in STEPS:
            shutil.copy(MADE / f"{NAME}_{step:09d}.safetensors", run_folder)
        dataset = draw_images(self.root / "training_data" / NAME)
        self.worker.context.store.records.create(
            make_record(
                process_id=TRAINED,
                name=NAME,
                folder=NAME,
                status=ProcessStatus.CANCELLED,
                progress=StoredProgress(step=MANY, total_steps=MANY),
                training=TrainingDetails(
                    trainer="builtin",
                    base_model=str(self.root / "models" / DEMO_BASE.name),
                    trigger_word=NAME,
                    dataset={"path": str(dataset)},
                ),
            )
        )

    async def compare(self) -> dict[str, Any]:
        asked = {
            "process_ids": [TRAINED],
            "prompts": [*WITH_WORD, *WITHOUT],
            "seeds": [1],
            "width": 64,
            "height": 64,
            "sample_steps": 6,
            "guidance_scale": 3.0,
            "wait": True,
        }
        answer = await self.worker.answer(
            {"id": "j", "input": {"type": "compare", **asked}}, RunPodJob(job_id="j")
        )
        assert answer.get("status") == "completed", answer
        return answer

    def shuffle(self, cells: Sequence[Mapping[str, Any]], source: random.Random) -> None:
        """Deal the pictures of each prompt out anew: which LoRA has drawn which is then chance."""
        by_prompt: dict[str, list[Path]] = defaultdict(list)
        for cell in cells:
            by_prompt[cell["prompt"]].append(self.root / cell["path"])
        for files in by_prompt.values():
            pictures = [path.read_bytes() for path in files]
            source.shuffle(pictures)
            for path, picture in zip(files, pictures, strict=True):
                path.unlink()
                path.write_bytes(picture)


@pytest.fixture
async def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Studio]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        hf_hub_offline=True,
        cuda_visible_devices="",
        embedding_model=f"models/{DEMO_CLIP.name}",
        text_image_model=f"models/{DEMO_CLIP.name}",
    )
    workspace = Workspace.create(settings.workspace_root)
    shutil.copytree(DEMO_CLIP, workspace.models / DEMO_CLIP.name)
    shutil.copytree(DEMO_BASE, workspace.models / DEMO_BASE.name)
    engine = DiffusersEngine(
        settings=settings, workspace=workspace, clock=SystemClock(), starter=shared_pool()
    )
    worker = Worker.create(settings, engines=EngineRegistry([engine]))
    worker.start()
    made = Studio(worker)
    made.put_training()
    yield made
    await asyncio.to_thread(worker.close)


async def test_enough_steps_are_better_than_too_few_and_far_too_many_but_not_by_chance(
    studio: Studio,
) -> None:
    answer = await studio.compare()

    ranking = {one["step"]: one for one in answer["ranking"]}
    assert answer["ranking"][0]["step"] == answer["recommended"]["step"] == ENOUGH, answer["ranking"]
    assert [ranking[step]["place"] > ranking[ENOUGH]["place"] for step in (FEW, MANY)] == [True, True]
    assert "least like the dataset" in ranking[FEW]["reasons"]
    assert "changes other pictures most" in ranking[MANY]["reasons"]

    # The same pictures, scores and sums, but who drew what is dealt out: nothing may be recommended.
    studio.shuffle(answer["cells"], random.Random(1))
    control = await studio.compare()
    assert control["drawn"] == 0
    assert "recommended" not in control
    assert {one["place"] for one in control["ranking"]} == {1}
    assert any("differ less than prompts and seeds do" in text for text in control["warnings"])
