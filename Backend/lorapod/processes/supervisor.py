"""One thread that sees one process through: from its place in the line to what its exit meant."""

from __future__ import annotations

import errno
import logging
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import yaml

from lorapod.atomic import write_atomically
from lorapod.clock import Clock
from lorapod.errors import ErrorCode
from lorapod.processes.child import Child, Exit
from lorapod.processes.lines import Line
from lorapod.processes.log import ProcessLog
from lorapod.processes.pump import Pump
from lorapod.processes.record import ProcessRecord
from lorapod.processes.slots import Slot, SlotPool
from lorapod.processes.status import ProcessStatus
from lorapod.processes.stopping import Stopper, StopReason, StopRequest
from lorapod.processes.store.port import RecordStore
from lorapod.processes.waker import Waker
from lorapod.trainers.port import (
    Capability,
    ChildExit,
    Control,
    Failure,
    Outcome,
    Phase,
    Reader,
    Trainer,
    TrainingPlan,
)
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: Between two looks at the run's files, and at what is due.
TICK_S = 1.0

#: Between two looks at what a stop needs next.
STOPPING_TICK_S = 0.2

#: Between two writes of a record in which only the progress changed.
SAVE_INTERVAL_S = 2.0

#: How long the streams of a child that has exited may stay open (something outside its group holds them).
DRAIN_S = 5.0

CONFIG_NAME = "config.yaml"

