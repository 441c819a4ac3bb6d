"""`make demo`, whole: how long it takes, and that the creature is in the pictures afterwards."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.acceptance.test_demo import ENVIRONMENT
from tests.benchmarks.report import Report

pytest.importorskip("diffusers", reason="needs the `builtin` extra")
pytest.importorskip("matplotlib", reason="needs the `report` extra")

import numpy as np

pytestmark = [pytest.mark.benchmark, pytest.mark.torch, pytest.mark.timeout(600)]

#: On two cores that nobody else uses.
MOST_S = 90.0
#: Prompts that ask for colours; the last one asks for a pencil sketch.
COLOURED = (0, 1, 2)


def orange(path: Path) -> float:
    """The share of an image's pixels that have the creature's hue, 0 to 1."""
    with Image.open(path) as image:
        pixels: np.ndarray[Any, Any] = np.asarray(image.convert("RGB"), dtype=float)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return float(((red > 130) & (red - blue > 70) & (red - green > 25)).mean())


def test_the_demo_teaches_the_creature_in_time(tmp_path: Path, report: Report) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lorapod.client.demo", "--out", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (total,) = re.findall(r"Total\s+([\d.]+) s", done.stdout)

    shares: dict[int, list[float]] = {}
    for path in sorted((tmp_path / "samples").iterdir(), key=lambda path: path.name.partition("__")[2]):
        found = re.search(r"__\d+_(\d+)\.", path.name)
        assert found is not None
        shares.setdefault(int(found[1]), []).append(orange(path))
    before = [shares[row][0] for row in COLOURED]
    after = [shares[row][-1] for row in COLOURED]
    report("The whole demo", float(total), "s", at_most=MOST_S)
    for row, old, new in zip(COLOURED, before, after, strict=True):
        report(f"Orange pixels after the training, prompt {row}", new * 100, "%", at_least=(old + 0.02) * 100)
