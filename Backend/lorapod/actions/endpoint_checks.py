"""Checks of what an endpoint's own settings promise: its cached model, and what a front door is for, what is deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorapod.cached_models import CachedModel, ModelPlace
from lorapod.settings import Settings
from lorapod.wire.machine import CheckView


def front_door_check(settings: Settings) -> Iterator[CheckView]:
    """Say where trainings run, in place of the checks of GPU, trainers and engines; nothing if they run here."""
    if settings.front_door_of is not None:
        detail = f"A front door without a GPU: trainings and generations run on the endpoint {settings.front_door_of}."
        yield CheckView(name="front_door", ok=True, detail=detail)


def cached_model_check(models: Sequence[CachedModel] | None, settings: Settings) -> Iterator[CheckView]:
    """Find fault with a cached model that is not on the host; a front door needs none."""
    wanted = settings.cached_model
    if wanted is None or settings.front_door_of is not None:
        return
    found = {model.hub_id: model.place for model in models or ()}.get(wanted)
    here = found is ModelPlace.RUNPOD_CACHE
    missing = f"{wanted} (CACHED_MODEL) is not in RunPod's cache on this host, so it {_instead(found)}."
    detail = f"{wanted} is read from RunPod's cache on this host." if here else missing
    yield CheckView(name="cached_model", ok=here, detail=detail)


def _instead(found: ModelPlace | None) -> str:
    return "is downloaded to the volume" if found is None else "is read from the volume"


def retention_check(settings: Settings) -> Iterator[CheckView]:
    """Say what the worker deletes by itself, before a person misses a file."""
    if settings.retention:
        rules = ", ".join(str(rule) for rule in settings.retention)
        detail = (
            f"This worker deletes by itself (RETENTION): {rules}; logs/retention.jsonl lists what it deleted."
        )
        yield CheckView(name="retention", ok=True, detail=detail)
