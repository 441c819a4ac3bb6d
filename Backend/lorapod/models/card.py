"""What people write about a model: a small JSON file beside it.

Not the header of the safetensors file: it comes before the weights, so a longer text would rewrite gigabytes and
change the file's digest, by which others know it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lorapod.atomic import write_atomically
from lorapod.wire.catalog import ModelNotes

SUFFIX = ".card.json"

#: Larger files are not cards.
CARD_MAX_BYTES = 1_000_000

_editing = threading.Lock()


def card_path(model: Path) -> Path:
    """Return the path of a model's card: beside the model, also if the model is a folder."""
    return model.with_name(model.name + SUFFIX)


def read_card(model: Path) -> ModelNotes:
    """Return a model's card; an empty one if there is none, or it cannot be read."""
    try:
        with card_path(model).open("rb") as file:
            stored = json.loads(file.read(CARD_MAX_BYTES))
        return ModelNotes.model_validate(_known_fields(stored))
    except (OSError, ValueError, RecursionError, ValidationError):
        return ModelNotes()


def edit_card(model: Path, changes: Mapping[str, Any]) -> None:
    """Change some fields, keep the others, those of later versions too; None or nothing removes a field.

    Raises:
        OSError: the card cannot be written; it is as it was.
    """
    path = card_path(model)
    with _editing:
        try:
            stored = json.loads(path.read_bytes()[:CARD_MAX_BYTES])
        except (OSError, ValueError, RecursionError):
            stored = {}
        fields = dict(stored) if isinstance(stored, dict) else {}
        for name, value in changes.items():
            if value:
                fields[name] = value
            else:
                fields.pop(name, None)
        write_atomically(path, json.dumps(fields, indent=2, ensure_ascii=False).encode())


def _known_fields(stored: Any) -> dict[str, Any]:
    if not isinstance(stored, dict):
        return {}
    return {name: value for name, value in stored.items() if name in ModelNotes.model_fields}
