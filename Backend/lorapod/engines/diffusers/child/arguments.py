"""The arguments of a pipeline's call, from what was asked for and what the pipeline takes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from lorapod.engines.diffusers.messages import Generate

#: What a request may not set by `params`: its own fields, and what is not JSON.
_OWN = frozenset(
    """
    self prompt negative_prompt image width height num_inference_steps guidance_scale strength num_images_per_prompt
    generator latents output_type return_dict callback callback_steps callback_on_step_end
    callback_on_step_end_tensor_inputs
    """.split()
)
#: Handled by this engine itself.
SCHEDULER = "scheduler"


@dataclass(kw_only=True)
class Arguments:
    """What a pipeline is called with, and what of the request it cannot take."""

    given: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def arguments_for(pipeline: Any, request: Generate) -> Arguments:
    """All but pictures, seeds and callbacks; what the pipeline does not take is a warning."""
    taken = inspect.signature(pipeline.__call__).parameters
    kind = type(pipeline).__name__
    made = Arguments(given={"prompt": request.prompt})
    fields = {
        "steps": ("num_inference_steps", request.steps),
        "guidance_scale": ("guidance_scale", request.guidance_scale),
        "negative_prompt": ("negative_prompt", request.negative_prompt),
        "strength": ("strength", request.strength),
    }
    for name, (argument, value) in fields.items():
        if value is None:
            continue
        if name == "strength" and request.image is None:
            made.warnings.append("strength has no effect without an input picture.")
        elif argument in taken:
            made.given[argument] = value
        elif value != "":
            made.warnings.append(f"{name} has no effect: {kind} takes none.")
    for name, value in request.params.items():
        if name == SCHEDULER:
            continue
        if name in _OWN or name.endswith(("_embeds", "_mask")):
            made.warnings.append(f"params.{name} was left out: it cannot be set so.")
        elif name in taken:
            made.given[name] = value
        else:
            made.warnings.append(f"params.{name} was left out: {kind} takes no such parameter.")
    _warn_of_idle_negative_prompt(made, taken)
    return made


def _warn_of_idle_negative_prompt(made: Arguments, taken: Any) -> None:
    """Models that were distilled for guidance look at a negative prompt only under a second kind of guidance."""
    scale = taken.get("true_cfg_scale")
    if made.given.get("negative_prompt") and scale is not None:
        value = made.given.get("true_cfg_scale", scale.default)
        if isinstance(value, int | float) and value <= 1:
            made.warnings.append("negative_prompt has no effect unless params.true_cfg_scale is above 1.")
