"""One run of a training: from the dataset, through the trainer's child, to what its exit meant."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorapod.atomic import write_atomically
from lorapod.errors import WorkerError
from lorapod.lease import LeaseState
from lorapod.processes.child import Child
from lorapod.processes.failures import failure_of
from lorapod.processes.launch import ChildExit
from lorapod.processes.order import TrainingOrder
from lorapod.processes.run import Run
from lorapod.processes.slots import GpuResident
from lorapod.processes.work import Ending, Resumption
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.trainers.checkpoints import make_ready, step_to_resume
from lorapod.trainers.config_settings import shown_of
from lorapod.trainers.continuation import continuation_warnings
from lorapod.trainers.early_stop import EarlyStop, measured_by_likeness, open_measure
from lorapod.trainers.following import FollowedTraining
from lorapod.trainers.port import Trainer, TrainingPlan
from lorapod.trainers.preparation import await_dataset, begin_uploads, draw_dataset, fetch_dataset
from lorapod.trainers.speed import SpeedRecorder
from lorapod.trainers.start_weights import ParentLora
from lorapod.volume.shown_config import dump_shown_config, shown_config_path
from lorapod.yaml_config.text import dump_config

if TYPE_CHECKING:
    from lorapod.trainers.training import TrainingKind


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
        self._fetches_model = measured_by_likeness(order) and (
            kind.likeness is not None and kind.likeness.must_fetch(order)
        )
        self.fetches = order.dataset_source is not None or self._fetches_model
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
                self._fetch(run)
                if not run.take_slot(self.resident):
                    return Ending.stopped(run.stop)
            await_dataset(self._order, run, self._plan, self._kind.settle_edits)
            draw_dataset(self._order, run, self._plan, self._kind.datasets)
            begin_uploads(self._order, run, self._plan, self._kind.mirrors)
            context.starter.await_ready(self._trainer.warm, run.environment, lambda: run.stop is not None)
            if run.stop is not None:
                return Ending.stopped(run.stop)
            launched_at = context.clock.now().timestamp()
            early_stop = self._early_stop(run, launched_at)
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
        followed = FollowedTraining(
            run, self._trainer, self._plan, speed=self._speed_of(run), early_stop=early_stop
        )
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

    def _fetch(self, run: Run) -> None:
        """Fetch what comes from elsewhere, without a GPU; return early if the process is stopped."""
        if self._order.dataset_source is not None:
            known = fetch_dataset(self._order, run, self._plan, self._kind.datasets)
            if known is not None:
                # It is in another folder if another training still reads an earlier version of it.
                self._order = replace(self._order, dataset_path=known["path"])
                self._plan = self._kind.prepare(self._plan.process_id, self._order, fetched=True)
        if self._fetches_model and self._kind.likeness is not None and run.stop is None:
            self._kind.likeness.fetch(self._order, run)

    def _early_stop(self, run: Run, launched_at: float) -> EarlyStop | None:
        training, order = run.record.training, self._order
        measure = open_measure(order, self._plan, run, self._kind.likeness, launched_at=launched_at)
        if measure is None or training is None:
            return None
        return EarlyStop.of(order, measure, run.context.clock, since_step=training.looks_since)

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
