"""`list_presets`: the configs that a training can begin with, and whether this worker can train them."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.telemetry import Telemetry
from lorapod.thread_pools import READS
from lorapod.trainers import presets
from lorapod.trainers.registry import TrainerRegistry
from lorapod.wire.model import Request, Result
from lorapod.wire.presets import PresetView, TierView
from lorapod.wire.validation import nearest


class ListPresetsRequest(Request):
    """Which presets, and for which GPU."""

    trainer: str | None = Field(
        default=None, max_length=100, description="Only presets that this trainer can run."
    )
    gpu_memory_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Memory of the GPU to judge by; if left out, that of this worker's smallest GPU.",
    )


class ListPresetsResult(Result):
    """The presets, by name."""

    presets: list[PresetView] = Field(description="By name.")


async def list_presets(
    request: ListPresetsRequest, *, trainers: TrainerRegistry, telemetry: Telemetry, settings: Settings
) -> ListPresetsResult:
    """Look at the trainers and the GPU in a thread.

    Raises:
        InvalidInput: there is no such trainer.
    """
    return await READS.run(_list, request, trainers, telemetry, settings)


def _list(
    request: ListPresetsRequest, trainers: TrainerRegistry, telemetry: Telemetry, settings: Settings
) -> ListPresetsResult:
    wanted = request.trainer
    if wanted is not None and wanted not in trainers:
        meant = nearest(wanted, trainers)
        raise InvalidInput(
            f"There is no trainer {wanted!r}{f', did you mean {meant!r}?' if meant else '.'}",
            hint=f"The trainers are: {', '.join(trainers)}.",
            details=[{"field": "trainer", "error": "unknown trainer"}],
        )
    memory_bytes = request.gpu_memory_bytes
    if memory_bytes is None:
        memory_bytes = telemetry.gpu_memory_bytes()
    missing = {name: status.detail for name, status in trainers.statuses().items() if not status.available}
    found = []
    for name in presets.names():
        preset = presets.get(name)
        if wanted is not None and wanted not in preset.trainers:
            continue
        usable = [
            trainer
            for trainer in preset.trainers
            if trainer in trainers and trainer not in missing and wanted in (None, trainer)
        ]
        reason: str | None = None
        if not usable:
            reason = _no_trainer(preset, missing, wanted)
        elif memory_bytes is None:
            needs_gpu = all(trainers[trainer].needs_gpu for trainer in usable)
            if needs_gpu and not settings.allow_cpu:
                reason = "This worker has no GPU."
        else:
            reason = _too_small(preset, memory_bytes)
        found.append(_view(preset, reason))
    return ListPresetsResult(presets=found)


def _no_trainer(preset: presets.Preset, missing: dict[str, str], wanted: str | None) -> str:
    needed = [wanted] if wanted is not None else list(preset.trainers)
    said = [missing[name].rstrip(".") for name in needed if missing.get(name)]
    return f"{'. '.join(said)}." if said else f"It needs the trainer {' or '.join(needed)}."


def _too_small(preset: presets.Preset, memory_bytes: int) -> str | None:
    least = preset.min_gpu_memory_bytes
    if memory_bytes >= least:
        return None
    return f"It needs a GPU with {least / 1e9:.0f} GB of memory; this one has {memory_bytes / 1e9:.0f} GB."


def _view(preset: presets.Preset, reason: str | None) -> PresetView:
    return PresetView(
        name=preset.name,
        description=preset.description,
        base_model=preset.base_model,
        gated=preset.gated,
        licence=preset.licence,
        learns=list(preset.learns),
        tiers=[TierView(name=tier.name, gpu_memory_bytes=tier.gpu_memory_bytes) for tier in preset.tiers],
        trainers=list(preset.trainers),
        available=reason is None,
        reason=reason,
    )


ACTION = Action(
    type="list_presets",
    summary="The presets of `train`, the GPU memory that they need, and whether this worker can train them.",
    request=ListPresetsRequest,
    result=ListPresetsResult,
    run=list_presets,
    time_limit=TimeLimit.READ,
)
