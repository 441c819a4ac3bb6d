"""Scores and ranking of a comparison whose pictures are drawn by code, with real embedding models of random weights."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tests.tiny_embeddings import make_clip, make_dino
from tests.unit.models.model_files import put_model

from lorapod.actions.action import RunPodJob
from lorapod.engines.port import GeneratedFile, Generation, GenerationResult, GenerationRun
from lorapod.engines.registry import EngineRegistry
from lorapod.records.progress import StoredProgress
from lorapod.records.record import TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.testing.engine import FakeEngine
from lorapod.testing.records import make_record
from lorapod.worker import Worker

pytest.importorskip("transformers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.torch, pytest.mark.timeout(240)]

TRAINED = "train_0123456789ab"
FEW, ENOUGH, MANY = 10, 500, 9000
PROMPTS = ["mycat on a beach", "mycat in a wood", "mycat at night"]
SEEDS = [1, 2]
GROUNDS = {"beach": "#e6d8a8", "wood": "#2f6b35", "night": "#1c2040"}
SIDE = 64


def scene(prompt: str, source: random.Random) -> Image.Image:
    """What the base model draws: the ground that the prompt names, with a few grey boxes."""
    ground = next((colour for word, colour in GROUNDS.items() if word in prompt), "#808080")
    image = Image.new("RGB", (SIDE, SIDE), ground)
    canvas = ImageDraw.Draw(image)
    for _ in range(4):
        x, y, side = source.randrange(SIDE - 16), source.randrange(SIDE - 16), source.randrange(8, 16)
        canvas.rectangle((x, y, x + side, y + side), fill=(source.randrange(90, 150),) * 3)
    return image


def subject(image: Image.Image, source: random.Random) -> Image.Image:
    """Put the subject into a scene: a large red face with yellow ears."""
    canvas = ImageDraw.Draw(image)
    x, y, radius = source.randrange(22, 42), source.randrange(26, 42), source.randrange(16, 22)
    for side in (-1, 1):
        ear = x + side * radius * 0.7
        canvas.polygon([(ear - 6, y - radius), (ear + 6, y - radius), (ear, y - radius - 12)], fill="#f0d020")
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill="#d01818")
    for side in (-1, 1):
        canvas.ellipse((x + side * 7 - 3, y - 6, x + side * 7 + 3, y), fill="white")
    return image


def training_picture(number: int) -> Image.Image:
    source = random.Random(f"dataset {number}")
    return subject(scene(source.choice(list(GROUNDS)), source), source)


class DrawnByCode(FakeEngine):
    """Draws as a LoRA of so many steps would: nothing learnt, the subject learnt, the dataset by heart."""

    shuffled = False

    def _generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        del run
        steps = int(generation.loras[0].path.stem.rsplit("_", 1)[1]) if generation.loras else 0
        source = random.Random(f"{generation.prompt} {generation.seed}")
        if self.shuffled and steps:
            # Which LoRA draws which picture changes with the prompt and the seed.
            order = random.Random(f"shuffled {generation.prompt} {generation.seed}").sample(
                [FEW, ENOUGH, MANY], 3
            )
            steps = order[[FEW, ENOUGH, MANY].index(steps)]
        image = scene(generation.prompt, source)
        if steps == MANY:
            image = training_picture(source.randrange(8))
        elif steps == ENOUGH and "mycat" in generation.prompt:
            image = subject(image, source)
        noise = random.Random(f"{steps} {generation.seed}")
        for _ in range(steps and 40):
            image.putpixel((noise.randrange(SIDE), noise.randrange(SIDE)), (noise.randrange(256),) * 3)
        path = generation.folder / "image.png"
        image.save(path)
        return GenerationResult(files=[GeneratedFile(path=path, seed=generation.seed)], timings={})


@dataclass(kw_only=True)
class Studio:
    worker: Worker
    engine: DrawnByCode
    root: Path

    async def compare(self, **fields: Any) -> dict[str, Any]:
        asked = {"process_ids": [TRAINED], "prompts": PROMPTS, "seeds": SEEDS, "wait": True}
        answer = await self.worker.answer(
            {"id": "j", "input": {"type": "compare", **asked | fields}}, RunPodJob(job_id="j")
        )
        assert answer.get("status") == "completed", answer
        return answer

    def put_training(self) -> None:
        for number in range(8):
            path = self.root / "training_data" / "cats" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            training_picture(number).save(path)
        # What cannot be read is no part of the dataset.
        (self.root / "training_data" / "cats" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        for step in (FEW, ENOUGH, MANY):
            put_model(
                self.root / "output" / TRAINED / "cat" / f"cat_{step:09d}.safetensors",
                data=bytes([step % 251]) * 128,
            )
        store = self.worker.context.store
        store.records.create(
            make_record(
                process_id=TRAINED,
                name="cat",
                folder="cat",
                status=ProcessStatus.CANCELLED,
                progress=StoredProgress(step=MANY, total_steps=MANY),
                training=TrainingDetails(
                    trainer="ai-toolkit",
                    trigger_word="mycat",
                    dataset={"path": str(self.root / "training_data" / "cats")},
                ),
            )
        )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedding")
    make_dino(folder / "dino")
    make_clip(folder / "clip", ["on", "a", "beach", "in", "wood", "at", "night"])
    return folder


@pytest.fixture
async def studio(tmp_path: Path, models: Path) -> AsyncIterator[Studio]:
    root = tmp_path / "workspace"
    settings = Settings(
        workspace_path=root,
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        hf_hub_offline=True,
        cuda_visible_devices="",
        embedding_model="models/embedding/dino",
        text_image_model="clip",
    )
    engine = DrawnByCode()
    worker = Worker.create(settings, engines=EngineRegistry([engine]))
    (root / "models").mkdir(parents=True, exist_ok=True)
    (root / "models" / "embedding").mkdir()
    for name in ("dino", "clip"):
        copy_folder(models / name, root / "models" / "embedding" / name)
    worker.start()
    made = Studio(worker=worker, engine=engine, root=root)
    made.put_training()
    yield made
    await asyncio.to_thread(worker.close)


def copy_folder(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).hardlink_to(path)


def mean(cells: list[Mapping[str, Any]], step: int, score: str) -> float:
    values: list[float] = [
        cell["scores"][score] for cell in cells if cell["step"] == step and score in cell["scores"]
    ]
    return sum(values) / len(values)


async def test_too_few_enough_and_far_too_many_steps_are_ranked_in_the_right_order(studio: Studio) -> None:
    answer = await studio.compare()

    cells, ranking = answer["cells"], answer["ranking"]
    few, enough, many = (
        {name: mean(cells, step, name) for name in ("likeness", "likeness_nearest", "drift", "memorised")}
        for step in (FEW, ENOUGH, MANY)
    )
    assert few["likeness"] < enough["likeness"]
    assert few["likeness_nearest"] < enough["likeness_nearest"] < many["likeness_nearest"]
    assert many["drift"] > 10 * max(few["drift"], enough["drift"])
    assert (few["memorised"], enough["memorised"], many["memorised"]) == (0, 0, 1)
    assert [one["step"] for one in ranking] == [ENOUGH, FEW, MANY], ranking
    assert answer["recommended"]["step"] == ENOUGH
    reasons = {one["step"]: one["reasons"] for one in ranking}
    assert "of 8 images" in next(reason for reason in reasons[MANY] if "memorised" in reason)
    assert "changes other pictures most" in reasons[MANY]
    assert [one["place"] for one in ranking].count(1) == 1
    used = {one["model"]: one["scores"] for one in answer["score_models"]}
    assert used["clip"] == ["prompt_fit"]
    assert used["models/embedding/dino"] == ["likeness", "likeness_nearest", "drift", "memorised"]

    # Pictures and their vectors are kept: the same question costs neither.
    again = await studio.compare()
    assert again["drawn"] == 0
    assert again["ranking"] == ranking
    log = await studio.worker.answer(
        {"id": "j", "input": {"type": "logs", "process_id": again["process_id"]}}, RunPodJob(job_id="j")
    )
    assert "0 images were embedded" in str(log)


async def test_a_shuffled_control_is_not_ranked(studio: Studio) -> None:
    studio.engine.shuffled = True
    answer = await studio.compare()
    assert "recommended" not in answer
    assert {one["place"] for one in answer["ranking"]} == {1}
    assert any("differ less than prompts and seeds do" in text for text in answer["warnings"])


async def test_without_its_dataset_cells_are_scored_but_not_ranked(studio: Studio) -> None:
    for path in (studio.root / "training_data" / "cats").iterdir():
        path.unlink()
    answer = await studio.compare(embedding_model="models/embedding/clip", prompts=PROMPTS[:1])
    assert not {"ranking", "recommended"} & set(answer)
    assert any("the images that the LoRAs were trained on are gone" in text for text in answer["warnings"])
    assert {"prompt_fit", "drift"} == set(answer["cells"][0]["scores"])


async def test_a_model_that_is_not_there_is_named_and_costs_no_cell(studio: Studio) -> None:
    answer = await studio.compare(
        embedding_model="models/none", text_image_model="someone/clip", prompts=PROMPTS[:1]
    )
    assert len(answer["cells"]) == 6
    assert "scores" not in answer["cells"][0]
    assert "embedding_model: 'models/none' is neither" in answer["warnings"][0]
    assert "HF_HUB_OFFLINE" in answer["warnings"][1]
