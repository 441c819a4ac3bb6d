"""Which images of a dataset are held back from a training, in the form of AI Toolkit's `train.validation_config`."""

from __future__ import annotations

from typing import Any, Final

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.errors import InvalidInput
from lorapod.trainers.port import HeldOut

#: More would take longer than they tell: each is looked at with four amounts of noise.
MOST_IMAGES: Final = 32

FIELD: Final = "validation"
KEY: Final = "validation_config"


def hold_out(process: dict[str, Any], wanted: HeldOut, trigger_word: str | None) -> str:
    """Name the images of the first dataset that are held back; a resume names the same. Return a warning that says so.

    Raises:
        InvalidInput: the dataset cannot be read, or is too small.
    """
    entry = DatasetEntry.from_config(process["datasets"][0], place="config.process[0].datasets[0]")
    if entry is None or not entry.folder.is_dir():
        raise _refused("needs a dataset that is a folder of images")
    try:
        images = sorted(DatasetReader().read(entry).images, key=lambda item: item.name)
    except (InvalidInput, OSError) as error:
        raise _refused(f"cannot read the dataset: {error}") from error
    count = min(MOST_IMAGES, max(1, round(len(images) * wanted.share)))
    if len(images) - count < 1:
        raise _refused(f"needs at least 2 images, and the dataset has {len(images)}")
    chosen = [images[place * len(images) // count] for place in range(count)]
    process["train"] = {
        **(process.get("train") or {}),
        KEY: {
            "validation_items": [
                {"image_path": str(item.path), "prompt": _prompt(item, trigger_word)} for item in chosen
            ],
            "validate_every_n_steps": wanted.every,
            "resolution": max(entry.resolution),
        },
    }
    return f"{count} of {len(images)} images are held back from the training; `metrics` has their loss as val/loss."


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"{FIELD}: {why}.", details=[{"field": FIELD, "error": why}])


def _prompt(item: DatasetItem, trigger_word: str | None) -> str:
    try:
        caption = " ".join(item.read_caption().split())
    except (OSError, UnicodeDecodeError):
        caption = ""
    if trigger_word and trigger_word not in caption and "[trigger]" not in caption:
        caption = f"{trigger_word} {caption}".strip()
    return caption
