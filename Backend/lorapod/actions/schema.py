"""`schema`: what can be asked of this worker, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import Field

from lorapod import __version__
from lorapod.actions.action import Action, ActionTable, TimeLimit
from lorapod.errors import UnknownType
from lorapod.thread_pools import READS
from lorapod.trainers import presets
from lorapod.wire.model import Request, Result, WireModel
from lorapod.wire.schema import error_schema, request_schema, result_schema
from lorapod.wire.validation import nearest


class SchemaRequest(Request):
    """Which action."""

    action: str | None = Field(default=None, description="The action to describe; if left out, all.")


class ActionSchema(WireModel):
    """One action."""

    summary: str = Field(description="What it does, in one sentence.")
    request: dict[str, Any] = Field(description="JSON Schema of its `input`.")
    result: dict[str, Any] = Field(description="JSON Schema of its answer.")
    other_results: list[dict[str, Any]] = Field(
        description="JSON Schemas of other answers, which it gives if the request asks for them."
    )


class PresetSummary(WireModel):
    """A config to begin a training with."""

    name: str = Field(description="As `preset` of `train` takes it.")
    description: str = Field(description="What it trains.")
    min_gpu_memory_bytes: int = Field(description="GPU memory that it needs; a rule of thumb.")
    trainers: list[str] = Field(description="The trainers that can run it.")
    base_model: str = Field(description="Hub id of the model that it trains on.")


class SchemaResult(Result):
    """What can be asked, and how it is answered."""

    version: str = Field(description="The worker's version.")
    actions: dict[str, ActionSchema] = Field(description="The actions by type.")
    # Not `error`: the RunPod SDK takes that key of an answer as the sign of a failed job.
    error_answer: dict[str, Any] = Field(description="JSON Schema of the answer if an action fails.")
    presets: list[PresetSummary] = Field(description="The presets of `train`, by name.")


async def schema(request: SchemaRequest, *, actions: ActionTable) -> SchemaResult:
    """Describe one or all actions.

    Raises:
        UnknownType: there is no action of that name.
    """
    wanted = list(actions) if request.action is None else [request.action]
    if wanted[0] not in actions:
        raise _no_action(wanted[0], actions)
    return await READS.run(_describe_all, [actions[name] for name in wanted])


def _describe_all(actions: Sequence[Action[Any, Any]]) -> SchemaResult:
    return SchemaResult(
        version=__version__,
        actions={action.type: describe(action) for action in actions},
        error_answer=error_schema(),
        presets=[_preset_view(presets.get(name)) for name in presets.names()],
    )


def _preset_view(preset: presets.Preset) -> PresetSummary:
    return PresetSummary(
        name=preset.name,
        description=preset.description,
        min_gpu_memory_bytes=preset.min_gpu_memory_bytes,
        trainers=list(preset.trainers),
        base_model=preset.base_model,
    )


@cache
def describe(action: Action[Any, Any]) -> ActionSchema:
    """The schemas of one action; made once, because building them takes milliseconds. Not to be changed."""
    return ActionSchema(
        summary=action.summary,
        request=request_schema(action.type, action.request),
        result=result_schema(action.result),
        other_results=[result_schema(model) for model in action.other_results],
    )


def _no_action(name: str, known: Mapping[str, Any]) -> UnknownType:
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    meant = nearest(name, known)
    return UnknownType(
        f"There is no action {shown!r}{f', did you mean {meant!r}?' if meant else '.'}",
        hint=f"The actions are: {', '.join(sorted(known))}.",
    )


ACTION = Action(
    type="schema",
    summary="Return the JSON Schema of one or all actions, and the worker's version.",
    request=SchemaRequest,
    result=SchemaResult,
    run=schema,
    time_limit=TimeLimit.READ,
)
