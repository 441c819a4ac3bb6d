"""SwarmUI's description of a model, in the worker's words and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from lorapod.errors import InvalidInput, Unsupported
from lorapod.models.kinds import ModelKind
from lorapod.wire.catalog import ModelCardView, ModelView

#: SwarmUI's kinds of models, in the order in which lists show them.
SUBTYPES: Mapping[ModelKind, str] = {
    ModelKind.CHECKPOINT: "Stable-Diffusion",
    ModelKind.LORA: "LoRA",
    ModelKind.VAE: "VAE",
    ModelKind.EMBEDDING: "Embedding",
    ModelKind.CONTROLNET: "ControlNet",
    ModelKind.TEXT_ENCODER: "Clip",
    ModelKind.CLIP_VISION: "ClipVision",
}

#: How it separates several trigger words in its one field.
_BETWEEN_WORDS = ";"

#: Fields that a caller may change by SwarmUI's own names, beside those that the worker has names for.
OWN_FIELDS = frozenset(
    "date prediction_type standard_width standard_height architecture is_negative_embedding lora_default_weight "
    "lora_default_confinement preview_image".split()
)

_WORKERS_NAMES = {"trigger_words": "trigger_phrase"}
_TEXTS = (
    "title",
    "author",
    "description",
    "usage_hint",
    "date",
    "license",
    "trigger_phrase",
    "prediction_type",
)


def subtype_of(kind: ModelKind) -> str | None:
    """SwarmUI's kind for the worker's; None: it keeps no such models."""
    # Its list of checkpoints has those of the folder diffusion_models too.
    return SUBTYPES.get(ModelKind.CHECKPOINT if kind is ModelKind.DIFFUSION_MODEL else kind)


def view(told: Mapping[str, Any], kind: ModelKind) -> ModelView:
    """Return a model as a list shows it."""
    return ModelView(**_viewed(told, kind))


def card(told: Mapping[str, Any], kind: ModelKind) -> ModelCardView:
    """Return all that SwarmUI knows of a model without its preview image, which may have megabytes."""
    shown = {
        name: value
        for name, value in told.items()
        if value not in (None, "", []) and not str(value).startswith("data:")
    }
    return ModelCardView(
        **_viewed(told, kind),
        description=_text(told, "description"),
        author=_text(told, "author"),
        license=_text(told, "license"),
        usage_hint=_text(told, "usage_hint"),
        architecture=_text(told, "architecture"),
        is_lora=kind is ModelKind.LORA or None,
        metadata=shown,
    )


def edited(told: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return all fields that `EditModelMetadata` needs, with `changes` applied.

    It overwrites every text, so unchanged ones are sent too.

    Raises:
        Unsupported: SwarmUI keeps no such field.
        InvalidInput: SwarmUI does not accept a value.
    """
    wanted = {_WORKERS_NAMES.get(name, name): value for name, value in changes.items()}
    known = {*_TEXTS, "tags", *OWN_FIELDS}
    if unknown := sorted(wanted.keys() - known):
        raise Unsupported(
            f"SwarmUI keeps no field {unknown[0]!r} of a model.",
            hint=f"It keeps {', '.join(sorted(known | _WORKERS_NAMES.keys()))}.",
        )
    fields: dict[str, Any] = {
        name: _written(wanted[name] if name in wanted else told.get(name)) for name in _TEXTS
    }
    fields["tags"] = _tags(wanted["tags"] if "tags" in wanted else told.get("tags"))
    # Nothing, and sizes of 0, leave what is there.
    fields["type"] = _written(wanted.get("architecture"))
    for name in ("standard_width", "standard_height"):
        fields[name] = _size(name, wanted.get(name))
    for name in ("lora_default_weight", "lora_default_confinement"):
        fields[name] = _written(wanted[name] if name in wanted else told.get(name))
    negative = wanted.get("is_negative_embedding", told.get("is_negative_embedding"))
    fields["is_negative_embedding"] = str(negative).lower() == "true"
    if "preview_image" in wanted:
        fields["preview_image"] = wanted["preview_image"] or "clear"
    return fields


def _viewed(told: Mapping[str, Any], kind: ModelKind) -> dict[str, Any]:
    path = PurePosixPath(str(told.get("name", "")))
    words = [word.strip() for word in (_text(told, "trigger_phrase") or "").split(_BETWEEN_WORDS)]
    return {
        "name": path.with_suffix("").as_posix() if path.suffix in {".safetensors", ".gguf"} else str(path),
        "kind": kind.value,
        "format": path.suffix.removeprefix(".") or None,
        "modified_at": _moment(told.get("time_modified")),
        "base_model": _text(told, "class"),
        "trigger_words": [word for word in words if word] or None,
        "title": _text(told, "title"),
        "tags": [str(tag) for tag in tags] if isinstance(tags := told.get("tags"), list) and tags else None,
    }


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) and value else None


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return f"{_BETWEEN_WORDS} ".join(str(part) for part in value)
    return str(value)


def _tags(value: Any) -> str:
    if isinstance(value, str):
        return value
    tags = [str(tag) for tag in value] if isinstance(value, list) else []
    if any("," in tag for tag in tags):
        raise InvalidInput("tags: SwarmUI separates them by commas, so none may have one.")
    return ",".join(tags)


def _size(name: str, value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}: must be a whole number of pixels.") from error


def _moment(milliseconds: Any) -> datetime | None:
    """Return one of SwarmUI's times; 0 means none."""
    if not isinstance(milliseconds, int | float) or milliseconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
