"""Trainings as processes: from the dataset, through the trainer's child, to what its exit meant."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.errors import Conflict, WorkerError
from lorapod.lease import LeaseState
from lorapod.processes.child import Child
from lorapod.processes.context import ProcessContext
from lorapod.processes.failures import failure_of
from lorapod.processes.launch import ChildExit
from lorapod.processes.order import TrainingOrder
from lorapod.processes.requests import Capability
from lorapod.processes.run import Run
from lorapod.processes.slots import GpuResident
from lorapod.processes.work import Ending, Plan, Resumption
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.trainers.checkpoints import make_ready, step_to_resume
from lorapod.trainers.config_settings import shown_of
from lorapod.trainers.continuation import continuation_warnings
from lorapod.trainers.early_stop import EarlyStop, check_stop_when
from lorapod.trainers.following import FollowedTraining
from lorapod.trainers.port import HeldOut, Trainer, TrainingPlan, TrainingRequest
from lorapod.trainers.preparation import (
    DatasetProvider,
    SettleEdits,
    await_dataset,
    begin_uploads,
    draw_dataset,
    fetch_dataset,
)
from lorapod.trainers.speed import Forecasts, SpeedRecorder
from lorapod.trainers.start_weights import ParentLora
from lorapod.volume.shown_config import dump_shown_config, shown_config_path
from lorapod.yaml_config.text import dump_config


class TrainingKind:
    """Processes of type `train`."""

    name = "train"
    order_type = TrainingOrder
    resumable = True
    not_resumable = ""

    def __init__(
        self,
        trainers: Mapping[str, Trainer],
        context: ProcessContext,
        *,
        scratch: Path,
        datasets: DatasetProvider | None = None,
        mirrors: Mirrors | None = None,
        find_writer: Callable[[Path], str | None] = lambda _: None,
        settle_edits: SettleEdits = lambda *_: None,
        forecasts: Forecasts | None = None,
    ) -> None:
        """Run trainings with `trainers`, by name.

        Args:
            trainers: the programs that train.
            context: what every process of the worker shares.
            scratch: a folder on local disk.
            datasets: fetches remote datasets and draws contact sheets; None: this worker does neither.
            mirrors: uploads artifacts while they are made; None: nothing is uploaded.
            find_writer: finds the process that changes a dataset.
            settle_edits: waits for an edit of a dataset that is under way.
            forecasts: expects and keeps the speed of trainings; None: nothing is estimated.
        """
        self.datasets = datasets
        self.mirrors = mirrors
        self.settle_edits = settle_edits
        self.forecasts = forecasts
        self._find_writer = find_writer
        self._trainers = trainers
        self._workspace = context.workspace
        self._scratch = scratch

    def plan(self, process_id: str, order: TrainingOrder, live: object = None) -> Plan:
        """Have the order's trainer check and plan it.

        Raises:
            WorkerError: what the trainer refuses.
        """
        del live
        trainer = self._trainers[order.trainer]
        self._check_dataset(order)
        plan = self.prepare(process_id, order, fetched=order.dataset_source is None)
        check_stop_when(order, plan.config)
        parent = ParentLora.of(order, process_id, self._workspace)
        warnings = [*plan.warnings, *(parent.check(plan) if parent is not None else ())]
        return Plan(
            work=TrainingRun(self, order, trainer, plan, parent),
            name=plan.name,
            folder=plan.run_folder.name,
            total_steps=plan.total_steps,
            config=plan.config,
            training=TrainingDetails(
                trainer=order.trainer,
                session=order.session,
                trigger_word=plan.trigger_word,
                base_model=plan.base_model,
                dataset=order.dataset,
                warnings=tuple(warnings),
                start_from=parent.shown if parent is not None else None,
                sweep_id=order.sweep_id,
                limits=order.limits,
                forecast=None
                if self.forecasts is None
                else self.forecasts.forecast(order.trainer, plan.config),
            ),
            warnings=warnings,
        )

    def _check_dataset(self, order: TrainingOrder) -> None:
        """Refuse a dataset that is being captioned: the training would learn from half of the captions."""
        if order.dataset_path is None:
            return
        folder = self._workspace.root / order.dataset_path
        if (writer := self._find_writer(folder)) is not None:
            raise Conflict(
                f"The dataset {folder.name!r} cannot be trained on yet: the process {writer} captions it.",
                hint=f"Wait until {writer} has ended, or cancel it.",
            )

    def prepare(self, process_id: str, order: TrainingOrder, *, fetched: bool) -> TrainingPlan:
        """Return the trainer's own plan, before or after the dataset was fetched.

        Raises:
            WorkerError: what the trainer refuses.
        """
        workspace = self._workspace
        parent = ParentLora.of(order, process_id, workspace)
        return self._trainers[order.trainer].prepare(
            TrainingRequest(
                process_id=process_id,
                config=order.config,
                dataset=workspace.root / order.dataset_path if order.dataset_path is not None else None,
                training_folder=workspace.output_folder(process_id, order.session),
                scratch=self._scratch / process_id,
                workspace=workspace.root,
                name=order.name,
                dataset_ready=fetched,
                strict=order.strict,
                held_out=None if order.validation is None else HeldOut(**order.validation),
                steps=order.steps,
                start=parent.weights if parent is not None else None,
            )
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return what the record's trainer can be asked for."""
        return self._trainers[record.trainer].capabilities


