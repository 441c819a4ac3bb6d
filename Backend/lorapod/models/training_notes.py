"""How a model was trained, from the metadata that trainers write: AI Toolkit, kohya's scripts, modelspec."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lorapod import weights
from lorapod.weights import WeightsHeader
from lorapod.wire.catalog import TrainingNotes

#: Longer texts (tag counts, embedded pictures) are cut in an answer.
SHOWN_CHARACTERS = 2_000

#: Of a header with very many notes, only the first are shown.
SHOWN_NOTES = 500

SHOWN_DEPTH = 12

_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?(?:[eE][+-]?\d{1,3})?")


def training_notes(header: WeightsHeader) -> TrainingNotes | None:
    """Return what the header says of the training; None if it says nothing."""
    notes = header.metadata
    info, software = _object(notes.get("training_info")), _object(notes.get("software"))
    found = {
        "steps": weights.step_of(header) or _whole(_first(notes, "ss_steps", "ss_max_train_steps")),
        "epochs": _natural(info.get("epoch")) or _whole(_first(notes, "ss_epoch", "ss_num_epochs")),
        "images": _whole(_first(notes, "ss_num_train_images")),
        "rank": header.rank,
        "alpha": _number(_first(notes, "ss_network_alpha", "lora_alpha")),
        "learning_rate": _number(_first(notes, "ss_learning_rate", "ss_unet_lr")),
        "resolution": _first(notes, "ss_resolution", "modelspec.resolution"),
        "optimizer": _first(notes, "ss_optimizer"),
        "seed": _whole(_first(notes, "ss_seed")),
        "trainer": str(software.get("name") or "") or _first(notes, "modelspec.implementation"),
        "finished_at": _first(notes, "modelspec.date", "ss_training_finished_at"),
        "output_name": _first(notes, "ss_output_name", "name"),
    }
    told = {name: value for name, value in found.items() if value is not None}
    return TrainingNotes(**told) if told else None


def noted(header: WeightsHeader, key: str) -> str | None:
    """Return one text of the metadata, cut to the length that an answer can hold."""
    text = header.metadata.get(key)
    return text[:SHOWN_CHARACTERS] if text else None


def shown_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata for an answer: JSON in it parsed, long texts cut."""
    return {key[:200]: _shown(value) for key, value in list(metadata.items())[:SHOWN_NOTES]}


def _shown(text: str) -> Any:
    if len(text) > SHOWN_CHARACTERS:
        return f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"
    if text[:1] in {"{", "["}:
        try:
            value = json.loads(text)
            # What JSON cannot say again (infinity), or only at great depth, stays text.
            json.dumps(value, allow_nan=False)
        except (ValueError, RecursionError):
            return text
        return value if _shallow(value, SHOWN_DEPTH) else text
    return text


def _shallow(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_shallow(one, depth - 1) for one in inner)


def _first(notes: Mapping[str, str], *keys: str) -> str | None:
    for key in keys:
        text = notes.get(key, "").strip().strip('"')
        if text and text != "None":
            return text[:300]
    return None


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text) else None


def _whole(text: str | None) -> int | None:
    number = _number(text)
    return int(number) if number is not None and number == int(number) else None


def _natural(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
