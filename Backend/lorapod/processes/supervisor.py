"""One thread that sees one process through: from its place in the line to what its exit meant."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
from collections.abc import Callable, Mapping

from lorapod.atomic import write_atomically
from lorapod.errors import ErrorCode, WorkerError
from lorapod.processes.child import Child, Exit
from lorapod.processes.launch_failure import launch_failure
from lorapod.processes.ledger import Ledger
from lorapod.processes.lines import Line
from lorapod.processes.log import ProcessLog
from lorapod.processes.preparing import Preparation
from lorapod.processes.pump import Pump
from lorapod.processes.record import ProcessRecord
from lorapod.processes.slots import Slot
from lorapod.processes.status import ProcessStatus
from lorapod.processes.stopping import Stopper, StopReason, StopRequest
from lorapod.processes.store.port import LeaseLost
from lorapod.processes.surroundings import Surroundings
from lorapod.processes.waker import Waker
from lorapod.trainers.checkpoints import make_ready
from lorapod.trainers.config_text import dump_config
from lorapod.trainers.port import (
    Capability,
    ChildExit,
    Control,
    Failure,
    Observation,
    Outcome,
    Phase,
    Reader,
    Trainer,
)

logger = logging.getLogger(__name__)

#: Between two looks at the run's files, and at what is due.
TICK_S = 1.0

#: Between two looks at what a stop needs next.
STOPPING_TICK_S = 0.2

#: How long the streams of a child that has exited may stay open (something outside its group holds them).
DRAIN_S = 5.0

_STOPPED_STATUS = {
    StopReason.CANCEL: ProcessStatus.CANCELLED,
    StopReason.SHUTDOWN: ProcessStatus.INTERRUPTED,
}


class Supervisor:
    """Runs one training; the only writer of its record while it does."""

    def __init__(
        self,
        record: ProcessRecord,
        preparation: Preparation,
        trainer: Trainer,
        surroundings: Surroundings,
        on_change: Callable[[ProcessRecord], None],
    ) -> None:
        """Take charge of a record in state `queued`; `on_change` is called in the supervisor's thread."""
        self._preparation = preparation
        self._plan = preparation.plan
        self._trainer = trainer
        self._around = surroundings
        self._ledger = Ledger(
            record, surroundings.store.records, surroundings.pulse, surroundings.clock, on_change
        )
        self._stop: StopRequest | None = None
        self._wanted: set[Capability] = set()
        self._waker = Waker()
        self._child: Child | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=record.process_id, daemon=True)

    @property
    def record(self) -> ProcessRecord:
        """The present record."""
        return self._ledger.record

    @property
    def trainer(self) -> Trainer:
        """What runs the training."""
        return self._trainer

    @property
    def current(self) -> bool:
        """Whether this worker surely still holds the process: it has not stood still since it last looked."""
        return self._ledger.current

    @property
    def settled(self) -> bool:
        """Whether the store can answer for the process from now on."""
        return self._ledger.lost or (self.record.status.final and self._ledger.saved)

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
        if request.reason is StopReason.SHUTDOWN:
            self._closing.set()
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

    def heard(self, beat_s: float) -> None:
        """Pass this worker's heartbeat on to the child's guard. Any thread."""
        if (child := self._child) is not None:
            child.guard_line.tell(beat_s)

    def _run(self) -> None:
        try:
            slot = self._around.slots.acquire(lambda: self._stop is not None)
            if slot is None:
                assert self._stop is not None
                self._ledger.end(_STOPPED_STATUS[self._stop.reason])
                return
            try:
                with self._around.redactor.holding(self._preparation.order.secrets):
                    self._train(slot)
            finally:
                self._around.slots.release(slot)
                self._around.stop_mirroring(self.record, lost=self._ledger.lost)
        except Exception:
            logger.exception("supervisor failed", extra={"process_id": self.record.process_id})
            self.kill()
            if not self.record.status.final:
                message = "The worker met a defect while it ran this process; its log has the details."
                self._ledger.end(
                    ProcessStatus.FAILED, failure=Failure(code=ErrorCode.INTERNAL, message=message)
                )
        finally:
            self._around.pulse.unfollow(self.heard)
            self._waker.close()
            self._ledger.settle(self._closing)

    def _train(self, slot: Slot) -> None:
        around = self._around
        self._ledger.move(ProcessStatus.PREPARING, started_at=around.clock.now(), phase=Phase.STARTING)
        with around.open_log(self.record.process_id) as log:
            environment = around.child_environment(slot)
            try:
                self._plan = self._preparation.run(around, self._ledger, log, lambda: self._stop is not None)
                around.starter.settle(self._trainer.warm, environment, lambda: self._stop is not None)
                if self._stop is not None:
                    self._ledger.end(_STOPPED_STATUS[self._stop.reason])
                    return
                launched_at, stops = around.clock.now().timestamp(), around.pulse.stops
                child = self._child = self._launch(environment)
            except LeaseLost:
                self._ledger.end(ProcessStatus.INTERRUPTED)
                return
            except (OSError, WorkerError) as error:
                log.note(f"cannot start: {error}")
                if around.pulse.holding:
                    self._ledger.end(ProcessStatus.FAILED, failure=around.masked(launch_failure(error)))
                else:
                    # Cut off from the other workers: one of them, or this one later, may try again.
                    self._ledger.end(ProcessStatus.INTERRUPTED)
                return
            log.note(f"started {self._plan.name} with {self.record.trainer} as process {child.pid}")
            self._ledger.move(ProcessStatus.RUNNING, pid=child.pid, pid_started=child.started)
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
            fenced = around.pulse.stops > stops or not around.pulse.holding
            status = self._meaning(exit_, outcome, fenced=fenced)
            failure = around.masked(outcome.failure) if status is ProcessStatus.FAILED else None
            log.note(f"ended {status}{f': {failure.message}' if failure else ''}")
        shutil.rmtree(self._plan.control_path.parent, ignore_errors=True)
        # Last of all: from here on any worker may take the process up again.
        self._ledger.end(
            status,
            failure=failure,
            exit_code=exit_.exit_code,
            signal=None if exit_.signal is None else signal.Signals(exit_.signal).name,
        )

    def _launch(self, environment: Mapping[str, str]) -> Child:
        plan, around = self._plan, self._around
        config_path = self.record.config_path(around.workspace)
        config_path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(config_path, dump_config(plan.config).encode())
        plan.run_folder.parent.mkdir(parents=True, exist_ok=True)
        plan.control_path.parent.mkdir(parents=True, exist_ok=True)
        spec = self._trainer.launch(plan, config_path)
        # In this order: what happened before the beat is seen now; a longer standstill after it, the guard sees.
        beat_s = around.pulse.follow(self.heard)
        if not self._ledger.confirm():
            raise LeaseLost(self.record.process_id)
        if self.record.generation > 1:
            make_ready(plan.run_folder, plan.name)
        child = around.starter.start_child(
            spec, environment, warm=self._trainer.warm, fence_s=around.pulse.times.fence_s
        )
        child.guard_line.tell(beat_s)
        return child

    def _follow(self, child: Child, log: ProcessLog) -> Exit:
        reader, control = self._trainer.reader(self._plan), self._trainer.control(self._plan)
        stopper: Stopper | None = None
        tick_due = act_due = 0.0
        now_s = self._around.clock.monotonic
        with Pump(child, self._waker.descriptor) as pump:
            while not pump.exited:
                for line in pump.lines(TICK_S if stopper is None else STOPPING_TICK_S):
                    self._read(line, reader, log)
                if now_s() >= tick_due:
                    tick_due = now_s() + TICK_S
                    self._look(reader)
                if now_s() >= act_due or pump.woken:
                    act_due = now_s() + STOPPING_TICK_S
                    stopper = self._act(child, control, stopper)
            child.end_group()
            drain_until = now_s() + DRAIN_S
            while pump.open and now_s() < drain_until:
                for line in pump.lines(TICK_S):
                    self._read(line, reader, log)
        self._look(reader)
        return child.reap()

    def _read(self, line: Line, reader: Reader, log: ProcessLog) -> None:
        seen = reader.line(line.text)
        log.write(line.text, repaint=line.repainted or (seen is not None and seen.repaint))
        self._observe(seen)

    def _look(self, reader: Reader) -> None:
        self._observe(reader.poll())
        self._ledger.flush()
        if self._ledger.lost:
            self.kill()

    def _observe(self, seen: Observation | None) -> None:
        if seen is not None and (record := self.record.observed(seen)) is not self.record:
            self._ledger.change(record)

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
                self._ledger.move(ProcessStatus.STOPPING)
            can_save = Capability.SAVE in self._trainer.capabilities and self.record.phase is Phase.TRAINING
            return Stopper(self._stop, child, control if can_save else None, self._around.clock)
        stopper.advance()
        return stopper

    def _meaning(self, exit_: Exit, outcome: Outcome, *, fenced: bool) -> ProcessStatus:
        """What the exit meant; `fenced`: this worker stood still, so the guard may have ended the child."""
        if outcome.succeeded:
            return ProcessStatus.COMPLETED
        if self._stop is not None:
            return _STOPPED_STATUS[self._stop.reason]
        if outcome.stopped or (fenced and exit_.signal == signal.SIGKILL):
            # Somebody else interrupted it: the platform, a person on the machine, or its own guard.
            return ProcessStatus.INTERRUPTED
        return ProcessStatus.FAILED
