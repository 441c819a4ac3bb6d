"""`resize_lora`: make a LoRA smaller."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.lora_tools import LoraTools, OneLoraRequest
from lorapod.thread_pools import READS
from lorapod.wire.knobs import Rank
from lorapod.wire.model import Result
from lorapod.wire.started import Finished, Started


class ResizeLoraRequest(OneLoraRequest):
    """Which LoRA, and how much of it stays."""

    rank: Rank | None = Field(default=None, description="The new rank. Give it or `energy`.")
    energy: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of each module's change that is kept at least, e.g. 0.95: each module gets the smallest rank "
        "that does.",
    )

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.rank is None) == (self.energy is None):
            raise ValueError("give either rank or energy")
        return self


async def resize_lora(request: ResizeLoraRequest, *, lora_tools: LoraTools, job: RunPodJob) -> Result:
    """Start the process."""
    path = await READS.run(lora_tools.file, request.path, request.process_id)
    wanted = request.model_dump(mode="json", exclude_none=True, include={"rank", "energy"})
    return await lora_tools.start("resize", {**wanted, "path": path}, request, job)


ACTION = Action(
    type="resize_lora",
    summary="Make a LoRA smaller by its rank; a process without a GPU. At its end: `path`, `model`, `rank`, `kept_energy`.",
    request=ResizeLoraRequest,
    result=Started,
    other_results=(Finished,),
    run=resize_lora,
)
