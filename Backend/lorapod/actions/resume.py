"""`resume`: take an unfinished process up again."""

from __future__ import annotations

import asyncio

from pydantic import Field

from lorapod.actions import starting
from lorapod.actions.action import Action, Job
from lorapod.actions.services import Services
from lorapod.actions.starting import Finished, Started
from lorapod.wire.dataset import DatasetView
from lorapod.wire.model import ProcessRequest, Result


class ResumeRequest(ProcessRequest):
    """Which process."""

    wait: bool | None = Field(
        default=None,
        description="Keep the RunPod job open until the training ends; by default so on a serverless worker.",
    )


async def resume(request: ResumeRequest, services: Services, job: Job) -> Result:
    """Go on from the newest whole checkpoint, on this worker."""
    accepted = await asyncio.to_thread(
        services.processes.resume,
        request.process_id,
        asked_by=starting.asking(services, job),
        job_s3=job.s3,
    )
    known = accepted.record.dataset
    dataset = DatasetView.model_validate(known) if known else None
    return await starting.answer(accepted, dataset, services, job, wait=request.wait)


ACTION = Action(
    type="resume",
    summary="Take up a process that failed, was cancelled or was interrupted, from its last checkpoint.",
    request=ResumeRequest,
    result=Started,
    other_results=(Finished,),
    run=resume,
)
