"""What a rehearsal of a training takes: the largest preset, a dataset of 200 images, and the Hub."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from pydantic import SecretStr
from tests.benchmarks.report import Report
from tests.servers.hub import TOKEN, Repo, running_hub
from tests.unit.actions.desk import Desk

from lorapod.settings import Settings
from lorapod.telemetry import Telemetry
from lorapod.trainers import presets
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.fit import memory_need
from lorapod.workspace import Workspace

pytestmark = pytest.mark.benchmark

#: What the project promises, in seconds, once a worker has answered one.
MOST_WARM_S = 0.3

IMAGES = 200
REHEARSALS = 15


def largest() -> presets.Preset:
    """The preset whose largest tier needs the most GPU memory."""

    def need(preset: presets.Preset) -> int:
        found = memory_need(preset.config["config"]["process"][0])
        return found.total if found is not None else 0

    return max((presets.get(name) for name in presets.names()), key=need)


def test_a_rehearsal_of_the_largest_preset(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Telemetry, "gpu_memory_bytes", lambda _self: 80_000_000_000)
    monkeypatch.setattr(Telemetry, "gpu_indices", lambda _self: (0,))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    toolkit = tmp_path / "ai-toolkit"
    toolkit.mkdir()
    (toolkit / "run.py").write_text("raise SystemExit\n")
    (toolkit / "version.py").write_text('VERSION = "0.12.26"\n')
    root = tmp_path / "pod" / "workspace"
    preset = largest()
    with running_hub() as hub, asyncio.Runner() as runner:
        hub.repos[preset.base_model] = Repo(private=False, gated=True)
        hub.accepted = True
        settings = Settings(
            workspace_path=root, ai_toolkit_path=toolkit, ai_toolkit_python=Path(sys.executable)
        )
        trainer = AIToolkitTrainer(settings=settings, workspace=Workspace.create(root))
        desk = Desk(root.parent, runner, trainer, hf_endpoint=hub.url, hf_token=SecretStr(TOKEN))
        folder = desk.root / "training_data" / "cats"
        folder.mkdir(parents=True)
        for number in range(IMAGES):
            Image.new("RGB", (1024, 768), (number, 0, 0)).save(folder / f"{number}.jpg")
            (folder / f"{number}.txt").write_text(f"a cat, {number}")

        def rehearse() -> float:
            began = time.perf_counter()
            answer = desk.ask(
                type="train",
                preset=preset.name,
                name="cat",
                trigger_word="ohwx",
                validation=True,
                dataset={"training_name": "cats"},
                dry_run=True,
            )
            assert answer.get("accepted") is True, answer
            return time.perf_counter() - began

        first = rehearse()
        took = sorted(rehearse() for _ in range(REHEARSALS))
        desk.worker.close()
    median = statistics.median(took)
    report(f"First dry run of {preset.name}, {IMAGES} images", first, "s")
    report("Each further one", median, "s", at_most=MOST_WARM_S)
