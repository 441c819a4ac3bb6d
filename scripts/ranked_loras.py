"""Make what the test of the ranking compares: `python scripts/ranked_loras.py OUT_DIR`.

It trains the demo's creature on the demo's base model with too few, enough and far too many steps; twenty minutes on one
core. What it writes is in `tests/data/ranked_loras`. The CLIP that scores the pictures is the demo's (`demo_embedding.py`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lorapod.client.demo_recipe import DEMO_BASE, tiny_recipe
from lorapod.client.drawing.creature import draw_creatures
from lorapod.yaml_config.text import dump_config

NAME = "mimo"
#: Few images are soon known by heart.
IMAGES = (0, 3, 5, 6, 8, 9)
#: Too few, enough, far too many.
STEPS = (5, 120, 1500)
_RANK = 4
_RATE = 1e-2
_BATCH = 4


def draw_images(folder: Path) -> Path:
    """Draw the images of the training, with their captions."""
    draw_creatures(folder)
    wanted = {f"{NAME}-{number:02}" for number in IMAGES}
    for path in folder.iterdir():
        if path.stem not in wanted:
            path.unlink()
    return folder


def train_loras(out: Path) -> None:
    """Train one LoRA, and keep three of its checkpoints."""
    with tempfile.TemporaryDirectory() as scratch:
        images = draw_images(Path(scratch, NAME))
        saved: dict[int, Path] = {}
        # A run that ends early has the same steps as the beginning of a long one.
        for run, (steps, every) in enumerate(((STEPS[0], STEPS[0]), (STEPS[-1], STEPS[1]))):
            folder = Path(scratch, str(run))
            config = Path(scratch, f"{run}.yaml")
            config.write_text(dump_config(_config(images, folder, steps=steps, every=every)), "utf-8")
            subprocess.run([sys.executable, "-m", "lorapod.trainers.builtin", config], check=True)
            saved[steps] = folder / NAME / f"{NAME}.safetensors"
            saved[every] = folder / NAME / f"{NAME}_{every:09d}.safetensors"
        out.mkdir(parents=True, exist_ok=True)
        for steps in STEPS:
            path = saved[steps] if saved[steps].exists() else saved[steps].with_name(f"{NAME}.safetensors")
            shutil.copy(path, out / f"{NAME}_{steps:09d}.safetensors")


def _config(images: Path, folder: Path, *, steps: int, every: int) -> dict[str, object]:
    recipe = tiny_recipe(
        folder,
        model=str(DEMO_BASE),
        arch="sd1",
        dataset=images,
        trainer="builtin",
        steps=steps,
        resolution=None,
    )
    config = recipe.config()
    process = config["config"]["process"][0]
    process["network"] |= {"linear": _RANK, "linear_alpha": _RANK}
    process["train"] |= {"lr": _RATE, "batch_size": _BATCH, "disable_sampling": True}
    process["save"] |= {"save_every": every, "max_step_saves_to_keep": 100}
    process["datasets"][0]["folder_path"] = str(images)
    process["training_folder"] = str(folder)
    del process["sample"]
    config["config"]["name"] = NAME
    return config


def main(arguments: Sequence[str]) -> int:
    """Train and write everything."""
    parser = argparse.ArgumentParser(
        prog="python scripts/ranked_loras.py", description="Make what the test of the ranking compares."
    )
    parser.add_argument("folder", type=Path, help="where the LoRAs go")
    options = parser.parse_args(arguments)
    train_loras(options.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
