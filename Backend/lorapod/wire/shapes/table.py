"""Every form of input without a `type`; the first that fits counts."""

from __future__ import annotations

from lorapod.wire.shapes.shape import Fields, Shape


def _prompt_alone(fields: Fields) -> bool:
    return "prompt" in fields and "action" not in fields


PROMPT = Shape(
    name="A prompt",
    summary="`prompt`, with the fields of `generate` beside it.",
    type="generate",
    recognise=_prompt_alone,
)

#: From the most particular to the most general.
SHAPES: tuple[Shape, ...] = (PROMPT,)


def recognised(fields: Fields, shapes: tuple[Shape, ...] = SHAPES) -> Shape | None:
    """The form of an input without `type`; None: it is of none that is known."""
    return next((shape for shape in shapes if shape.recognise(fields)), None)
