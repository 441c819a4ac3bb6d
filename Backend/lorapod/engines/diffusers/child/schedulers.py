"""Samplers by the names that people use."""

from __future__ import annotations

from typing import Any

from lorapod.errors import InvalidInput

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


def scheduler_named(name: str, own: Any) -> Any:
    """A fresh scheduler of that name, with the settings of the pipeline's own.

    Raises:
        InvalidInput: the pipeline takes none of that name.
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
    """The pipeline's own scheduler as it came, without what a run has left in it."""
    return type(own).from_config(own.config)