class TrainingRun:
    """One run of a training: the `Work` of its process."""

    needs_slot = True
    resident: GpuResident | None = None

    def __init__(
        self,
        kind: TrainingKind,
        order: TrainingOrder,
        trainer: Trainer,
        plan: TrainingPlan,
        parent: ParentLora | None,
    ) -> None:
        """Nothing happens before `run`."""
        self.secrets = order.secrets
        self.fetches = order.dataset_source is not None
        self._kind = kind
        self._order = order
        self._trainer = trainer
        self._plan = plan
        self._parent = parent

    def resumption(self) -> Resumption:
        """Return the newest whole checkpoint."""
        step = step_to_resume(self._plan.run_folder, self._plan.name)
        if step:
            further = self._order.steps is not None
            return Resumption(step=step, warnings=continuation_warnings(self._plan) if further else ())
        return Resumption(warnings=["There is no whole checkpoint, so it starts from the beginning."])

    def run(self, run: Run) -> Ending:
        """Prepare the dataset, start the child, and follow it to its exit."""
        context, log = run.context, run.log
        try:
            self._write_config(run)
            run.started()
            if self.fetches:
                known = fetch_dataset(self._order, run, self._plan, self._kind.datasets)
                if known is not None:
                    # It is in another folder if another training still reads an earlier version of it.
                    self._order = replace(self._order, dataset_path=known["path"])
                    self._plan = self._kind.prepare(self._plan.process_id, self._order, fetched=True)
                if not run.take_slot(self.resident):
                    return Ending.stopped(run.stop)
            await_dataset(self._order, run, self._plan, self._kind.settle_edits)
            draw_dataset(self._order, run, self._plan, self._kind.datasets)
            begin_uploads(self._order, run, self._plan, self._kind.mirrors)
            context.starter.await_ready(self._trainer.warm, run.environment, lambda: run.stop is not None)
            if run.stop is not None:
                return Ending.stopped(run.stop)
            launched_at = context.clock.now().timestamp()
            child = self._launch(run)
        except (OSError, WorkerError) as error:
            log.note(f"cannot start: {error}")
            if run.stop is not None:
                return Ending.stopped(run.stop)
            if run.ledger.check_lease() is LeaseState.HELD:
                return Ending(
                    status=ProcessStatus.FAILED, failure=failure_of(error, "The trainer could not be started")
                )
            # Cut off from the other workers: one of them, or this one later, may try again.
            return Ending(status=ProcessStatus.INTERRUPTED)
        log.note(f"started {self._plan.name} with {run.record.trainer} as process {child.pid}")
        record = self._on_its_gpu(run)
        run.ledger.change(record.moved(ProcessStatus.RUNNING, pid=child.pid, pid_started=child.started))
        followed = self._followed(run)
        exit_ = followed.follow(child)
        outcome = self._trainer.outcome(
            self._plan,
            ChildExit(
                exit_code=exit_.exit_code,
                signal=exit_.signal,
                stop_requested=run.stop is not None,
                launched_at=launched_at,
                last_lines=log.tail,
            ),
        )
        shutil.rmtree(self._plan.control_path.parent, ignore_errors=True)
        return followed.meaning(exit_, outcome)

    def _followed(self, run: Run) -> FollowedTraining:
        training, step = run.record.training, run.record.progress.step
        # A person has it go on from this step.
        since_step = step if training is not None and not training.ran_s else 0
        return FollowedTraining(
            run,
            self._trainer,
            self._plan,
            speed=self._speed_of(run),
            early_stop=EarlyStop.of(self._order, self._plan, run.context.clock, since_step=since_step),
        )

    def over(self, record: ProcessRecord, *, lost: bool) -> None:
        """Have the rest of its files uploaded."""
        if self._kind.mirrors is not None:
            self._kind.mirrors.end(record.process_id, record.generation, lost=lost)

    def _on_its_gpu(self, run: Run) -> ProcessRecord:
        """Return the record with its GPU, and with what is expected on it: it may have been planned for another one."""
        record, forecasts = run.record.on_gpu(run.gpu_name), self._kind.forecasts
        training = record.training
        if forecasts is None or training is None or training.gpu is None:
            return record
        forecast = forecasts.forecast(self._order.trainer, self._plan.config, gpu_name=training.gpu)
        return record.changed(training=replace(training, forecast=forecast))

    def _speed_of(self, run: Run) -> SpeedRecorder | None:
        record, forecasts = run.record, self._kind.forecasts
        if forecasts is None or record.training is None:
            return None
        return forecasts.recorder(
            record.process_id,
            self._order.trainer,
            self._plan.config,
            gpu_name=record.training.gpu,
            first_step=record.progress.step,
        )

    def _write_config(self, run: Run) -> Path:
        """Write the config, and what is shown of it; a dataset that is fetched later may change it, and it is written again."""
        path = run.record.config_path(run.context.workspace)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, dump_config(self._plan.config).encode())
        shown = shown_config_path(run.context.workspace, run.record.process_id)
        write_atomically(shown, dump_shown_config(shown_of(self._plan.config)))
        return path

    def _launch(self, run: Run) -> Child:
        plan = self._plan
        config_path = self._write_config(run)
        plan.run_folder.parent.mkdir(parents=True, exist_ok=True)
        plan.control_path.parent.mkdir(parents=True, exist_ok=True)
        spec = self._trainer.launch(plan, config_path)
        beat_s = run.confirm()
        begun = run.record.generation > 1 and make_ready(
            plan.run_folder, plan.name, total_steps=plan.total_steps
        )
        if self._parent is not None and not begun:
            self._parent.keep()
        return run.start_child(spec, beat_s, warm=self._trainer.warm)
