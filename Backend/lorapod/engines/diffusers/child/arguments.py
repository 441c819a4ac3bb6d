"""The arguments and the scheduler of a pipeline's call, from what the request asks and what the pipeline takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorapod.engines.diffusers.messages import Generate
from lorapod.errors import InvalidInput

#: What a request may not set by `params`: its own fields, and what is not JSON.
_OWN = frozenset(
    """
    self prompt negative_prompt image mask_image width height num_inference_steps guidance_scale strength num_images_per_prompt
    generator latents output_type return_dict callback callback_steps callback_on_step_end
    callback_on_step_end_tensor_inputs
    """.split()
)
#: Handled by this engine itself.
SCHEDULER = "scheduler"

Parameters = Mapping[str, inspect.Parameter]


_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm++_2m": ("DPMSolverMultistepScheduler", {}),
    "dpm++_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpm++_sde": ("DPMSolverSinglestepScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}


@dataclass(kw_only=True)
class Arguments:
    """What a pipeline is called with, and what of the request it cannot take."""

    given: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def arguments_for(pipeline: Any, request: Generate) -> Arguments:
    """Return all arguments but images, seeds and callbacks; warn of what the pipeline does not take.

    Raises:
        InvalidInput: `strength` leaves no step for the input image.
    """
    taken = inspect.signature(pipeline.__call__).parameters
    kind = type(pipeline).__name__
    made = Arguments(given={"prompt": request.prompt})
    _add_fields(made, request, taken, kind)
    _add_params(made, request, taken, kind)
    _warn_of_idle_negative_prompt(made, taken)
    if request.image is not None:
        _check_strength(made, taken)
    return made


def _add_fields(made: Arguments, request: Generate, taken: Parameters, kind: str) -> None:
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
            made.warnings.append("strength has no effect without an input image.")
        elif argument in taken:
            made.given[argument] = value
        elif value != "":
            made.warnings.append(f"{name} has no effect: {kind} takes none.")


def _add_params(made: Arguments, request: Generate, taken: Parameters, kind: str) -> None:
    for name, value in request.params.items():
        if name == SCHEDULER:
            continue
        if name in _OWN or name.endswith(("_embeds", "_mask")):
            made.warnings.append(f"params.{name} was left out: it cannot be set so.")
        elif name in taken:
            made.given[name] = value
        else:
            made.warnings.append(f"params.{name} was left out: {kind} takes no such parameter.")


def _warn_of_idle_negative_prompt(made: Arguments, taken: Parameters) -> None:
    """Warn if a model distilled for guidance ignores the negative prompt without its second kind of guidance."""
    scale = taken.get("true_cfg_scale")
    if made.given.get("negative_prompt") and scale is not None:
        value = made.given.get("true_cfg_scale", scale.default)
        if isinstance(value, int | float) and value <= 1:
            made.warnings.append("negative_prompt has no effect unless params.true_cfg_scale is above 1.")


def _check_strength(made: Arguments, taken: Parameters) -> None:
    """Refuse a strength that leaves no step: not every pipeline has a clear message for that."""
    steps, strength = (
        made.given.get(name, taken[name].default if name in taken else None)
        for name in ("num_inference_steps", "strength")
    )
    if isinstance(steps, int) and isinstance(strength, int | float) and int(steps * strength) < 1:
        raise InvalidInput(
            f"strength {strength:g} of {steps} steps leaves no step to be made: raise strength or steps."
        )


def scheduler_named(name: str, own: Any) -> Any:
    """Return a fresh scheduler of that name, with the settings of the pipeline's own.

    Raises:
        InvalidInput: the pipeline has no scheduler of that name.
    """
    kinds = {kind.__name__: kind for kind in getattr(own, "compatibles", [])}
    class_name, changes = _CLASSES.get(name.lower(), (name, {}))
    if class_name not in kinds:
        known = sorted([short for short, (long, _) in _CLASSES.items() if long in kinds] or kinds)
        raise InvalidInput(
            f"params.scheduler: the model takes no scheduler {name[:80]!r}.",
            hint=f"It takes {', '.join(known) or 'only its own'}.",
        )
    return kinds[class_name].from_config(own.config, **changes)


def fresh(own: Any) -> Any:
    """Return the pipeline's own scheduler as it was loaded, without the state of an earlier run."""
    return type(own).from_config(own.config)
