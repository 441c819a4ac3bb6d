"""How much sooner a picture comes from the resident engine than from a fresh process, same request, same run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.benchmarks.report import Report
from tests.tiny_models import ENVIRONMENT, place_tiny, write_lora

from lorapod.clock import SystemClock
from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.port import Generation, LoraUse
from lorapod.processes.starting import ColdStarter, Starter
from lorapod.processes.template.pool import TemplatePool
from lorapod.settings import Settings
from lorapod.testing.engine import RecordedRun
from lorapod.workspace import Workspace

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.benchmark, pytest.mark.torch, pytest.mark.timeout(600)]

#: A second request may take so much of a fresh process's time.
BOUND = 0.2
#: So may one after the GPU was given up, of what it takes where nothing is kept: the model comes from the disk again.
RETURN_BOUND = 0.5
ROUNDS = 3
STEPS = 10

#: What a person would write who has no engine: one process a picture.
PLAIN = """
import sys
import torch
from diffusers import AutoPipelineForText2Image
model, lora, out = sys.argv[1:]
pipeline = AutoPipelineForText2Image.from_pretrained(model, use_safetensors=True)
pipeline.load_lora_weights(lora)
pipeline.set_progress_bar_config(disable=True)
generator = torch.Generator("cpu").manual_seed(1)
image = pipeline("a box", width=64, height=64, num_inference_steps=int({steps}), generator=generator).images[0]
image.save(out)
"""


class Atelier:
    """A workspace with a model and a LoRA."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root / "workspace")
        self.model = place_tiny(self.workspace.models / "tiny")
        self.lora = write_lora(self.workspace.models / "lora.safetensors")
        self.environment = {**Settings().trainer_environment(), **ENVIRONMENT, "CUDA_VISIBLE_DEVICES": ""}

    def engine(self, starter: Starter) -> DiffusersEngine:
        settings = Settings(workspace_path=self.workspace.root, hf_hub_offline=True)
        return DiffusersEngine(
            settings=settings, workspace=self.workspace, clock=SystemClock(), starter=starter
        )

    def seconds(self, engine: DiffusersEngine) -> float:
        """Of one request."""
        folder = self.workspace.output / "generate_000000000001"
        folder.mkdir(exist_ok=True)
        generation = Generation(
            process_id=folder.name,
            prompt="a box",
            model="tiny",
            width=64,
            height=64,
            steps=STEPS,
            seed=1,
            loras=[LoraUse(path=self.lora, name="lora")],
            folder=folder,
            scratch=folder,
        )
        run = RecordedRun(environment=self.environment)
        began = time.perf_counter()
        engine.prepare(generation)
        assert engine.generate(generation, run).files
        return time.perf_counter() - began

    def plain_seconds(self, out: Path) -> float:
        """Of a process that makes the same picture."""
        program = PLAIN.replace("{steps}", str(STEPS))
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", program, str(self.model), str(self.lora), str(out)],
            check=True,
            capture_output=True,
            env={**os.environ, **ENVIRONMENT, "CUDA_VISIBLE_DEVICES": ""},
        )
        return time.perf_counter() - began


@pytest.fixture
def atelier(tmp_path: Path) -> Atelier:
    return Atelier(tmp_path)


def test_a_second_request_is_far_cheaper_than_a_fresh_process(
    atelier: Atelier, tmp_path: Path, report: Report
) -> None:
    engine = atelier.engine(ColdStarter())
    first = atelier.seconds(engine)
    plain, resident = [], []
    for _ in range(ROUNDS):
        plain.append(atelier.plain_seconds(tmp_path / "plain.png"))
        resident.append(atelier.seconds(engine))
    engine.close()

    against, fresh_s = "a fresh process each", statistics.median(plain)
    report(f"First image of {STEPS} steps", first, "s", against=against, reference=fresh_s)
    report(
        "The next image",
        statistics.median(resident),
        "s",
        against=against,
        reference=fresh_s,
        ratio_at_most=BOUND,
    )


def test_after_the_gpu_was_given_up_it_is_soon_back(atelier: Atelier, report: Report) -> None:
    pool = TemplatePool()
    kept, bare = atelier.engine(pool), atelier.engine(ColdStarter())
    atelier.seconds(kept)
    times: dict[DiffusersEngine, list[float]] = {kept: [], bare: []}
    releases = []
    for _ in range(ROUNDS):
        for engine, taken in times.items():
            engine.release()
            taken.append(atelier.seconds(engine))
        began = time.perf_counter()
        kept.release()
        releases.append(time.perf_counter() - began)
    for engine in times:
        engine.close()
    pool.close()

    report("Giving up the GPU", statistics.median(releases) * 1000, "ms")
    report(
        "The next image after that",
        statistics.median(times[kept]),
        "s",
        against="an engine without its imports kept",
        reference=statistics.median(times[bare]),
        ratio_at_most=RETURN_BOUND,
    )
