"""Hold images back from a training, and have AI Toolkit report their loss (`val/loss` in its loss log).

AI Toolkit looks at the images that `train.validation_config` names, but it does not leave them out of the training. So the
child reads the dataset through a folder of links on local disk, in which they are missing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lorapod.datasets.entry import DatasetEntry
from lorapod.datasets.item import DatasetItem
from lorapod.datasets.reader import DatasetReader
from lorapod.errors import InvalidInput
from lorapod.folders import files_below
from lorapod.kinds import CACHE_FOLDERS
from lorapod.trainers.ai_toolkit.problems import Problems
from lorapod.trainers.port import HeldOut, TrainingPlan

#: More would take longer than they tell: each is looked at with four amounts of noise.
MOST_IMAGES: Final = 32

_FIELD: Final = "validation"
_KEY: Final = "validation_config"


def hold_out(process: dict[str, Any], wanted: HeldOut, trigger_word: str | None, problems: Problems) -> None:
    """Name the images of the first dataset that are held back; a resume names the same."""
    section = process["datasets"][0]
    entry = DatasetEntry.from_config(section, place="config.process[0].datasets[0]")
    if entry is None or not entry.folder.is_dir():
        problems.add(_FIELD, "needs a dataset that is a folder of images")
        return
    try:
        images = sorted(DatasetReader().read(entry).images, key=lambda item: item.name)
    except (InvalidInput, OSError) as error:
        problems.add(_FIELD, f"cannot read the dataset: {error}")
        return
    count = min(MOST_IMAGES, max(1, round(len(images) * wanted.share)))
    if len(images) - count < 1:
        problems.add(_FIELD, f"needs at least 2 images, and the dataset has {len(images)}")
        return
    chosen = [images[place * len(images) // count] for place in range(count)]
    process["train"][_KEY] = {
        "validation_items": [
            {"image_path": str(item.path), "prompt": _prompt(item, trigger_word)} for item in chosen
        ],
        "validate_every_n_steps": wanted.every,
        "resolution": max(entry.resolution),
    }
    problems.warn(
        f"{count} of {len(images)} images are held back from the training; `metrics` has their loss as val/loss."
    )


def _prompt(item: DatasetItem, trigger_word: str | None) -> str:
    try:
        caption = " ".join(item.read_caption().split())
    except (OSError, UnicodeDecodeError):
        caption = ""
    if trigger_word and trigger_word not in caption and "[trigger]" not in caption:
        caption = f"{trigger_word} {caption}".strip()
    return caption


def config_without(plan: TrainingPlan) -> dict[str, Any] | None:
    """Make the folder of links, and return the config that reads it; None if nothing is held back.

    Raises:
        OSError: the links cannot be made.
    """
    process: Mapping[str, Any] = plan.config["config"]["process"][0]
    held = (process.get("train") or {}).get(_KEY)
    if not plan.holds_out or not isinstance(held, Mapping):
        return None
    left_out = {Path(item["image_path"]) for item in held["validation_items"]}
    config = copy.deepcopy(dict(plan.config))
    for number, section in enumerate(config["config"]["process"][0]["datasets"]):
        folder = Path(str(section.get("folder_path")))
        if any(path.is_relative_to(folder) for path in left_out):
            links = plan.control_path.parent / f"dataset_{number}"
            _link(folder, links, left_out)
            section["folder_path"] = str(links)
    return config


def _link(folder: Path, links: Path, left_out: set[Path]) -> None:
    links.mkdir(parents=True, exist_ok=True)
    for entry in files_below(folder, skip=lambda name: name in CACHE_FOLDERS):
        path = Path(entry.path)
        if path in left_out or entry.name.startswith("."):
            continue
        link = links / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)
