"""What every action that starts a training shares: the checks, the start, the wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import Field, SecretStr

from lorapod.actions.action import RunPodJob
from lorapod.actions.attachment import begin, stay_attached
from lorapod.actions.callbacks import wanted_callback
from lorapod.actions.process_view import view
from lorapod.actions.services import Services
from lorapod.actions.uploads import wait_for_uploads
from lorapod.datasets.provider import dataset_view
from lorapod.errors import Conflict, GpuUnavailable, WorkerError
from lorapod.processes.order import Accepted, SealedCallback, TrainingOrder
from lorapod.processes.status import ProcessStatus
from lorapod.trainers.registry import AUTO
from lorapod.wire.dataset import DatasetRef, DatasetView
from lorapod.wire.model import Moment, ProcessId, RelativePath, Request, Result
from lorapod.wire.process import ProcessView
from lorapod.wire.storage import UploadTargets

#: RunPod stops an idle worker a few seconds after its last job.
_DETACHED = (
    "This worker is stopped soon after its last job, and the process with it: it would then be `interrupted`, "
    "a training with a checkpoint, and `resume` goes on. Send `wait: true`, or hold the worker with `keep_alive`."
)


class StartRequest(Request):
    """What all ways to start a training have in common."""

    dataset: DatasetRef | None = Field(
        default=None, description="Where the pictures are; without it the config's own `folder_path`s count."
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Name of the model, where the config has none.",
    )
    trainer: str = Field(
        default=AUTO, description="`ai-toolkit`, `builtin`, or `auto`: the first that is there."
    )
    wait: bool | None = Field(
        default=None,
        description="Keep the RunPod job open until the training ends; by default so on a serverless worker.",
    )
    idempotency_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Two requests with the same key start one training.",
    )
    job_id: str | None = Field(
        default=None, max_length=200, description="Your own id of the job, echoed back."
    )
    dry_run: bool = Field(default=False, description="Only say what would happen, and what would be refused.")
    callback_url: str | None = Field(
        default=None,
        min_length=1,
        description="Events of the training are POSTed there, as JSON, one by one.",
    )
    callback_token: SecretStr | None = Field(
        default=None, description="Sent along as a bearer token. It never lies on a disk in clear."
    )
    upload: UploadTargets | None = Field(
        default=None,
        description="Where checkpoints, samples and logs go while they are made; else the endpoint's UPLOAD_TARGETS.",
    )


class Started(Result):
    """A training that was accepted."""

    process_id: ProcessId = Field(description="The process; every other action takes it.")
    status: str = Field(description="State just after the start.")
    created_at: Moment = Field(description="When it was accepted.")
    config_path: RelativePath | None = Field(
        default=None, description="The config as the trainer gets it, where it is a training."
    )
    output_path: RelativePath = Field(description="Where it writes, relative to the workspace.")
    dataset: DatasetView | None = Field(
        default=None, description="The dataset that it reads, where the request named one."
    )
    warnings: list[str] = Field(default=[], description="What is worth knowing but need not be changed.")


class Finished(ProcessView):
    """A training that was waited for: the whole of `process_status`."""

    dataset: DatasetView | None = Field(
        default=None, description="The dataset that it reads, where the request named one."
    )
    warnings: list[str] = Field(default=[], description="What is worth knowing but need not be changed.")


class DryRun(Result):
    """What would happen."""

    dry_run: bool = Field(default=True, description="Always true: nothing was started.")
    accepted: bool = Field(description="Whether it would be started.")
    trainer: str = Field(description="The trainer that would run it.")
    config: dict[str, Any] | None = Field(default=None, description="The config as the trainer would get it.")
    dataset: DatasetView | None = Field(
        default=None, description="The dataset that it reads, where the request named one."
    )
    refused: list[dict[str, Any]] = Field(
        default=[], description="Every problem, as the error would tell it."
    )
    warnings: list[str] = Field(default=[], description="What is worth knowing but need not be changed.")


async def start(
    config: Mapping[str, Any], request: StartRequest, services: Services, job: RunPodJob
) -> Result:
    """Start a training on `config`, and wait for its end where the request or the settings say so.

    Raises:
        WorkerError: what the trainer, the dataset or the machine refuses; nothing was started then.
    """
    if request.dry_run:
        return await asyncio.to_thread(_rehearse, config, request, services, job)
    accepted, order = await begin(partial(_submit, config, request, services, job), services)
    return await answer(
        accepted, _dataset_of(order), services, job, wait=request.wait, callback=order.callback
    )


def asking(services: Services, job: RunPodJob) -> str | None:
    """The RunPod job behind a request: elsewhere the id of an event names nothing."""
    return job.job_id if services.settings.serverless and job.job_id else None


async def answer(
    accepted: Accepted,
    dataset: DatasetView | None,
    services: Services,
    job: RunPodJob,
    *,
    wait: bool | None,
    callback: SealedCallback | None = None,
) -> Result:
    """Tell of a process that was started or taken up again, now or when it has ended.

    `callback` is the request's: what its first worker knew of it may have died with that.
    """
    record, warnings, workspace = accepted.record, list(accepted.warnings), services.workspace
    if services.settings.waits_for_training if wait is None else wait:
        ended = await stay_attached(record.process_id, services, job)
        if accepted.retried and ended.status is ProcessStatus.INTERRUPTED:
            # The worker that this job was on before is dead beyond doubt now.
            with contextlib.suppress(Conflict):
                await asyncio.to_thread(
                    services.processes.resume,
                    record.process_id,
                    runpod_job_id=asking(services, job),
                    job_s3=job.s3,
                    callback=callback,
                )
            ended = await stay_attached(record.process_id, services, job)
        warnings += await wait_for_uploads(record.process_id, services)
        seen = await asyncio.to_thread(view, ended, workspace)
        return Finished(**dict(seen), warnings=warnings)
    if services.settings.serverless:
        warnings.append(_DETACHED)
    return Started(
        process_id=record.process_id,
        status=record.status.value,
        created_at=record.created_at,
        config_path=workspace.relative(record.config_path(workspace)) if record.trainer else None,
        output_path=workspace.relative(record.output_folder(workspace)),
        dataset=dataset,
        warnings=warnings,
    )


def order_for(
    config: Mapping[str, Any], request: StartRequest, services: Services, job: RunPodJob
) -> TrainingOrder:
    """Find the trainer and the dataset, look at the machine, and return the order; blocks.

    Raises:
        WorkerError: what the dataset or the machine refuses.
    """
    settings = services.settings
    trainer = services.trainers.choose(settings.trainer if request.trainer == AUTO else request.trainer)
    if trainer.needs_gpu and not settings.allow_cpu and not services.telemetry.gpu_indices():
        raise GpuUnavailable(
            f"{trainer.name} needs a GPU, and this worker has none that works.",
            hint="Choose a GPU type for the endpoint; ALLOW_CPU=true trains on the processor all the same.",
        )
    services.room.check()
    dataset, upload = request.dataset, request.upload
    if upload is not None:
        services.mirrors.check(upload, job_s3=job.s3)
    callback = wanted_callback(request.callback_url, request.callback_token, services)
    shown = _look_at(dataset, services, job) if dataset is not None else None
    uses_s3 = (dataset is not None and dataset.s3 is not None) or (
        upload is not None and upload.s3 is not None
    )
    return TrainingOrder(
        trainer=trainer.name,
        config=config,
        dataset_path=shown.path if shown else None,
        dataset_source=_json(dataset) if dataset is not None and dataset.remote else None,
        dataset=shown.answer() if shown else {},
        upload=_json(upload) if upload is not None else None,
        name=request.name,
        caller_job_id=request.job_id,
        idempotency_key=request.idempotency_key,
        callback=callback,
        runpod_job_id=asking(services, job),
        job_s3=job.s3 if uses_s3 else None,
    )


def _json(model: DatasetRef | UploadTargets) -> Mapping[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


def _submit(
    config: Mapping[str, Any], request: StartRequest, services: Services, job: RunPodJob
) -> tuple[Accepted, TrainingOrder]:
    order = order_for(config, request, services, job)
    return services.processes.submit("train", order), order


def _look_at(asked: DatasetRef, services: Services, job: RunPodJob) -> DatasetView:
    """What can be told of a dataset while its request is open: one from elsewhere is fetched only later."""
    if not asked.remote:
        return dataset_view(services.datasets.resolve(asked), services.workspace)
    services.remote_datasets.precheck(asked, job_s3=job.s3)
    folder = services.remote_datasets.folder_of(asked, job_s3=job.s3)
    return DatasetView(path=services.workspace.relative(folder))


def _dataset_of(order: TrainingOrder) -> DatasetView | None:
    return DatasetView.model_validate(order.dataset) if order.dataset else None


def _rehearse(config: Mapping[str, Any], request: StartRequest, services: Services, job: RunPodJob) -> DryRun:
    """Do everything but the start."""
    try:
        order = order_for(config, request, services, job)
        plan = services.processes.plan("train", order)
    except WorkerError as error:
        refused = list(error.details) or [{"field": "input", "error": error.message}]
        return DryRun(accepted=False, trainer=request.trainer, refused=refused)
    return DryRun(
        accepted=True,
        trainer=order.trainer,
        config=dict(plan.config),
        dataset=_dataset_of(order),
        warnings=list(plan.warnings),
    )
