"""How long a training takes: a rule of thumb at first, then what earlier trainings on this machine measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.builtin_runs import ENVIRONMENT, config
from tests.tiny_models import place_tiny

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.testing.pictures import draw_dataset
from lorapod.worker import Worker

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(300)]

STEPS = 12


def open_worker(root: Path, name: str) -> Worker:
    settings = Settings(
        workspace_path=root,
        worker_id=name,
        trainer="builtin",
        allow_cpu=True,
        disk_min_free_bytes=0,
        warm_trainer=False,
    )
    worker = Worker.create(settings)
    worker.start()
    return worker


@pytest.fixture
async def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Worker]]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "workspace"
    place_tiny(root / "models" / "tiny")
    draw_dataset(root / "training_data" / "shapes")
    opened = [open_worker(root, name) for name in ("first", "second")]
    yield opened
    for worker in opened:
        await asyncio.to_thread(worker.close)


async def ask(worker: Worker, **fields: Any) -> dict[str, Any]:
    return await worker.answer({"id": "1", "input": fields}, RunPodJob(job_id="1"))


def training(**train: Any) -> dict[str, Any]:
    changes = {
        "train": {"steps": STEPS, "batch_size": 2, "lr": 1e-3, "gradient_checkpointing": False} | train
    }
    return {
        "type": "train",
        "config": config("shapes", **changes),
        "dataset": {"training_name": "shapes"},
    }


async def test_the_second_training_is_estimated_by_the_first_one_of_any_worker(workers: list[Worker]) -> None:
    first, second = workers
    before = (await ask(first, **training(), dry_run=True))["estimate"]
    assert before.get("basis") in {None, "rule of thumb"}
    ended = await ask(first, **training(), wait=True)
    assert ended["status"] == "completed", ended
    own = ended["estimate"]
    assert (own["basis"], own["duration_s"]) == ("measured here", ended["ran_s"])

    same = await ask(second, **training(), dry_run=True)
    estimate = same["estimate"]
    assert estimate["basis"] == "measured here"
    assert 0.5 < estimate["duration_s"] / ended["ran_s"] < 2
    assert 0.5 < estimate["steps_per_s"] / own["steps_per_s"] < 2

    longer = (await ask(second, **training(steps=10 * STEPS), dry_run=True))["estimate"]
    assert longer["basis"] == "measured here"
    assert estimate["duration_s"] < longer["duration_s"] < 10 * estimate["duration_s"]

    other = (await ask(second, **training(batch_size=4), dry_run=True))["estimate"]
    assert other["basis"] == "measured on this GPU"
    assert other["steps_per_s"] == pytest.approx(estimate["steps_per_s"] / 2)

    begun = await ask(second, **training(), wait=False)
    assert begun["estimate"] == estimate
    await ask(second, type="cancel", process_id=begun["process_id"])
