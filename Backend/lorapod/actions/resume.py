"""`resume`: continue an unfinished process."""

from __future__ import annotations

from pydantic import Field, SecretStr

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.answers import ProcessAnswers, asking
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.callbacks import wanted_callback
from lorapod.actions.limiting import wanted_limits
from lorapod.clock import Clock
from lorapod.events.callback_trial import try_callback
from lorapod.events.courier import Courier
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted
from lorapod.records.limits import Continuation
from lorapod.settings import Settings
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.wire.dataset import DatasetView
from lorapod.wire.limits import TrainingLimits
from lorapod.wire.model import ProcessRequest, Result
from lorapod.wire.started import Finished, Started


class ResumeRequest(ProcessRequest):
    """The process to resume."""

    wait: bool | None = Field(
        default=None,
        description="Keep the RunPod job open until the training ends; the default on a serverless worker.",
    )
    steps: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=1_000_000,
        description="A new total of steps, larger than before: the training continues to it, also if it is completed.",
    )
    limits: TrainingLimits | None = Field(
        default=None,
        description="New limits; without them the old ones apply, and the time of `duration_s` starts again from zero.",
    )
    callback_url: str | None = Field(
        default=None, min_length=1, description="URL for events from now on; default: where they went before."
    )
    callback_token: SecretStr | None = Field(
        default=None, description="The bearer token for `callback_url`; give both."
    )


async def resume(
    request: ResumeRequest,
    *,
    processes: RealProcessManager,
    attachment: JobAttachment,
    answers: ProcessAnswers,
    courier: Courier,
    mirrors: Mirrors,
    settings: Settings,
    clock: Clock,
    job: RunPodJob,
) -> Result:
    """Continue from the newest whole checkpoint, on this worker."""
    callback = wanted_callback(
        request.callback_url, request.callback_token, settings=settings, courier=courier
    )

    def submit() -> tuple[Accepted, None]:
        warnings: list[str] = []
        status = processes.get(request.process_id).status
        if status.unfinished or (request.steps is not None and status.final):
            warnings += mirrors.trials.run_again(request.process_id, job_s3=job.s3)
        if request.callback_url is not None:
            warnings += try_callback(
                request.callback_url, request.callback_token, allow_private=settings.allow_private_urls
            )
        accepted = processes.resume(
            request.process_id,
            runpod_job_id=asking(settings, job),
            job_s3=job.s3,
            callback=callback,
            changes=Continuation(steps=request.steps, limits=wanted_limits(request.limits, clock)),
        )
        return accepted.warned(warnings), None

    accepted, _ = await attachment.begin(submit)
    known = accepted.record.dataset
    dataset = DatasetView.model_validate(known) if known else None
    return await answers.answer(accepted, dataset, job, wait=request.wait, callback=callback)


ACTION = Action(
    type="resume",
    summary="Continue a process that failed, was cancelled or was interrupted, or with `steps` a completed training, from "
    "its last checkpoint.",
    request=ResumeRequest,
    result=Started,
    other_results=(Finished,),
    run=resume,
)
