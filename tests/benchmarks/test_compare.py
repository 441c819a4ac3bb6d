"""What a cell of a comparison costs after the first, beside diffusers alone in one process, same pictures, same run."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.report import Report
from tests.tiny_models import ENVIRONMENT, place_tiny, write_lora

from lorapod.actions.action import RunPodJob
from lorapod.clock import SystemClock
from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.registry import EngineRegistry
from lorapod.processes.starting import ColdStarter
from lorapod.settings import Settings
from lorapod.worker import Worker
from lorapod.workspace import Workspace

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.benchmark, pytest.mark.torch, pytest.mark.timeout(900)]

#: A cell may take so much of what diffusers alone takes.
BOUND = 1.1
ROUNDS = 3
CELLS = 6
STEPS = 20
SIDE = 128

#: What a person would write: the model and the LoRA loaded once, a picture after the other.
ALONE = """
import sys, time
import torch
from diffusers import AutoPipelineForText2Image
model, lora, out = sys.argv[1:]
pipeline = AutoPipelineForText2Image.from_pretrained(model, use_safetensors=True)
pipeline.load_lora_weights(lora)
pipeline.set_progress_bar_config(disable=True)
for seed in range({cells}):
    began = time.perf_counter()
    generator = torch.Generator("cpu").manual_seed(seed)
    image = pipeline("a box", width={side}, height={side}, num_inference_steps={steps}, generator=generator).images[0]
    image.save(out)
    print(time.perf_counter() - began)
"""


def alone_s(model: Path, lora: Path, out: Path) -> list[float]:
    """Seconds of each picture but the first."""
    program = ALONE.format(cells=CELLS, side=SIDE, steps=STEPS)
    done = subprocess.run(
        [sys.executable, "-c", program, str(model), str(lora), str(out)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT, "CUDA_VISIBLE_DEVICES": ""},
    )
    return [float(line) for line in done.stdout.split()][1:]


async def cells_s(worker: Worker, seeds: list[int]) -> list[float]:
    """Seconds from each cell to the next, by the times at which their files were written."""
    asked: dict[str, Any] = {
        "type": "compare",
        "loras": [{"path": "models/lora.safetensors"}],
        "model": "tiny",
        "prompts": ["a box"],
        "seeds": seeds,
        "sample_steps": STEPS,
        "width": SIDE,
        "height": SIDE,
        "wait": True,
    }
    answer = await worker.answer({"id": "j", "input": asked}, RunPodJob(job_id="j"))
    assert answer.get("drawn") == len(seeds), answer
    root = worker.services.workspace.root
    times = sorted((root / cell["path"]).stat().st_mtime_ns for cell in answer["cells"])
    return [(after - before) / 1e9 for before, after in pairwise(times)]


async def test_a_cell_costs_what_diffusers_alone_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
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
    model = place_tiny(workspace.models / "tiny")
    lora = write_lora(workspace.models / "lora.safetensors")
    engine = DiffusersEngine(
        settings=settings, workspace=workspace, clock=SystemClock(), starter=ColdStarter()
    )
    worker = Worker.create(settings, engines=EngineRegistry([engine]))
    worker.start()
    alone, cells = [], []
    for number in range(ROUNDS):
        alone += await asyncio.to_thread(alone_s, model, lora, tmp_path / "alone.png")
        first = number * CELLS
        cells += await cells_s(worker, list(range(first, first + CELLS)))
    await asyncio.to_thread(worker.close)

    ratio = statistics.median(cells) / statistics.median(alone)
    report(
        f"a cell of {STEPS} steps at {SIDE} px after the first: diffusers alone {statistics.median(alone):.3f} s, "
        f"compare {statistics.median(cells):.3f} s ({ratio:.3f}; at most {BOUND})"
    )
    assert ratio <= BOUND
