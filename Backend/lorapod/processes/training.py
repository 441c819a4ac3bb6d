"""Trainings: a trainer's child, from its dataset to what its exit meant."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.errors import WorkerError
from lorapod.lease import LeaseState
from lorapod.processes.child import Child, Exit
from lorapod.processes.failures import failure_of
from lorapod.processes.lines import Line
from lorapod.processes.order import TrainingOrder
from lorapod.processes.preparing import Preparation
from lorapod.processes.record import ProcessRecord
from lorapod.processes.run import Run
from lorapod.processes.slots import Resident
from lorapod.processes.status import ProcessStatus
from lorapod.processes.surroundings import Surroundings
from lorapod.processes.work import Ending, Plan, Resumption
from lorapod.trainers.checkpoints import make_ready, step_to_resume
from lorapod.trainers.config_text import dump_config
from lorapod.trainers.port import (
    Capability,
    ChildExit,
    Control,
    Observation,
    Outcome,
    Phase,
    Trainer,
    TrainingPlan,
    TrainingRequest,
)


class TrainingKind:
    """Processes of type `train`."""

    name = "train"
    order_type = TrainingOrder
    resumable = True
    not_resumable = ""

    def __init__(self, trainers: Mapping[str, Trainer], around: Surroundings, *, scratch: Path) -> None:
        """Take charge of trainers by name; `scratch` is a folder on local disk."""
        self._trainers = trainers
        self._workspace = around.workspace
        self._scratch = scratch
        self._around = around

    def plan(self, process_id: str, order: TrainingOrder) -> Plan:
        """What the order's trainer makes of it.

        Raises:
            WorkerError: what it refuses.
        """
        plan = self.training_plan(process_id, order)
        replan = partial(self.training_plan, process_id, order, fetched=True)
        preparation = Preparation(order=order, plan=plan, replan=replan)
        return Plan(
            work=Training(preparation, self._trainers[order.trainer], self._around),
            name=plan.name,
            folder=plan.run_folder.name,
            total_steps=plan.total_steps,
            record={
                "trainer": order.trainer,
                "session": order.session,
                "trigger_word": plan.trigger_word,
                "base_model": plan.base_model,
                "dataset": order.dataset,
            },
            warnings=plan.warnings,
        )

    def training_plan(self, process_id: str, order: TrainingOrder, *, fetched: bool = False) -> TrainingPlan:
        """The same as the trainer tells it, before or after the dataset was fetched.

        Raises:
            WorkerError: what it refuses.
        """
        workspace = self._workspace
        return self._trainers[order.trainer].prepare(
            TrainingRequest(
                process_id=process_id,
                config=order.config,
                dataset=workspace.root / order.dataset_path if order.dataset_path is not None else None,
                training_folder=workspace.output_folder(process_id, order.session),
                scratch=self._scratch / process_id,
                workspace=workspace.root,
                name=order.name,
                dataset_ready=fetched or order.dataset_source is None,
            )
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Those of its trainer."""
        return self._trainers[record.trainer].capabilities


