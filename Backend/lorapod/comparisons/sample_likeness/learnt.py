"""What a training's samples are compared with: which of them show what is learnt, and the images that it learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from lorapod.comparisons.trigger import has_trigger
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import ItemKind
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.datasets.sets import entries_of
from lorapod.errors import InvalidInput
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.prompt_flags import sample_prompts
from lorapod.wire.dataset import IMAGE_SUFFIXES

#: Steps between two sets of samples if the config does not say.
_USUAL_EVERY = 100

_FIELD = "stop_when"


def telling_prompts(plan: TrainingPlan) -> AbstractSet[int]:
    """Return the numbers of the sample prompts that name what is learnt."""
    prompts = enumerate(sample_prompts(plan.config))
    return {number for number, prompt in prompts if has_trigger(prompt, plan.trigger_word)}


def steps_between_samples(plan: TrainingPlan) -> int:
    """Return how often samples are drawn that can be measured.

    Raises:
        InvalidInput: never, or only before and after the training, or they are videos, or none shows what is learnt.
    """
    process = _process(plan.config)
    sample, train = _section(process, "sample"), _section(process, "train")
    if train.get("disable_sampling") or not sample_prompts(plan.config):
        raise _refused(
            "this training draws no samples, which likeness is measured on.",
            "Send `sample_prompts`, and no `disable_sampling`.",
        )
    kind = str(sample.get("format") or "jpg")
    if f".{kind}" not in IMAGE_SUFFIXES:
        raise _refused(
            f"this training's samples are {kind} files; likeness is measured on images.",
            "Judge by `validation_loss` instead.",
        )
    every = sample.get("sample_every", _USUAL_EVERY)
    if not isinstance(every, int) or not 0 < every < plan.total_steps:
        raise _refused(
            f"this training draws samples only before and after its {plan.total_steps} steps (`sample_every` is {every}), "
            "so likeness could not end it earlier.",
            "Send a smaller `sample_every`.",
        )
    if not telling_prompts(plan):
        raise _refused(
            f"no sample prompt has the trigger word {plan.trigger_word!r}, so no sample shows what is learnt.",
            "Write `[trigger]` into at least one of `sample_prompts`.",
        )
    return every


def dataset_images(plan: TrainingPlan, workspace: Path) -> Sequence[Path]:
    """Return the images that the training learns from; those that only keep it from forgetting do not count.

    Raises:
        OSError: a folder cannot be read now.
        InvalidInput: a list of images is not one.
    """
    images: dict[Path, None] = {}
    for entry in entries_of(plan.config):
        if not entry.is_reg:
            images |= dict.fromkeys(_images(entry, workspace))
    return list(images)


def check_dataset(images: Sequence[Path]) -> None:
    """Refuse a dataset with which nothing can be compared.

    Raises:
        InvalidInput: it has no images.
    """
    if not images:
        raise _refused(
            "the dataset has no images that samples could be compared with.",
            "Judge by `validation_loss` instead.",
        )


def _images(entry: DatasetEntry, workspace: Path) -> Sequence[Path]:
    reading = DatasetReader(workspace, names_only=True).read(entry)
    return [item.path for item in reading.items if item.kind is ItemKind.IMAGE]


def _refused(said: str, hint: str) -> InvalidInput:
    return InvalidInput(
        f"{_FIELD}: {said}", hint=hint, details=[{"field": _FIELD, "error": said.rstrip(".")}]
    )


def _process(config: Mapping[str, Any]) -> Mapping[str, Any]:
    match config:
        case {"config": {"process": [dict(process), *_]}}:
            return process
    return {}


def _section(process: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = process.get(name)
    return section if isinstance(section, Mapping) else {}
