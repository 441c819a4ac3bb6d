"""The start of a training, shared by all actions that start one: the checks, the submission, the wait."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lorapod.actions.action import RunPodJob
from lorapod.actions.answers import ProcessAnswers, asking
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.callbacks import wanted_callback
from lorapod.actions.limiting import wanted_limits
from lorapod.actions.start_lora import StartLoras
from lorapod.actions.start_request import StartRequest
from lorapod.clock import Clock
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.fetching import DatasetFetcher
from lorapod.datasets.library import DatasetLibrary
from lorapod.datasets.provider import dataset_view
from lorapod.datasets.sets import entries_of
from lorapod.errors import GpuUnavailable, InvalidInput, WorkerError
from lorapod.events.callback_trial import try_callback
from lorapod.events.courier import Courier
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, TrainingOrder
from lorapod.processes.work import Plan
from lorapod.records.estimates import together
from lorapod.settings import Settings
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.telemetry import Headroom, Telemetry
from lorapod.thread_pools import STARTS
from lorapod.trainers.fit import MachineFit
from lorapod.trainers.hub_models import HubModels
from lorapod.trainers.presets import Preset
from lorapod.trainers.registry import AUTO, TOOLKIT_CONFIGS, TrainerRegistry
from lorapod.volume.process_view import shown_estimate
from lorapod.wire.dataset import DatasetRef, DatasetView
from lorapod.wire.estimate import EstimateView
from lorapod.wire.model import Result
from lorapod.wire.started import DryRun
from lorapod.wire.storage import UploadTargets
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class TrainingStarts:
    """What checks a request for a training, starts it, and answers."""

    settings: Settings
    clock: Clock
    workspace: Workspace
    processes: RealProcessManager
    trainers: TrainerRegistry
    datasets: DatasetLibrary
    remote_datasets: DatasetFetcher
    telemetry: Telemetry
    room: Headroom
    hub_models: HubModels
    mirrors: Mirrors
    courier: Courier
    attachment: JobAttachment
    answers: ProcessAnswers
    start_loras: StartLoras

    async def start(self, config: Mapping[str, Any], request: StartRequest, job: RunPodJob) -> Result:
        """Start a training on `config`, and wait for its end if the request or else the settings say so.

        Raises:
            WorkerError: what the trainer, the dataset or the machine refuses; nothing was started then.
        """
        if request.dry_run:
            return await STARTS.run(self._rehearse, config, request, job)
        accepted, order = await self.attachment.begin(partial(self._submit, config, request, job))
        return await self.answers.answer(
            accepted, _dataset_of(order), job, wait=request.wait, callback=order.callback
        )

    def check_preset(self, preset: Preset, wanted: str) -> None:
        """Refuse a preset that the request's trainer cannot train; blocks.

        Raises:
            InvalidInput: another trainer is needed.
            Unsupported: there is no trainer.
        """
        trainer = self.trainers.choose(self.settings.trainer if wanted == AUTO else wanted)
        others = [self.trainers[name].probe() for name in preset.trainers if name in self.trainers]
        if trainer.name in preset.trainers or not others:
            return
        needed = " or ".join(preset.trainers)
        missing = [status.detail for status in others if not status.available]
        raise InvalidInput(
            f"The preset {preset.name!r} needs the trainer {needed}; this training would run with {trainer.name}.",
            hint=". ".join(missing) if missing else f"Set `trainer` to {needed}.",
            details=[{"field": "preset", "error": f"needs the trainer {needed}"}],
        )

    def order_for(
        self, config: Mapping[str, Any], request: StartRequest, job: RunPodJob
    ) -> tuple[TrainingOrder, Plan]:
        """Find the trainer and the dataset, look at the machine, and return the order and a plan of it; blocks.

        Raises:
            WorkerError: what the dataset or the machine refuses.
        """
        settings = self.settings
        trainer = self.trainers.choose(settings.trainer if request.trainer == AUTO else request.trainer)
        if trainer.needs_gpu and not settings.allow_cpu and not self.telemetry.gpu_indices():
            raise GpuUnavailable(
                f"{trainer.name} needs a GPU, and this worker has no GPU that works.",
                hint="Choose a GPU type for the endpoint; ALLOW_CPU=true trains on the processor.",
            )
        self.room.check()
        dataset, upload = request.dataset, request.upload
        if upload is not None:
            self.mirrors.trials.check(upload, job_s3=job.s3)
        callback = wanted_callback(
            request.callback_url, request.callback_token, settings=settings, courier=self.courier
        )
        folder = self._folder_of(dataset, job) if dataset is not None else None
        uses_s3 = (dataset is not None and dataset.s3 is not None) or (
            upload is not None and upload.s3 is not None
        )
        order = TrainingOrder(
            trainer=trainer.name,
            config=config,
            dataset_path=self.workspace.relative(folder) if folder is not None else None,
            dataset_source=_json(dataset) if dataset is not None and dataset.remote else None,
            upload=_json(upload) if upload is not None else None,
            name=request.model_name,
            strict=request.strict,
            validation=request.held_out,
            limits=wanted_limits(request.limits, self.clock),
            stop_when=request.stop_when.model_dump(mode="json") if request.stop_when is not None else None,
            start_from=self.start_loras.find(request.start_from) if request.start_from else None,
            caller_job_id=request.job_id,
            idempotency_key=request.idempotency_key,
            callback=callback,
            runpod_job_id=asking(settings, job),
            job_s3=job.s3 if uses_s3 else None,
        )
        plan = self.processes.plan("train", order)
        shown = self._look_into(order, plan)
        return dataclasses.replace(order, dataset=shown.answer() if shown is not None else {}), plan

    def trials(
        self,
        order: TrainingOrder,
        plan: Plan,
        request: StartRequest,
        job: RunPodJob,
        *,
        deliveries: bool = True,
    ) -> Iterator[Callable[[], list[str]]]:
        """Yield what is tried before a start: each blocks for seconds at most, and returns warnings.

        Each raises `WorkerError` if the training does not fit the machine, may not read its models, or has a target that
        takes nothing of it. Without `deliveries`, targets and callbacks are not tried.
        """
        if order.trainer in TOOLKIT_CONFIGS:
            fit = MachineFit(telemetry=self.telemetry)
            yield partial(
                fit.check, order.trainer, plan.config, tiers=request.other_tiers(), force=request.force
            )
            yield partial(self.hub_models.check, plan.config)
        if not deliveries:
            return
        if request.upload is not None or self.mirrors.trials.default is not None:
            yield partial(
                self.mirrors.trials.run,
                request.upload,
                name=plan.name,
                job_s3=job.s3,
                create=not request.dry_run,
            )
        if request.callback_url is not None:
            yield partial(
                try_callback,
                request.callback_url,
                request.callback_token,
                allow_private=self.settings.allow_private_urls,
            )

    def try_out(
        self,
        order: TrainingOrder,
        plan: Plan,
        request: StartRequest,
        job: RunPodJob,
        *,
        deliveries: bool = True,
    ) -> list[str]:
        """Try everything before a start, and return warnings.

        Raises:
            WorkerError: the first trial that refuses it.
        """
        trials = self.trials(order, plan, request, job, deliveries=deliveries)
        return [warning for trial in trials for warning in trial()]

    def _submit(
        self, config: Mapping[str, Any], request: StartRequest, job: RunPodJob
    ) -> tuple[Accepted, TrainingOrder]:
        order, plan = self.order_for(config, request, job)
        warnings = self.try_out(order, plan, request, job)
        return self.processes.submit("train", order).warned(warnings), order

    def _folder_of(self, asked: DatasetRef, job: RunPodJob) -> Path:
        """Return where a dataset is, or will be once it is fetched."""
        if not asked.remote:
            return self.datasets.find(asked)
        self.remote_datasets.precheck(asked, job_s3=job.s3)
        return self.remote_datasets.folder_of(asked, job_s3=job.s3)

    def _look_into(self, order: TrainingOrder, plan: Plan) -> DatasetView | None:
        """Look into every folder that the order's config names; return what is there, None if it names no folder.

        Raises:
            WorkerError: the trainer refuses the config, or a dataset cannot be trained on.
        """
        entries = entries_of(plan.config)
        named = self.workspace.root / order.dataset_path if order.dataset_path is not None else None
        if order.dataset_source is not None:
            assert named is not None, "a remote dataset has a folder to come to"
            if here := [entry for entry in entries if entry.folder != named]:
                self.datasets.look(here)
            return DatasetView(path=self.workspace.relative(named))
        if named is not None and not any(entry.folder == named for entry in entries):
            entries = [DatasetEntry(folder=named), *entries]
        return dataset_view(self.datasets.look(entries), self.workspace) if entries else None

    def _rehearse(self, config: Mapping[str, Any], request: StartRequest, job: RunPodJob) -> DryRun:
        """Do everything but the start, and list all that would refuse it."""
        refused: list[dict[str, Any]] = []
        warnings: list[str] = []
        try:
            order, plan = self.order_for(config, request, job)
        except WorkerError as error:
            return DryRun(accepted=False, trainer=request.trainer, refused=problems_of(error))
        for trial in self.trials(order, plan, request, job):
            try:
                warnings += trial()
            except WorkerError as error:
                refused += problems_of(error)
        if refused:
            return DryRun(accepted=False, trainer=request.trainer, refused=refused)
        return DryRun(
            accepted=True,
            trainer=order.trainer,
            config=dict(plan.config),
            dataset=_dataset_of(order),
            estimate=estimate_of_plans([plan]),
            warnings=[*plan.warnings, *warnings],
        )


def problems_of(error: WorkerError) -> list[dict[str, Any]]:
    """Return an error's problems; the first has the hint, and the message unless that is made of the problems."""
    if not error.details:
        first, *rest = [{"field": "input", "error": error.message}]
    else:
        first, *rest = error.details
        if not any(str(detail.get("error")) in error.message for detail in error.details):
            first = {**first, "message": error.message}
    return [{**first, "hint": error.hint} if error.hint else first, *rest]


def estimate_of_plans(plans: Sequence[Plan]) -> EstimateView | None:
    """Return how long trainings take, one after another; None if nothing is expected of them."""
    parts = [
        (plan.training.forecast.estimate(plan.total_steps), plan.total_steps)
        for plan in plans
        if plan.training is not None and plan.training.forecast is not None and plan.total_steps
    ]
    return shown_estimate(together(parts)) if parts and len(parts) == len(plans) else None


def _json(model: DatasetRef | UploadTargets) -> Mapping[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


def _dataset_of(order: TrainingOrder) -> DatasetView | None:
    return DatasetView.model_validate(order.dataset) if order.dataset else None
