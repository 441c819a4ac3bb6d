"""`compare`: draw the same prompts and seeds with several checkpoints, in its own process."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.answers import ProcessAnswers, asking
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.callbacks import wanted_callback
from lorapod.comparisons.order import ALL, ComparedLora
from lorapod.comparisons.sweeps import ComparedSweeps
from lorapod.events.courier import Courier
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, TaskOrder
from lorapod.settings import Settings
from lorapod.wire.generation import SEED_MAX, SIDE_MAX, JsonObject, Prompt
from lorapod.wire.model import PathText, ProcessId, Request, Result, WireModel
from lorapod.wire.start_fields import CallbackToken, CallbackUrl, CallerJobId, IdempotencyKey, WaitForEnd
from lorapod.wire.started import Finished, Started
from lorapod.workspace import Workspace

_STEPS = "`all`, `last:4` (the newest four), or a list of steps."

#: Which checkpoints.
ChosenSteps = (
    Literal["all"]
    | Annotated[str, StringConstraints(pattern=r"^last:[1-9][0-9]{0,3}$")]
    | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=1000)]
)
ComparedPrompt = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class ComparedSource(WireModel):
    """A training, or a LoRA of the workspace."""

    process_id: ProcessId | None = Field(
        default=None,
        description="A training: its checkpoints; or a sweep: the checkpoints of all its trainings.",
    )
    path: PathText | None = Field(
        default=None, description="A LoRA file, relative to the workspace or absolute under it."
    )
    steps: ChosenSteps | None = Field(
        default=None, description=f"Which checkpoints of this training: {_STEPS}"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.process_id is None):
            raise ValueError("give either path or process_id")
        if self.path is not None and self.steps is not None:
            raise ValueError("steps goes with a process_id: a file is one checkpoint")
        return self


class CompareRequest(Request):
    """What to compare, and with which pictures."""

    process_ids: list[ProcessId] = Field(
        default=[], max_length=100, description="Trainings; a sweep means all its trainings."
    )
    sweep_id: ProcessId | None = Field(
        default=None, description="A sweep: all its trainings that have weights."
    )
    loras: list[ComparedSource] = Field(
        default=[], max_length=200, description="Trainings or LoRA files; may be given beside the others."
    )
    steps: ChosenSteps = Field(default="all", description=f"Which checkpoints of each training: {_STEPS}")
    prompts: list[ComparedPrompt] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="If left out, the sample prompts of the first training, with its trigger word.",
    )
    weights: list[Annotated[float, Field(ge=-10, le=10)]] = Field(
        default=[1.0],
        min_length=1,
        max_length=16,
        description="How strongly each LoRA acts; 0 draws the base model alone.",
    )
    seeds: list[Annotated[int, Field(ge=0, le=SEED_MAX)]] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="If left out, the seed of the training's samples, or 42 if it has none.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Base model; if left out, the one that each LoRA was trained on.",
    )
    engine: str | None = Field(
        default=None,
        max_length=100,
        description="If left out, `diffusers`, which loads the base model once; without it, as for `generate`.",
    )
    negative_prompt: Prompt | None = Field(
        default=None, description="What not to show; if left out, as in the training's samples."
    )
    width: int | None = Field(
        default=None, ge=16, le=SIDE_MAX, description="In pixels; if left out, as the training's samples."
    )
    height: int | None = Field(
        default=None, ge=16, le=SIDE_MAX, description="In pixels; if left out, as the training's samples."
    )
    sample_steps: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Denoising steps of each image; if left out, as the training's samples.",
    )
    guidance_scale: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="How closely the prompt is followed; if left out, as the training's samples.",
    )
    params: JsonObject = Field(default={}, description="The engine's own parameters, passed on as they are.")
    score: bool = Field(
        default=True, description="Score the cells; without an embedding model there is a warning instead."
    )
    embedding_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Model that compares images, for the scores: a folder in the workspace, or a Hub id such as "
        "`facebook/dinov2-base`; if left out, EMBEDDING_MODEL.",
    )
    text_image_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Model that compares images with texts, for the scores: a folder in the workspace, or a Hub id such as "
        "`openai/clip-vit-large-patch14`; if left out, TEXT_IMAGE_MODEL.",
    )
    wait: WaitForEnd = None
    idempotency_key: IdempotencyKey = None
    job_id: CallerJobId = None
    callback_url: CallbackUrl = None
    callback_token: CallbackToken = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.process_ids and not self.loras and self.sweep_id is None:
            raise ValueError("give process_ids, sweep_id or loras")
        return self

    def compared(self) -> list[ComparedLora]:
        """Return what it names, in order."""
        trainings = [*self.process_ids, *([] if self.sweep_id is None else [self.sweep_id])]
        return [
            *(ComparedLora(process_id=process_id) for process_id in trainings),
            *(ComparedLora(**lora.model_dump()) for lora in self.loras),
        ]


#: What the order keeps of the request, beside the LoRAs.
_ORDERED = {
    *("prompts", "weights", "seeds", "model", "engine", "negative_prompt"),
    *("width", "height", "sample_steps", "guidance_scale", "params", "score"),
    *("embedding_model", "text_image_model"),
}


async def compare(
    request: CompareRequest,
    *,
    processes: RealProcessManager,
    attachment: JobAttachment,
    answers: ProcessAnswers,
    courier: Courier,
    settings: Settings,
    workspace: Workspace,
    job: RunPodJob,
) -> Result:
    """Start the process."""
    callback = wanted_callback(
        request.callback_url, request.callback_token, settings=settings, courier=courier
    )

    sweeps = ComparedSweeps(workspace=workspace, find=processes.get)

    def submit() -> tuple[Accepted, None]:
        wanted = request.model_dump(mode="json", exclude_none=True, include=_ORDERED)
        loras, warnings = sweeps.expand(request.compared())
        order = TaskOrder(
            input={**wanted, "loras": [_stored(lora) for lora in loras], "steps": request.steps or ALL},
            caller_job_id=request.job_id,
            idempotency_key=request.idempotency_key,
            callback=callback,
            runpod_job_id=asking(settings, job),
        )
        return processes.submit("compare", order).warned(warnings), None

    accepted, _ = await attachment.begin(submit)
    return await answers.answer(accepted, None, job, wait=request.wait, callback=callback)


def _stored(lora: ComparedLora) -> dict[str, object]:
    return {name: value for name, value in asdict(lora).items() if value is not None}


ACTION = Action(
    type="compare",
    summary="Draw the same prompts with several checkpoints, weights and seeds; a process with progress, which leaves a grid.",
    request=CompareRequest,
    result=Started,
    other_results=(Finished,),
    run=compare,
)