class Training:
    """One run of a training."""

    needs_slot = True
    resident: Resident | None = None

    def __init__(self, preparation: Preparation, trainer: Trainer, around: Surroundings) -> None:
        """Nothing happens before `run`."""
        self.secrets = preparation.order.secrets
        self.fetches = preparation.order.dataset_source is not None
        self._preparation = preparation
        self._plan = preparation.plan
        self._trainer = trainer
        self._around = around

    def resumption(self) -> Resumption:
        """The newest whole checkpoint."""
        step = step_to_resume(self._plan.run_folder, self._plan.name)
        if step:
            return Resumption(step=step)
        return Resumption(warnings=["There is no whole checkpoint, so it begins anew."])

    def run(self, run: Run) -> Ending:
        """Get it ready, start the child, and see it through."""
        around, log = run.around, run.log
        try:
            self._write_config(run)
            around.on_start(run.record)
            if self.fetches:
                self._plan = self._preparation.fetch(around, run.ledger, log, lambda: run.stop is not None)
                if not run.take_slot(self.resident):
                    return Ending.stopped(run.stop)
            self._preparation.finish(around, run.ledger, self._plan)
            around.starter.settle(self._trainer.warm, run.environment, lambda: run.stop is not None)
            if run.stop is not None:
                return Ending.stopped(run.stop)
            launched_at = around.clock.now().timestamp()
            child = self._launch(run)
        except (OSError, WorkerError) as error:
            log.note(f"cannot start: {error}")
            if run.ledger.check_lease() is LeaseState.HELD:
                return Ending(
                    status=ProcessStatus.FAILED, failure=failure_of(error, "The trainer could not be started")
                )
            # Cut off from the other workers: one of them, or this one later, may try again.
            return Ending(status=ProcessStatus.INTERRUPTED)
        log.note(f"started {self._plan.name} with {run.record.trainer} as process {child.pid}")
        run.ledger.move(ProcessStatus.RUNNING, pid=child.pid, pid_started=child.started)
        exit_ = self._follow(child, run)
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
        return _meaning(run, exit_, outcome)

    def over(self, record: ProcessRecord, *, lost: bool) -> None:
        """Have the rest of its files sent."""
        self._around.stop_mirroring(record, lost=lost)

    def _write_config(self, run: Run) -> Path:
        """The config as it is now; a dataset that is fetched meanwhile may change it."""
        path = run.record.config_path(run.around.workspace)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, dump_config(self._plan.config).encode())
        return path

    def _launch(self, run: Run) -> Child:
        plan = self._plan
        config_path = self._write_config(run)
        plan.run_folder.parent.mkdir(parents=True, exist_ok=True)
        plan.control_path.parent.mkdir(parents=True, exist_ok=True)
        spec = self._trainer.launch(plan, config_path)
        beat_s = run.confirm()
        if run.record.generation > 1:
            make_ready(plan.run_folder, plan.name)
        return run.start_child(spec, beat_s, warm=self._trainer.warm)

    def _follow(self, child: Child, run: Run) -> Exit:
        reader, control = self._trainer.reader(self._plan), self._trainer.control(self._plan)

        def observe(seen: Observation | None) -> None:
            if seen is not None and (record := run.record.observed(seen)) is not run.record:
                run.ledger.change(record)

        def read(line: Line) -> None:
            seen = reader.line(line.text)
            run.log.write(line.text, repaint=line.repainted or (seen is not None and seen.repaint))
            observe(seen)

        def wish(capability: Capability) -> None:
            match capability:
                case Capability.SAVE:
                    control.request_save()
                case Capability.SAMPLE:
                    control.request_sample()

        def saver() -> Control | None:
            can_save = Capability.SAVE in self._trainer.capabilities
            return control if can_save and run.record.phase is Phase.TRAINING else None

        return run.follow(child, read=read, look=lambda: observe(reader.poll()), wish=wish, saver=saver)


def _meaning(run: Run, exit_: Exit, outcome: Outcome) -> Ending:
    """Return what the exit meant."""
    changes = {
        "exit_code": exit_.exit_code,
        "signal": None if exit_.signal is None else signal.Signals(exit_.signal).name,
    }
    if outcome.succeeded:
        return Ending(status=ProcessStatus.COMPLETED, changes=changes)
    if run.stop is not None:
        return Ending(status=Ending.stopped(run.stop).status, changes=changes)
    if exit_.fenced_after_s is not None:
        return replace(Ending.fenced(exit_.fenced_after_s), changes=changes)
    if outcome.stopped:
        # The platform interrupted it, or a person on the machine.
        return Ending(status=ProcessStatus.INTERRUPTED, changes=changes)
    return Ending(status=ProcessStatus.FAILED, failure=outcome.failure, changes=changes)
