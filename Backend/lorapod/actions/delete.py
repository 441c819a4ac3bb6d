"""`delete`: remove a process, a dataset, a model or files from the workspace."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from lorapod.actions.action import Action
from lorapod.deadline import Deadline
from lorapod.deletion.keep import KeepRule
from lorapod.deletion.plan import DeletionPlan, DeletionPlanner, UnfinishedEnd
from lorapod.deletion.trash import Trash
from lorapod.models.kinds import ModelKind
from lorapod.thread_pools import FILES
from lorapod.wire.model import PathText, ProcessId, RelativePath, Request, Result
from lorapod.workspace import Workspace

#: How long a deletion waits for what is being sent, in seconds.
SENDING_S = 5.0

_KEEP = r"final|last:[1-9][0-9]{0,5}|steps:\[?[0-9]{1,9}( *, *[0-9]{1,9})*\]?"
_TARGETS = ("process_id", "training_name", "model", "paths")


def _keep_rule(value: Any) -> Any:
    """Read `final`, `last:3` or `steps:[500,1000]`."""
    if value is None or isinstance(value, KeepRule):
        return value
    if not isinstance(value, str) or not re.fullmatch(_KEEP, value.strip()):
        raise ValueError("must be one of `final`, `last:3`, `steps:[500,1000]`")
    word, _, rest = value.strip().partition(":")
    if word == "last":
        return KeepRule(last=int(rest))
    return KeepRule(final=word == "final", steps=frozenset(map(int, re.findall("[0-9]+", rest))))


class DeleteRequest(Request):
    """What to delete: one of `process_id`, `training_name`, `model`, `paths`."""

    process_id: ProcessId | None = Field(
        default=None, description="A process that has ended: its outputs, its log and its record."
    )
    training_name: str | None = Field(default=None, description="A dataset.")
    model: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None, description="A model, by its path or its name in `list_models`; its card goes too."
    )
    kind: ModelKind | None = Field(default=None, description="Kind of the model, if several have its name.")
    paths: list[PathText] | None = Field(
        default=None, min_length=1, max_length=10_000, description="Files and folders of the workspace."
    )
    keep: Annotated[
        KeepRule | None,
        BeforeValidator(_keep_rule),
        WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^({_KEEP})$"}, {"type": "null"}]}),
    ] = Field(
        default=None,
        description="With `process_id`: keep these checkpoints, and the samples, the log and the record; delete the "
        "other checkpoints. `final`, `last:3` (the newest three), or `steps:[500,1000]`. The optimizer's state stays if "
        "the newest checkpoint does.",
    )
    dry_run: bool = Field(default=False, description="Only say what would be deleted.")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        given = [name for name in _TARGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_TARGETS)}")
        for name, target in (("keep", "process_id"), ("kind", "model")):
            if getattr(self, name) is not None and given != [target]:
                raise ValueError(f"{name} belongs to {target}")
        return self


class DeleteResult(Result):
    """What was deleted."""

    deleted: list[RelativePath] = Field(
        description="Files and folders that are gone; with `dry_run`, those that would be."
    )
    freed_bytes: int = Field(
        description="Their size in bytes. Large folders are removed in the background, so the disk may need a moment."
    )
    dry_run: bool = Field(default=False, description="Whether nothing was deleted.")
    warnings: list[str] = Field(default=[], description="What cannot be done any more after it.")


async def delete(
    request: DeleteRequest, *, deletions: DeletionPlanner, trash: Trash, workspace: Workspace
) -> DeleteResult:
    """Judge the whole request first, then move everything out of sight in a thread."""
    plan = await _judged(request, deletions)
    if not request.dry_run:
        check = partial(deletions.check_unused, plan)
        await FILES.run(trash.discard, plan.paths, plan.record, check=check)
    return DeleteResult(
        deleted=sorted(workspace.relative(path) for path in plan.paths),
        freed_bytes=plan.size_bytes,
        dry_run=request.dry_run,
        warnings=list(plan.warnings),
    )


async def _judged(request: DeleteRequest, deletions: DeletionPlanner) -> DeletionPlan:
    """Return the plan; wait a moment for the last events of a process that has just ended."""
    deadline = Deadline.after(SENDING_S)
    while True:
        try:
            return await FILES.run(_plan, request, deletions)
        except UnfinishedEnd:
            if deadline.left_s <= 0:
                raise
        await asyncio.sleep(SENDING_S / 20)


def _plan(request: DeleteRequest, deletions: DeletionPlanner) -> DeletionPlan:
    if request.process_id is not None:
        return deletions.of_process(request.process_id, request.keep)
    if request.training_name is not None:
        return deletions.of_dataset(request.training_name)
    if request.model is not None:
        return deletions.of_model(request.model, request.kind)
    return deletions.of_paths(request.paths or ())


ACTION = Action(
    type="delete",
    summary="Delete a process, a dataset, a model or files: never what runs, is used or is still to be uploaded.",
    request=DeleteRequest,
    result=DeleteResult,
    run=delete,
    reads_datasets=True,
    destroys=True,
)
