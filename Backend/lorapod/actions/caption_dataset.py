"""`caption_dataset`: have a model write the captions of a dataset, in its own process."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.answers import ProcessAnswers, asking
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.callbacks import wanted_callback
from lorapod.actions.dataset import dataset_folder
from lorapod.captioners.order import Overwrite
from lorapod.captioners.prompts import CaptionStyle
from lorapod.events.courier import Courier
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, TaskOrder
from lorapod.settings import Settings
from lorapod.wire.dataset import TriggerWord
from lorapod.wire.model import Request, Result
from lorapod.wire.start_fields import CallbackToken, CallbackUrl, CallerJobId, IdempotencyKey, WaitForEnd
from lorapod.wire.started import Finished, Started
from lorapod.workspace import Workspace

Name = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
PromptText = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class CaptionDatasetRequest(Request):
    """Which dataset, and how."""

    training_name: str = Field(description="The dataset.")
    captioner: str | None = Field(
        default=None,
        max_length=100,
        description="`transformers` or `ai-toolkit`; if left out, the first that this worker has.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="A HuggingFace id or a folder of the workspace; if left out, `CAPTION_MODEL`.",
    )
    style: CaptionStyle | None = Field(
        default=None,
        description="`natural` (sentences), `tags` or `short`; if left out, what suits `arch`.",
    )
    arch: str | None = Field(
        default=None,
        max_length=100,
        description="Architecture of the model that will be trained, as in its config (`sdxl`, `flux`, `wan21`): tags and "
        "fewer words for CLIP's text encoders, motion for videos.",
    )
    prompt: PromptText | None = Field(
        default=None,
        description="What the model is asked, instead of the style's prompt; `{trigger_word}` and `{filename}` are filled in.",
    )
    overwrite: Overwrite = Field(
        default=Overwrite.MISSING,
        description="`missing`: caption the images that have no caption or an empty one; `all`: replace the captions too.",
    )
    trigger_word: TriggerWord | None = Field(
        default=None, description="Comes first in each caption that does not have it."
    )
    max_new_tokens: int = Field(
        default=256, ge=1, le=4096, description="Longest caption, in the model's tokens."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Images at a time; halved if memory runs out. If left out, 8 on a GPU and 1 without.",
    )
    limit_names: list[Name] | None = Field(
        default=None, min_length=1, max_length=100_000, description="Caption these images only."
    )
    caption_ext: Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9_]{1,16}$")] | None = Field(
        default=None,
        description="Suffix of the captions; if left out, the suffix that the dataset has, or `.txt`.",
    )
    wait: WaitForEnd = None
    idempotency_key: IdempotencyKey = None
    job_id: CallerJobId = None
    callback_url: CallbackUrl = None
    callback_token: CallbackToken = None


#: What the order keeps of the request.
_ORDERED = {
    *("captioner", "model", "style", "arch", "prompt", "overwrite", "trigger_word", "max_new_tokens"),
    *("batch_size", "limit_names", "caption_ext"),
}


async def caption_dataset(
    request: CaptionDatasetRequest,
    *,
    workspace: Workspace,
    processes: RealProcessManager,
    attachment: JobAttachment,
    answers: ProcessAnswers,
    courier: Courier,
    settings: Settings,
    job: RunPodJob,
) -> Result:
    """Start the process."""
    callback = wanted_callback(
        request.callback_url, request.callback_token, settings=settings, courier=courier
    )

    def submit() -> tuple[Accepted, None]:
        folder = dataset_folder(workspace, request.training_name)
        wanted = request.model_dump(mode="json", exclude_none=True, include=_ORDERED)
        order = TaskOrder(
            input={**wanted, "path": workspace.relative(folder)},
            caller_job_id=request.job_id,
            idempotency_key=request.idempotency_key,
            callback=callback,
            runpod_job_id=asking(settings, job),
        )
        return processes.submit("caption", order), None

    accepted, _ = await attachment.begin(submit)
    return await answers.answer(accepted, None, job, wait=request.wait, callback=callback)


ACTION = Action(
    type="caption_dataset",
    summary="Have a model write captions; a process with progress. At its end: `captioned`, `skipped`, `failed`.",
    request=CaptionDatasetRequest,
    result=Started,
    other_results=(Finished,),
    run=caption_dataset,
    reads_datasets=True,
    destroys=True,
)
