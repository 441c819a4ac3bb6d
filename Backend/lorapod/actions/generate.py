"""`generate`: images and videos, by any engine that can make them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.answers import asking
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.outputs import OutputDelivery
from lorapod.engines.inputs import ReceivedInputs, receive_inputs
from lorapod.engines.port import Engine
from lorapod.engines.registry import EngineRegistry
from lorapod.engines.resolving import resolve
from lorapod.engines.task import PendingGeneration
from lorapod.errors import Conflict, GpuUnavailable, InsufficientMemory, UpstreamError, error_of
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, TaskOrder
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.storage.shares import FileShares
from lorapod.telemetry import Headroom, Telemetry
from lorapod.thread_pools import FILES, STARTS
from lorapod.wire.generation import Delivery, GenerateRequest, GenerateResult, IfBusy
from lorapod.workspace import Workspace

#: Fields of a request that its order does not store: they may be megabytes, or hold a secret.
_NOT_KEPT = {
    *("image", "mask", "video", "audio", "images", "videos", "audios"),
    *("comfy_org_api_key", "params", "workflow", "config"),
}


#: Longest time between two progress updates: a person waits for an image, where a training takes hours.
REPORT_EVERY_S = 5.0

#: RunPod stops an idle worker a few seconds after its last job.
_DETACHED = (
    "This worker is stopped soon after its last job, and the generation with it: wait for it, or hold the worker with "
    "`keep_alive`. Its results: `process_status`, or the same request with the same `idempotency_key` and "
    "`wait: true`."
)


async def generate(
    request: GenerateRequest,
    *,
    generations: Generations,
    attachment: JobAttachment,
    settings: Settings,
    job: RunPodJob,
) -> GenerateResult:
    """Check everything that can be checked, have it generated, and answer with the results."""
    engine = await STARTS.run(generations.check, request, job)
    inputs = await generations.receive(request)
    begun = False
    try:
        order = await STARTS.run(generations.order, request, engine, inputs, job)
        submit = partial(generations.submit, *order)
        accepted, _ = await attachment.begin(submit)
        begun = accepted.begun
        if not request.wait:
            answer = await FILES.run(generations.answer, accepted, request, job)
            if settings.serverless and not accepted.record.status.final:
                return answer.model_copy(update={"warnings": [*answer.warnings, _DETACHED]})
            return answer
        ended = await attachment.stay(accepted.record.process_id, job, report_every_s=REPORT_EVERY_S)
        if accepted.retried and ended.status is ProcessStatus.INTERRUPTED:
            # The worker that this job was on before is certainly dead now.
            accepted, _ = await attachment.begin(submit)
            begun = accepted.begun
            ended = await attachment.stay(accepted.record.process_id, job, report_every_s=REPORT_EVERY_S)
    finally:
        if inputs.folder is not None and not begun:
            await FILES.run(shutil.rmtree, inputs.folder, ignore_errors=True)
    _raise_unless_completed(ended)
    done = Accepted(record=ended, warnings=accepted.warnings)
    return await FILES.run(generations.answer, done, request, job)


@dataclass(frozen=True, kw_only=True)
class Generations:
    """What checks a request for images, orders its process, and describes the results."""

    settings: Settings
    workspace: Workspace
    scratch: Path
    processes: RealProcessManager
    engines: EngineRegistry
    telemetry: Telemetry
    room: Headroom
    shares: FileShares
    outputs: OutputDelivery

    def check(self, request: GenerateRequest, job: RunPodJob) -> Engine:
        """Return the engine for a request, if this machine can run it; blocks.

        Raises:
            WorkerError: it cannot be generated here.
        """
        engine = self.engines.choose(request)
        self.room.check()
        gpus = self.telemetry.gpus()
        if not gpus and not self.settings.allow_cpu and engine.needs_gpu:
            raise GpuUnavailable(
                f"{engine.name} needs a GPU, and this worker has no GPU that works.",
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
            self.shares.check(job_s3=job.s3)
        return engine

    async def receive(self, request: GenerateRequest) -> ReceivedInputs:
        """Return the request's input files, in their own folder."""
        return await receive_inputs(
            request,
            self.scratch / "inputs",
            workspace=self.workspace,
            allow_private=self.settings.allow_private_urls,
        )

    def order(
        self, request: GenerateRequest, engine: Engine, inputs: ReceivedInputs, job: RunPodJob
    ) -> tuple[TaskOrder, PendingGeneration]:
        """Return what the process manager stores of the generation, and what it needs beside that; blocks."""
        generation = resolve(
            request,
            inputs=inputs,
            workspace=self.workspace,
            find=self.processes.get,
            max_config_bytes=self.settings.max_config_bytes,
        )
        order = TaskOrder(
            input=request.model_dump(mode="json", exclude_none=True, by_alias=True, exclude=_NOT_KEPT),
            refuse_if_busy=request.if_busy is IfBusy.REFUSE,
            caller_job_id=request.job_id,
            idempotency_key=request.idempotency_key,
            runpod_job_id=asking(self.settings, job),
        )
        return order, PendingGeneration(engine=engine, generation=generation, warnings=inputs.warnings)

    def submit(self, order: TaskOrder, pending: PendingGeneration) -> tuple[Accepted, None]:
        """Start the process; blocks."""
        return self.processes.submit("generate", order, live=pending), None

    def answer(self, accepted: Accepted, request: GenerateRequest, job: RunPodJob) -> GenerateResult:
        """Describe the process and the files that it has made; blocks while they are read or uploaded."""
        record, workspace = accepted.record, self.workspace
        outcome = record.outcome
        made = self.outputs.outputs(outcome.get("files", ()), request.delivery, job)
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


def _raise_unless_completed(record: ProcessRecord) -> None:
    """Tell why there are no results.

    Raises:
        WorkerError: whose code the failure has.
    """
    details: list[dict[str, Any]] = [{"process_id": record.process_id, "status": record.status.value}]
    if record.failure is not None:
        failure = record.failure
        problems = [dict(problem) for problem in failure.details]
        raise error_of(failure.code, failure.message, hint=failure.hint, details=[*details, *problems])
    if record.status is ProcessStatus.CANCELLED:
        raise Conflict(f"The generation {record.process_id} was cancelled.", details=details)
    if record.status is ProcessStatus.INTERRUPTED:
        raise UpstreamError(
            f"The generation {record.process_id} was interrupted: its worker was stopped or died.",
            hint="Send the request again.",
            details=details,
        )


ACTION = Action(
    type="generate",
    summary="Make images or videos, with LoRAs that were trained here or others.",
    request=GenerateRequest,
    result=GenerateResult,
    run=generate,
)
