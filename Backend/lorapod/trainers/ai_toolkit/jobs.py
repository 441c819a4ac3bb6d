"""Tells trainings from AI Toolkit's other jobs, and says what serves instead of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lorapod.trainers.ai_toolkit.problems import Problems, shown
from lorapod.trainers.ai_toolkit.schema import ToolkitSchema
from lorapod.wire.validation import nearest

_TYPE = "config.process[0].type"

#: Jobs that train nothing, and what to do for the same end.
_OTHER_JOBS = {
    "extract": "makes a LoRA from the difference of two models and trains nothing; this worker has no action for it",
    "generate": "makes images and trains nothing; use the action `generate`",
    "mod": "rescales the weights of a LoRA file and trains nothing; this worker has no action for it",
    "merge": "merges models and trains nothing; this worker has no action for it",
    "slider": "is a process type, no job; use job: extension with type: concept_slider, or job: train with type: slider",
}
#: Types of the job `train` that make sliders; its other types train no LoRA.
LEGACY_SLIDERS = frozenset({"slider", "slider_old"})


def is_training(config: Mapping[str, Any], schema: ToolkitSchema, problems: Problems) -> bool:
    """Return whether a config is for a training; if it is not, the one problem says what serves instead."""
    job = config.get("job")
    if isinstance(job, str) and job in _OTHER_JOBS:
        problems.add("job", f"{job!r} does not train: it {_OTHER_JOBS[job]}")
        return False
    process_type = _type_of(config)
    kind = schema.process_types.get(process_type) if isinstance(process_type, str) else None
    if kind is not None and not kind.trains:
        problems.add(_TYPE, f"{process_type!r} does not train; use sd_trainer or diffusion_trainer")
        return False
    return True


def check_job(
    config: Mapping[str, Any], schema: ToolkitSchema, installed: Iterable[str], problems: Problems
) -> None:
    """Check job and process type; AI Toolkit finds an unknown job after 5 s, an unknown process type after 11 s.

    Args:
        config: a config for a training, as far as `is_training` can tell.
        schema: what AI Toolkit knows.
        installed: the process types of the installation.
        problems: gets what is wrong.
    """
    job, process_type = config.get("job"), _type_of(config)
    if job is None:
        problems.add("job", "is required: for a LoRA, extension")
    elif not isinstance(job, str) or job not in schema.jobs:
        problems.add("job", _unknown("job", job, schema.jobs))
    if not isinstance(process_type, str):
        problems.add(_TYPE, "is required: for a LoRA, sd_trainer or diffusion_trainer")
        return
    kind = schema.process_types.get(process_type)
    if kind is None and process_type not in set(installed):
        problems.add(_TYPE, _unknown("process type", process_type, _trainers(schema)))
    elif kind is not None and kind.job == "train" and process_type not in LEGACY_SLIDERS:
        problems.add(_TYPE, f"{process_type!r} trains no LoRA; use sd_trainer or diffusion_trainer")
    elif kind is not None and isinstance(job, str) and job in schema.jobs and kind.job != job:
        problems.add("job", f"the process type {process_type!r} belongs to the job {kind.job!r}")
    elif process_type in LEGACY_SLIDERS:
        problems.warn(
            f"AI Toolkit {schema.version} fails at the first step of a legacy slider; "
            "job: extension with type: concept_slider trains one."
        )


def _type_of(config: Mapping[str, Any]) -> object:
    match config:
        case {"config": {"process": [{"type": process_type}, *_]}}:
            return process_type
    return None


def _trainers(schema: ToolkitSchema) -> list[str]:
    return [
        name
        for name, kind in schema.process_types.items()
        if kind.trains and (kind.job == "extension" or name in LEGACY_SLIDERS)
    ]


def _unknown(what: str, word: object, known: Iterable[str]) -> str:
    meant = nearest(word, known) if isinstance(word, str) else None
    return f"unknown {what} {shown(word)!r}{f', did you mean {meant!r}?' if meant else ''}"