_STOPPED_STATUS = {
    StopReason.CANCEL: ProcessStatus.CANCELLED,
    StopReason.SHUTDOWN: ProcessStatus.INTERRUPTED,
}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every supervisor of a worker shares."""

    workspace: Workspace
    store: RecordStore
    slots: SlotPool
    clock: Clock
    #: What every child inherits.
    environment: Mapping[str, str]
    max_log_bytes: int


class Supervisor:
    """Runs one training; the only writer of its record while it does."""

    def __init__(
        self,
        record: ProcessRecord,
        plan: TrainingPlan,
        trainer: Trainer,
        surroundings: Surroundings,
        on_change: Callable[[ProcessRecord], None],
    ) -> None:
        """Take charge of a record in state `queued`; `on_change` is called in the supervisor's thread."""
        self.record = record
        self._plan = plan
        self._trainer = trainer
        self._around = surroundings
        self._on_change = on_change
        self._stop: StopRequest | None = None
        self._wanted: set[Capability] = set()
        self._waker = Waker()
        self._child: Child | None = None
        self._saved = record
        self._save_due = 0.0
        self._thread = threading.Thread(target=self._run, name=record.process_id, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it was reached in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def stop(self, request: StopRequest) -> None:
        """Have the process stopped; a later request with less time replaces an earlier one. Any thread."""
        if self._stop is None or request.grace_s < self._stop.grace_s:
            self._stop = request
        self._around.slots.wake()
        self._waker.wake()

    def want(self, capability: Capability) -> None:
        """Ask the running trainer for a checkpoint or samples. Any thread."""
        self._wanted.add(capability)
        self._waker.wake()

    def kill(self) -> None:
        """End the child's group at once. Any thread."""
        if (child := self._child) is not None:
            child.signal(signal.SIGKILL)

    def _run(self) -> None:
        try:
            slot = self._around.slots.acquire(lambda: self._stop is not None)
            if slot is None:
                self._end_stopped()
                return
            try:
                self._train(slot)
            finally:
                self._around.slots.release(slot)
        except Exception:
            logger.exception("supervisor failed", extra={"process_id": self.record.process_id})
            self.kill()
            if not self.record.status.final:
                message = "The worker met a defect while it ran this process; its log has the details."
                self._end(ProcessStatus.FAILED, failure=Failure(code=ErrorCode.INTERNAL, message=message))
        finally:
            self._waker.close()

    def _train(self, slot: Slot) -> None:
        self._change(self.record.moved(ProcessStatus.PREPARING, started_at=self._now(), phase=Phase.STARTING))
        around, process_id = self._around, self.record.process_id
        log_path = around.workspace.log_path(process_id)
        with ProcessLog(log_path, max_bytes=around.max_log_bytes, clock=around.clock) as log:
            try:
                launched_at = self._now().timestamp()
                self._child = self._launch(slot)
            except OSError as error:
                log.note(f"cannot start: {error}")
                self._end(ProcessStatus.FAILED, failure=_launch_failure(error))
                return
            child = self._child
            log.note(f"started {self._plan.name} with {self.record.trainer} as process {child.pid}")
            self._change(self.record.moved(ProcessStatus.RUNNING, pid=child.pid, pid_started=child.started))
            exit_ = self._follow(child, log)
            self._child = None
            outcome = self._trainer.outcome(
                self._plan,
                ChildExit(
                    exit_code=exit_.exit_code,
                    signal=exit_.signal,
                    stop_requested=self._stop is not None,
                    launched_at=launched_at,
                    last_lines=log.tail,
                ),
            )
            self._finish(exit_, outcome)
            log.note(f"ended {self.record.status}{f': {outcome.failure.message}' if outcome.failure else ''}")
        shutil.rmtree(self._plan.control_path.parent, ignore_errors=True)

    def _launch(self, slot: Slot) -> Child:
        plan, folder = self._plan, self._around.workspace.process_folder(self.record.process_id)
        text = yaml.safe_dump(dict(plan.config), sort_keys=False, allow_unicode=True)
        config_path = folder / CONFIG_NAME
        write_atomically(config_path, text.encode())
        plan.run_folder.parent.mkdir(parents=True, exist_ok=True)
        plan.control_path.parent.mkdir(parents=True, exist_ok=True)
        spec = self._trainer.launch(plan, config_path)
        environment = {
            **self._around.environment,
            "PYTHONUNBUFFERED": "1",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": slot.visible_devices,
        }
        return Child.start(spec, environment)

    def _follow(self, child: Child, log: ProcessLog) -> Exit:
        reader, control = self._trainer.reader(self._plan), self._trainer.control(self._plan)
        stopper: Stopper | None = None
        tick_due = act_due = 0.0
        with Pump(child, self._waker.descriptor) as pump:
            while not pump.exited:
                for line in pump.lines(TICK_S if stopper is None else STOPPING_TICK_S):
                    self._read(line, reader, log)
                if self._monotonic() >= tick_due:
                    tick_due = self._monotonic() + TICK_S
                    self._observe(reader)
                if self._monotonic() >= act_due or pump.woken:
                    act_due = self._monotonic() + STOPPING_TICK_S
                    stopper = self._act(child, control, stopper)
            child.end_group()
            drain_until = self._monotonic() + DRAIN_S
            while pump.open and self._monotonic() < drain_until:
                for line in pump.lines(TICK_S):
                    self._read(line, reader, log)
        self._observe(reader)
        return child.reap()

    def _read(self, line: Line, reader: Reader, log: ProcessLog) -> None:
        seen = reader.line(line.text)
        log.write(line.text, repaint=line.repainted or (seen is not None and seen.repaint))
        if seen is not None:
            self._change(self.record.observed(seen))

    def _observe(self, reader: Reader) -> None:
        if (seen := reader.poll()) is not None:
            self._change(self.record.observed(seen))
        elif self.record is not self._saved:
            self._save()

    def _act(self, child: Child, control: Control, stopper: Stopper | None) -> Stopper | None:
        """Carry out what other threads asked for."""
        while self._wanted:
            match self._wanted.pop():
                case Capability.SAVE:
                    control.request_save()
                case Capability.SAMPLE:
                    control.request_sample()
        if self._stop is None:
            return None
        if stopper is None or stopper.request is not self._stop:
            if self.record.status is not ProcessStatus.STOPPING:
                self._change(self.record.moved(ProcessStatus.STOPPING))
            can_save = Capability.SAVE in self._trainer.capabilities and self.record.phase is Phase.TRAINING
            return Stopper(self._stop, child, control if can_save else None, self._around.clock)
        stopper.advance()
        return stopper

    def _finish(self, exit_: Exit, outcome: Outcome) -> None:
        ended = {
            "exit_code": exit_.exit_code,
            "signal": None if exit_.signal is None else signal.Signals(exit_.signal).name,
        }
        if outcome.succeeded:
            self._end(ProcessStatus.COMPLETED, **ended)
        elif self._stop is not None:
            self._end(_STOPPED_STATUS[self._stop.reason], **ended)
        elif outcome.stopped:
            # Somebody else interrupted it: the platform, or a person on the machine.
            self._end(ProcessStatus.INTERRUPTED, **ended)
        else:
            self._end(ProcessStatus.FAILED, failure=outcome.failure, **ended)

    def _end_stopped(self) -> None:
        assert self._stop is not None
        self._end(_STOPPED_STATUS[self._stop.reason])

    def _end(self, status: ProcessStatus, **changes: object) -> None:
        self._change(self.record.moved(status, ended_at=self._now(), phase=None, **changes))

    def _change(self, record: ProcessRecord) -> None:
        """Make `record` the present one; on disk at once where its state changed, else now and then."""
        moved = record.status is not self.record.status
        self.record = record
        if moved or self._monotonic() >= self._save_due:
            self._save()
        self._on_change(record)

    def _save(self) -> None:
        self._save_due = self._monotonic() + SAVE_INTERVAL_S
        try:
            self._around.store.save(self.record)
            self._saved = self.record
        except OSError as error:
            # A full disk must not end a training; the next change tries again.
            logger.warning(
                "record cannot be saved", extra={"process_id": self.record.process_id, "reason": str(error)}
            )

    @property
    def saved(self) -> bool:
        """Whether the store holds the present record."""
        return self._saved is self.record

    def _monotonic(self) -> float:
        return self._around.clock.monotonic()

    def _now(self) -> datetime:
        return self._around.clock.now()


def _launch_failure(error: OSError) -> Failure:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            code=ErrorCode.INSUFFICIENT_STORAGE,
            message="The workspace's disk is full, so the training could not be started.",
            hint="Delete old outputs or attach a larger volume.",
        )
    return Failure(
        code=ErrorCode.INTERNAL, message=f"The trainer could not be started: {error.strerror or error}."
    )
