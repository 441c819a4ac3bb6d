"""The forms of input without a `type`; the first that matches is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.wire.shapes.shape import Fields, Shape
from lorapod.wire.shapes.swarmui import SWARM_SHAPES
from lorapod.wire.shapes.training import FROM_SUPABASE, FROM_URLS
from lorapod.wire.shapes.worker_comfyui import COMFYUI_WORKFLOW
from lorapod.wire.shapes.workflow import PICTURE_TO_VIDEO


def _prompt_alone(fields: Fields) -> bool:
    return "prompt" in fields and "action" not in fields


PROMPT = Shape(
    name="A prompt",
    summary="`prompt`, with the fields of `generate` beside it.",
    type="generate",
    recognise=_prompt_alone,
)

#: From the most specific to the most general.
SHAPES: tuple[Shape, ...] = (
    FROM_SUPABASE,
    FROM_URLS,
    *SWARM_SHAPES,
    PICTURE_TO_VIDEO,
    COMFYUI_WORKFLOW,
    PROMPT,
)


def recognised(fields: Fields, shapes: tuple[Shape, ...] = SHAPES) -> Shape | None:
    """Return the form of an input without `type`; None if no form matches."""
    return next((shape for shape in shapes if shape.recognise(fields)), None)


def as_training(job_input: Any) -> Fields:
    """Return the form of a handler that only trains: an input without a form is a training that lacks a field."""
    fields = job_input if isinstance(job_input, Mapping) else {}
    if "type" in fields or "action" in fields or recognised(fields) is not None:
        return fields
    return {"internal_job_id": None, **fields}
