"""Hold images back from a training, and have AI Toolkit report their loss (`val/loss` in its loss log).

AI Toolkit looks at the images that `train.validation_config` names, but it does not leave them out of the training. So the
child reads the dataset through a folder of links on local disk, in which they are missing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorapod.errors import InvalidInput
from lorapod.folders import files_below
from lorapod.kinds import CACHE_FOLDERS
from lorapod.trainers import held_out
from lorapod.trainers.ai_toolkit.problems import Problems
from lorapod.trainers.port import HeldOut, TrainingPlan


def hold_out(process: dict[str, Any], wanted: HeldOut, trigger_word: str | None, problems: Problems) -> None:
    """Name the images of the first dataset that are held back; a resume names the same."""
    try:
        problems.warn(held_out.hold_out(process, wanted, trigger_word))
    except InvalidInput as error:
        for problem in error.details:
            problems.add(problem["field"], problem["error"])


def config_without(plan: TrainingPlan) -> dict[str, Any] | None:
    """Make the folder of links, and return the config that reads it; None if nothing is held back.

    Raises:
        OSError: the links cannot be made.
    """
    process: Mapping[str, Any] = plan.config["config"]["process"][0]
    held = (process.get("train") or {}).get(held_out.KEY)
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
