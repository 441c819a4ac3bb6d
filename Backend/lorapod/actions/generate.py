"""`generate`: pictures and videos, by whatever engine can make them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.attachment import begin, stay_attached
from lorapod.actions.outputs import outputs_of
from lorapod.actions.services import Services
from lorapod.actions.starting import asking
from lorapod.engines.input_image import fetch_input_image
from lorapod.engines.port import Engine
from lorapod.engines.resolving import resolve
from lorapod.engines.task import PendingGeneration
from lorapod.errors import Conflict, GpuUnavailable, InsufficientMemory, UpstreamError, error_of
from lorapod.processes.order import Accepted, TaskOrder
from lorapod.processes.record import ProcessRecord
from lorapod.processes.status import ProcessStatus
from lorapod.wire.generation import Delivery, GenerateRequest, GenerateResult, IfBusy

#: What an order does not keep of its request: what may be megabytes, and where a secret may stand.
_NOT_KEPT = {"image", "comfy_org_api_key", "params", "workflow", "config"}


#: RunPod stops an idle worker a few seconds after its last job.
_DETACHED = (
    "This worker is stopped soon after its last job, and the generation with it: wait for it, or hold the worker with "
    "`keep_alive`. Its results: `process_status`, or the same request with the same `idempotency_key` and "
    "`wait: true`."
)


async def generate(request: GenerateRequest, services: Services, job: RunPodJob) -> GenerateResult:
    """Check everything that can be checked, have it generated, and answer with what came of it."""
    engine = await asyncio.to_thread(_check, request, services, job)
    image = await _image(request, services)
    begun = False
    try:
        order = await asyncio.to_thread(_order, request, engine, image, services, job)
        accepted, _ = await begin(lambda: (services.processes.submit("generate", order), None), services)
        begun = accepted.begun
        if not request.wait:
            answer = await asyncio.to_thread(_answer, accepted, request, services, job)
            if services.settings.serverless and not accepted.record.status.final:
                return answer.model_copy(update={"warnings": [*answer.warnings, _DETACHED]})
            return answer
        ended = await stay_attached(accepted.record.process_id, services, job)
        if accepted.retried and ended.status is ProcessStatus.INTERRUPTED:
            # The worker that this job was on before is dead beyond doubt now.
            accepted, _ = await begin(lambda: (services.processes.submit("generate", order), None), services)
            begun = accepted.begun
            ended = await stay_attached(accepted.record.process_id, services, job)
    finally:
        if image is not None and not begun:
            await asyncio.to_thread(shutil.rmtree, image.parent, ignore_errors=True)
    _raise_unless_completed(ended)
    done = Accepted(record=ended, warnings=accepted.warnings)
    return await asyncio.to_thread(_answer, done, request, services, job)


def _check(request: GenerateRequest, services: Services, job: RunPodJob) -> Engine:
    """Find the engine, and look at the machine.

    Raises:
        WorkerError: it cannot be generated here.
    """
    engine = services.engines.choose(request)
    services.room.check()
    gpus = services.telemetry.gpus()
    if engine.needs_gpu and not services.settings.allow_cpu and not gpus:
        raise GpuUnavailable(
            f"{engine.name} needs a GPU, and this worker has none that works.",
            hint="Choose a GPU type for the endpoint; ALLOW_CPU=true generates on the processor all the same.",
        )
    largest_bytes = max((gpu.memory_total_bytes or 0 for gpu in gpus), default=0)
    if largest_bytes and largest_bytes < engine.min_gpu_memory_bytes:
        raise InsufficientMemory(
            f"{engine.name} needs {engine.min_gpu_memory_bytes} bytes of GPU memory, and this worker's GPU has "
            f"{largest_bytes}.",
            hint="Choose a larger GPU type for the endpoint.",
        )
    if request.delivery is Delivery.URL:
        services.shares.check(job_s3=job.s3)
    return engine


async def _image(request: GenerateRequest, services: Services) -> Path | None:
    if request.image is None:
        return None
    return await fetch_input_image(
        request.image, services.scratch / "inputs", allow_private=services.settings.allow_private_urls
    )


def _order(
    request: GenerateRequest, engine: Engine, image: Path | None, services: Services, job: RunPodJob
) -> TaskOrder:
    generation = resolve(
        request,
        image=image,
        workspace=services.workspace,
        find=services.processes.get,
        max_config_bytes=services.settings.max_config_bytes,
    )
    return TaskOrder(
        input=request.model_dump(mode="json", exclude_none=True, by_alias=True, exclude=_NOT_KEPT),
        refuse_if_busy=request.if_busy is IfBusy.REFUSE,
        private=PendingGeneration(engine=engine, generation=generation),
        caller_job_id=request.job_id,
        idempotency_key=request.idempotency_key,
        runpod_job_id=asking(services, job),
    )


def _raise_unless_completed(record: ProcessRecord) -> None:
    """Tell why there are no results.

    Raises:
        WorkerError: whose code the failure has.
    """
    details = [{"process_id": record.process_id, "status": record.status.value}]
    if record.failure is not None:
        failure = record.failure
        raise error_of(failure.code, failure.message, hint=failure.hint, details=details)
    if record.status is ProcessStatus.CANCELLED:
        raise Conflict(f"The generation {record.process_id} was cancelled.", details=details)
    if record.status is ProcessStatus.INTERRUPTED:
        raise UpstreamError(
            f"The generation {record.process_id} was interrupted: its worker was stopped or died.",
            hint="Send the request again.",
            details=details,
        )


def _answer(
    accepted: Accepted, request: GenerateRequest, services: Services, job: RunPodJob
) -> GenerateResult:
    record, workspace = accepted.record, services.workspace
    outcome = record.outcome
    made = outputs_of(outcome.get("files", ()), request.delivery, services, job)
    timings = dict(outcome.get("timings", {}))
    if record.started_at is not None:
        timings["queued_s"] = (record.started_at - record.created_at).total_seconds()
    if record.ended_at is not None:
        timings["total_s"] = (record.ended_at - record.created_at).total_seconds()
    return GenerateResult(
        process_id=record.process_id,
        status=record.status.value,
        engine=record.engine or "",
        seed=outcome.get("seed"),
        created_at=record.created_at,
        output_path=workspace.relative(record.output_folder(workspace)),
        images=list(made.images),
        videos=list(made.videos),
        other=list(made.other),
        warnings=[*outcome.get("warnings", accepted.warnings), *made.warnings],
        timings={name: round(seconds, 3) for name, seconds in timings.items()},
    )


ACTION = Action(
    type="generate",
    summary="Make pictures or videos, with the LoRAs that were trained here or others.",
    request=GenerateRequest,
    result=GenerateResult,
    run=generate,
)
