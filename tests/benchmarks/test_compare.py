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

import psutil
import pytest
from PIL import Image
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

#: What a person would write: the model and the LoRA loaded once, without a safety checker, a picture after the other.
ALONE = """
import sys, time
import torch
from diffusers import AutoPipelineForText2Image
model, lora, out, first = sys.argv[1:]
pipeline = AutoPipelineForText2Image.from_pretrained(model, use_safetensors=True, safety_checker=None)
pipeline.load_lora_weights(lora)
pipeline.set_progress_bar_config(disable=True)
for seed in range(int(first), int(first) + {cells}):
    began, worked = time.perf_counter(), time.process_time()
    generator = torch.Generator("cpu").manual_seed(seed)
    image = pipeline("a box", width={side}, height={side}, num_inference_steps={steps}, generator=generator).images[0]
    image.save(f"{{out}}/{{seed}}.png")
    print(time.perf_counter() - began, time.process_time() - worked)
"""


def alone_s(model: Path, lora: Path, out: Path, first: int) -> list[tuple[float, float]]:
    """Seconds of each picture but the first, by the clock and of a processor."""
    program = ALONE.format(cells=CELLS, side=SIDE, steps=STEPS)
    done = subprocess.run(
        [sys.executable, "-c", program, str(model), str(lora), str(out), str(first)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT, "CUDA_VISIBLE_DEVICES": ""},
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(float(clock), float(processor)) for clock, processor in lines][1:]


async def drawn_by_compare(worker: Worker, seeds: list[int]) -> list[Path]:
    """The files of new cells, the earliest first."""
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
    assert [cell["seed"] for cell in answer["cells"]] == seeds
    return [worker.services.workspace.root / cell["path"] for cell in answer["cells"]]


def gaps_s(files: list[Path]) -> list[float]:
    """Seconds from each file to the next, by the times at which they were written."""
    times = [path.stat().st_mtime_ns for path in files]
    return [(after - before) / 1e9 for before, after in pairwise(times)]


def engine_processor_s() -> float:
    """Processor seconds of the engine's child so far."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


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
    alone: list[tuple[float, float]] = []
    cells: list[float] = []
    # The model is loaded, and the child is warm, before it is measured; alone, the first picture is left out.
    await drawn_by_compare(worker, [10_000, 10_001])
    began_s = engine_processor_s()
    for number in range(ROUNDS):
        first = number * CELLS
        alone += await asyncio.to_thread(alone_s, model, lora, tmp_path, first)
        files = await drawn_by_compare(worker, list(range(first, first + CELLS)))
        cells += gaps_s(files)
        # The same scheduler, steps, guidance and weights, or the figures would not belong together.
        for seed, file in enumerate(files, first):
            assert pixels(file) == pixels(tmp_path / f"{seed}.png"), f"seed {seed} is another picture"
    processor_s = (engine_processor_s() - began_s) / (ROUNDS * CELLS)
    await asyncio.to_thread(worker.close)

    alone_clock_s = statistics.median(clock for clock, _ in alone)
    alone_processor_s = statistics.median(processor for _, processor in alone)
    against = "diffusers alone"
    what = f"A cell of {STEPS} steps at {SIDE} px after the first"
    report(
        what,
        statistics.median(cells),
        "s",
        against=against,
        reference=alone_clock_s,
        ratio_at_most=BOUND,
    )
    report(f"{what}, of a processor", processor_s, "s", against=against, reference=alone_processor_s)
