"""What a captioning costs beside its model: against a bare loop over the same images with the same model, in the same run."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.report import Report
from tests.contract.engine_cases import shared_pool
from tests.tiny_captioners import tiny_captioner
from tests.tiny_models import ENVIRONMENT
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

pytestmark = [pytest.mark.benchmark, pytest.mark.torch, pytest.mark.timeout(600)]

IMAGES = 20
TOKENS = 80
ROUNDS = 4

#: So much longer than the bare loop an image may take.
BOUND = 1.05

#: What a person would write: one round for each line of stdin, its seconds on stdout.
PLAIN = """
import pathlib, sys, time
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
model, folder = sys.argv[1], pathlib.Path(sys.argv[2])
processor = AutoProcessor.from_pretrained(model)
model = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32).eval()
for line in sys.stdin:
    began = time.perf_counter()
    for path in sorted(folder.glob("*.png")):
        image = Image.open(path).convert("RGB")
        inputs = processor(images=[image], return_tensors="pt")
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens={tokens}, do_sample=False)
        path.with_suffix(".txt").write_text(processor.batch_decode(made, skip_special_tokens=True)[0])
    print(time.perf_counter() - began, flush=True)
"""


async def test_an_image_costs_little_more_than_its_model(tmp_path: Path, report: Report) -> None:
    workspace = Workspace.create(tmp_path / "workspace")
    shutil.copytree(tiny_captioner("blip"), workspace.models / "blip")
    folder, bare_folder = workspace.training_data / "cats", tmp_path / "bare"
    for place in (folder, bare_folder):
        place.mkdir()
        for number in range(IMAGES):
            (place / f"{number:03d}.png").write_bytes(picture(size=(512, 512)))
    settings = Settings(
        workspace_path=workspace.root,
        scratch_path=tmp_path / "scratch",
        hf_hub_offline=True,
        disk_min_free_bytes=0,
    )
    captioner = TransformersCaptioner(
        settings=settings, workspace=workspace, clock=SystemClock(), starter=shared_pool()
    )
    worker = Worker.create(
        settings, trainers=TrainerRegistry([ScriptTrainer()]), captioners=CaptionerRegistry([captioner])
    )
    worker.start()

    async def managed_s() -> float:
        request: dict[str, Any] = {
            "type": "caption_dataset",
            "training_name": "cats",
            "model": "blip",
            "overwrite": "all",
            "max_new_tokens": TOKENS,
            "wait": True,
        }
        began = time.perf_counter()
        done = await worker.answer({"id": "j", "input": request}, RunPodJob(job_id="j"))
        assert done["outcome"]["captioned"] == IMAGES, done
        return time.perf_counter() - began

    program = PLAIN.replace("{tokens}", str(TOKENS))
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        [sys.executable, "-c", program, str(workspace.models / "blip"), str(bare_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **ENVIRONMENT, "CUDA_VISIBLE_DEVICES": ""},
    ) as bare:
        assert bare.stdin is not None
        assert bare.stdout is not None

        def bare_s() -> float:
            assert bare.stdin is not None
            assert bare.stdout is not None
            bare.stdin.write("\n")
            bare.stdin.flush()
            return float(bare.stdout.readline())

        # The first rounds load the model.
        await managed_s()
        await asyncio.to_thread(bare_s)
        managed, plain = [], []
        for _ in range(ROUNDS):
            plain.append(await asyncio.to_thread(bare_s))
            managed.append(await managed_s())
        bare.stdin.close()
    await asyncio.to_thread(worker.close)

    report(
        f"A caption of {TOKENS} tokens, quickest round of {IMAGES}",
        min(managed) / IMAGES * 1000,
        "ms",
        against="a bare loop over the same model",
        reference=min(plain) / IMAGES * 1000,
        ratio_at_most=BOUND,
    )
