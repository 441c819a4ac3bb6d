"""Nothing that trains is lost, whatever the platform does: a short round of chaos with each trainer.

`make chaos` plays the long one. The seed stands in the output; `CHAOS_SEED` plays a round's choices again, though not
its timing.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.arena import ROOT, Report, Round, number, play
from tests.chaos.crowd import Habits
from tests.chaos.trouble import Pace
from tests.error_log import error_log
from tests.tiny_models import place_tiny

from lorapod.testing.pictures import draw_dataset

pytestmark = pytest.mark.slow

#: A few seconds of training with the builtin trainer.
BUILTIN_ORDER = {
    "config": {
        "job": "extension",
        "config": {
            "name": "shapes",
            "process": [
                {
                    "type": "sd_trainer",
                    "network": {"type": "lora", "linear": 4, "linear_alpha": 4},
                    "save": {"save_every": 10, "max_step_saves_to_keep": 100},
                    "datasets": [{"resolution": [64]}],
                    "train": {"steps": 40, "batch_size": 1, "lr": 1e-3, "skip_first_sample": True},
                    "sample": {
                        "sample_every": 20,
                        "prompts": ["a shape"],
                        "width": 64,
                        "height": 64,
                        "sample_steps": 2,
                    },
                    "model": {"name_or_path": "models/tiny"},
                }
            ],
        },
    },
    "dataset": {"training_name": "shapes"},
}


def verdict(report: Report) -> None:
    print(f"\n{report}")  # noqa: T201 - the table is this test's product
    assert not report.findings, str(report)
    assert report.figures["looks"] > 20
    assert report.figures["status answers"] > 20


@pytest.mark.timeout(900)
async def test_the_script_survives(tmp_path: Path) -> None:
    chaos = Round(
        worker=Path(__file__).with_name("script_worker.py"),
        habits=Habits(order={"config": {"steps": 60, "step_s": 0.02, "save_every": 5}}, patience_s=4),
        pace=Pace(least_s=0.5, most_s=3.0, freeze_s=5.0),
        trainings=number("CHAOS_TRAININGS", 6),
        workers=number("CHAOS_WORKERS", 2),
        lease_s=3.0,
        patience_s=60 + 5 * number("CHAOS_TRAININGS", 6),
    )
    verdict(await play(chaos, tmp_path / "workspace", error_log.watch(tmp_path / "logs")))


@pytest.fixture
def builtin_workspace(tmp_path: Path) -> Path:
    """A workspace with a tiny base model, whose weights are random, and a dataset."""
    workspace = tmp_path / "workspace"
    draw_dataset(workspace / "training_data" / "shapes", count=4, size=(64, 64))
    place_tiny(workspace / "models" / "tiny")
    return workspace


@pytest.mark.torch
@pytest.mark.timeout(3600)
async def test_the_builtin_trainer_survives(builtin_workspace: Path, tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="needs the `builtin` extra")
    trainings = number("CHAOS_TRAININGS", 3)
    chaos = Round(
        worker=ROOT / "Backend" / "rp_handler.py",
        habits=Habits(order={**BUILTIN_ORDER, "trainer": "builtin"}, patience_s=15),
        pace=Pace(least_s=3.0, most_s=10.0, freeze_s=8.0),
        trainings=trainings,
        workers=number("CHAOS_WORKERS", 2),
        lease_s=4.0,
        patience_s=120 + 60 * trainings,
    )
    verdict(await play(chaos, builtin_workspace, error_log.watch(tmp_path / "logs")))
