"""How a command line names LoRAs: a training's id or a path on the volume, perhaps with a weight."""

from __future__ import annotations

import typer

from lorapod.client.options import LoraOptions


def lora_source(text: str) -> LoraOptions:
    """Return what a request calls this LoRA: its `path`, else its `process_id`."""
    return {"path": text} if "/" in text or "." in text else {"process_id": text}


def weighted_lora(text: str, *, param_hint: str) -> LoraOptions:
    """Return the LoRA and the weight of `SOURCE` or `SOURCE:WEIGHT`.

    Raises:
        typer.BadParameter: the weight is not a number.
    """
    source, _, weight = text.rpartition(":")
    if not source:
        source, weight = weight, "1"
    try:
        strength = float(weight)
    except ValueError:
        raise typer.BadParameter(
            f"{weight!r} is not a number; write SOURCE or SOURCE:WEIGHT, for example train_0123456789ab:0.9",
            param_hint=param_hint,
        ) from None
    return {**lora_source(source), "weight": strength}
