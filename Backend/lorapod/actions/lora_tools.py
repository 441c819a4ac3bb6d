"""What the actions of the LoRA tools share: the fields of their requests, and the start of their processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from lorapod.actions.action import RunPodJob
from lorapod.actions.answers import ProcessAnswers, asking
from lorapod.engines.lora_files import lora_file, newest_weights
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, TaskOrder
from lorapod.settings import Settings
from lorapod.thread_pools import STARTS
from lorapod.wire.model import PathText, ProcessId, Request, Result
from lorapod.wire.start_fields import CallerJobId, IdempotencyKey, WaitForEnd
from lorapod.workspace import Workspace


class LoraToolRequest(Request):
    """What every tool takes."""

    name: str = Field(
        min_length=1,
        max_length=1000,
        description="Name of the new LoRA below `models/loras`, folders included; there must be no LoRA with this name yet.",
    )
    wait: WaitForEnd = None
    idempotency_key: IdempotencyKey = None
    job_id: CallerJobId = None


class OneLoraRequest(LoraToolRequest):
    """One LoRA: a file of the workspace, or what a training has made."""

    path: PathText | None = Field(
        default=None, description="Relative to the workspace, or absolute under it. Give it or `process_id`."
    )
    process_id: ProcessId | None = Field(
        default=None, description="A training: its final weights, or its newest checkpoint."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.process_id is None):
            raise ValueError("give either path or process_id")
        return self


@dataclass(frozen=True, kw_only=True)
class LoraTools:
    """Starts the processes of the LoRA tools."""

    settings: Settings
    workspace: Workspace
    processes: RealProcessManager
    answers: ProcessAnswers

    def file(self, path: str | None, process_id: str | None) -> str:
        """Return the file that a request means, relative to the workspace.

        Raises:
            NotFound: it does not exist.
            InvalidInput: it is not a LoRA.
            UnsafePath: it is outside the workspace.
        """
        found: Path
        if path is not None:
            found = lora_file(path, self.workspace)
        else:
            assert process_id is not None
            found = newest_weights(self.processes.get(process_id), self.workspace)
        return self.workspace.relative(found)

    async def start(
        self, kind: str, wanted: Mapping[str, Any], request: LoraToolRequest, job: RunPodJob
    ) -> Result:
        """Start a process; it needs no GPU, so it does not wait for one."""

        def submit() -> Accepted:
            order = TaskOrder(
                input={"name": request.name, **wanted},
                caller_job_id=request.job_id,
                idempotency_key=request.idempotency_key,
                runpod_job_id=asking(self.settings, job),
            )
            return self.processes.submit(kind, order)

        accepted = await STARTS.run(submit)
        return await self.answers.answer(accepted, None, job, wait=request.wait)
