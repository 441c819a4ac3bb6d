"""That the measures for a GPU work, by a dry run on the processor; what they say of a GPU only a GPU can show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark_figures.results import DRY_RUN, Results

PROGRAM = Path(__file__).parents[2] / "scripts" / "gpu-check.py"

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]


def gpu_check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=280
    )


@pytest.mark.slow
def test_a_dry_run_measures_on_the_processor_and_says_what_it_cannot(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    only = ("--only", "speed", "--only", "out-of-memory")

    ran = gpu_check("--cpu", "--rounds", "1", "--steps", "6", *only, "--results", path)

    kept = {each.name.removeprefix("gpu-check::"): each for each in Results.load(path).benchmarks}
    assert set(kept) == {"speed", "out-of-memory"}, ran.stdout + ran.stderr
    (speed,) = kept["speed"].figures
    assert speed.value > 0
    assert speed.reference is not None
    assert speed.reference > 0
    assert kept["speed"].machine.endswith(DRY_RUN)
    assert kept["out-of-memory"].not_measured == "the memory of a GPU cannot be filled without one"
    # A busy machine may break the bound of the ratio.
    assert ran.returncode == (0 if speed.holds else 1), ran.stdout


def test_without_cuda_it_measures_nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    ran = gpu_check()

    assert ran.returncode == 2
    assert "no CUDA" in ran.stdout
