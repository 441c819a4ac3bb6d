"""`merge_loras`: make one LoRA of several."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.lora_tools import LoraToolRequest, LoraTools
from lorapod.lora_tools.order import MergeMethod
from lorapod.thread_pools import READS
from lorapod.wire.generation import LoraRef
from lorapod.wire.knobs import Rank
from lorapod.wire.model import Result
from lorapod.wire.started import Finished, Started


class MergeLorasRequest(LoraToolRequest):
    """Which LoRAs, with which weights, and how they become one."""

    loras: list[LoraRef] = Field(
        min_length=1, max_length=32, description="The LoRAs, all of one base model, each with its weight."
    )
    method: MergeMethod = Field(
        default=MergeMethod.CAT,
        description="`cat`: exactly the effect of all of them loaded together; the ranks add up. `svd`: the same, brought "
        "to `rank`. `ties`: only the large changes of each whose sign most agree on; `dare`: random changes of each, "
        "made larger in turn; both brought to `rank`. `linear`: the matrices themselves are added up, which suits "
        "LoRAs of one training only.",
    )
    rank: Rank | None = Field(
        default=None, description="For `svd`, `ties` and `dare`; the default is the largest of the LoRAs."
    )
    density: float = Field(
        default=0.5, gt=0, lt=1, description="Share of each LoRA's changes that `ties` and `dare` keep."
    )
    seed: int = Field(default=0, ge=0, lt=1 << 32, description="Of the random choice of `dare`.")


async def merge_loras(request: MergeLorasRequest, *, lora_tools: LoraTools, job: RunPodJob) -> Result:
    """Start the process."""

    def sources() -> list[dict[str, object]]:
        return [
            {"path": lora_tools.file(lora.path, lora.process_id), "weight": lora.weight}
            for lora in request.loras
        ]

    wanted = request.model_dump(mode="json", exclude_none=True, include={"method", "rank", "density", "seed"})
    return await lora_tools.start("merge", {**wanted, "loras": await READS.run(sources)}, request, job)


ACTION = Action(
    type="merge_loras",
    summary="Make one LoRA of several; a process without a GPU. At its end: `path`, `model`, `rank`, `kept_energy`.",
    request=MergeLorasRequest,
    result=Started,
    other_results=(Finished,),
    run=merge_loras,
)
