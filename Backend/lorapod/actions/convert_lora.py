"""`convert_lora`: name the tensors of a LoRA as another program reads them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.lora_tools import LoraTools, OneLoraRequest
from lorapod.lora_tools.names import KeyFormat
from lorapod.thread_pools import READS
from lorapod.wire.model import Result
from lorapod.wire.started import Finished, Started


class LoraFormat(StrEnum):
    """The programs whose names a LoRA can get."""

    DIFFUSERS = KeyFormat.DIFFUSERS
    KOHYA = KeyFormat.KOHYA
    COMFYUI = KeyFormat.COMFYUI


class ConvertLoraRequest(OneLoraRequest):
    """Which LoRA, and for which program."""

    format: LoraFormat = Field(
        description="`diffusers`, `kohya` (also for AUTOMATIC1111, Forge and SwarmUI) or `comfyui`."
    )


async def convert_lora(request: ConvertLoraRequest, *, lora_tools: LoraTools, job: RunPodJob) -> Result:
    """Start the process."""
    path = await READS.run(lora_tools.file, request.path, request.process_id)
    return await lora_tools.start("convert", {"format": request.format.value, "path": path}, request, job)


ACTION = Action(
    type="convert_lora",
    summary="Convert a LoRA for diffusers, kohya's scripts or ComfyUI; a process without a GPU. At its end: `path`, `model`.",
    request=ConvertLoraRequest,
    result=Started,
    other_results=(Finished,),
    run=convert_lora,
)
