"""One run of one process: what its work uses."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lorapod.lease import LeaseLost, LeaseState
from lorapod.processes.child import Child, Exit
from lorapod.processes.context import ProcessContext
from lorapod.processes.launch import LaunchSpec, WarmSpec
from lorapod.processes.ledger import Ledger
from lorapod.processes.log import Line, ProcessLog
from lorapod.processes.pump import Pump, Waker
from lorapod.processes.requests import Capability, Control
from lorapod.processes.side_child import SideChild
from lorapod.processes.slots import GpuResident, Slot, SlotWait
from lorapod.processes.stopping import Stopper, StopRequest
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus

#: Seconds between two looks at the run's files.
TICK_S = 1.0

#: Seconds between two looks at whether a stop needs its next step.
STOPPING_TICK_S = 0.2

#: Seconds that the streams of an exited child may stay open: a process outside its group may hold them.
DRAIN_S = 5.0


@dataclass(frozen=True, kw_only=True)
class ChildHandlers:
    """What a work does with its child while `Run.follow` follows it; all are called in the supervisor's thread."""

    #: Gets every line.
    read: Callable[[Line], None]
    #: Called about once a second, and once at the end.
    look: Callable[[], None]
    #: Carries out what other threads requested.
    control: Callable[[Capability], None]
    #: Returns what can write a checkpoint now; None if nothing can.
    saver: Callable[[], Control | None]


class Run:
    """Record, log, slot and child of one run; for the supervisor's thread unless a method says otherwise."""

    def __init__(
        self,
        context: ProcessContext,
        ledger: Ledger,
        log: ProcessLog,
        slot_wait: SlotWait,
        *,
        stop: Callable[[], StopRequest | None],
        waker: Waker,
        listener: Callable[[float], None],
        started: Callable[[], None],
        request_stop: Callable[[StopRequest], None],
    ) -> None:
        """Begin a run.

        Args:
            context: what all processes of the worker share.
            ledger: its record.
            log: its log.
            slot_wait: its place in line, and the GPU that it holds.
            stop: answers the newest stop request.
            waker: ends a wait for the child's output early.
            listener: what the worker's pulse knows the process by.
            started: reports that the run's folder and config have been written.
            request_stop: has the process stopped.
        """
        self.context = context
        self.ledger = ledger
        self.log = log
        self._slot_wait = slot_wait
        #: What other threads have requested.
        self.wanted: set[Capability] = set()
        self._stop = stop
        self._waker = waker
        self._listener = listener
        self.started = started
        self.request_stop = request_stop
        self._child: Child | None = None
        #: The newest child beside it.
        self._beside: SideChild | None = None

    @property
    def record(self) -> ProcessRecord:
        """The present record."""
        return self.ledger.record

    @property
    def slot(self) -> Slot:
        """The slot that it holds; a slot without a GPU if it needs none or has none yet."""
        return self._slot_wait.slot

    @property
    def gpu_name(self) -> str | None:
        """The name of the GPU that it holds; None without one, or if the driver does not tell."""
        return None if self.slot.gpu is None else self.context.gpu_name(self.slot.gpu)

    @property
    def stop(self) -> StopRequest | None:
        """The request to stop it, if there is one; for any thread."""
        return self._stop()

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment that its child inherits."""
        return self.context.child_environment(self.slot)

    def take_slot(self, resident: GpuResident | None) -> bool:
        """Wait for a GPU after the dataset was fetched; return False if the process was stopped meanwhile.

        Raises:
            LeaseLost: another worker has taken the process up meanwhile.
        """
        self._slot_wait.change(self.context.slots)
        if self.stop is not None:
            return False
        self.ledger.change(self.record.changed(phase=Phase.WAITING))
        if not self._slot_wait.wait(resident):
            return False
        self.ledger.change(self.record.changed(phase=Phase.STARTING))
        self.ledger.flush()
        if self.ledger.lease.state is LeaseState.LOST:
            raise LeaseLost(self.record.process_id)
        return True

    def heard(self, beat_s: float) -> None:
        """Pass this worker's heartbeat on to the guards of its children. Any thread."""
        if (child := self._child) is not None:
            child.guard_line.tell(beat_s)
        if (beside := self._beside) is not None:
            beside.heard(beat_s)

    def kill(self) -> None:
        """End the child's group at once. Any thread."""
        if (child := self._child) is not None:
            child.signal(signal.SIGKILL)

    def confirm(self) -> float:
        """Make sure that this worker still holds the process; return the time of its last heartbeat.

        Raises:
            LeaseLost: another worker has taken it up.
            OSError: the store does not answer.
        """
        # In this order: the store shows what happened before this heartbeat; the guard watches from then on.
        beat_s = self.context.pulse.follow(self._listener)
        self.ledger.confirm()
        return beat_s

    def start_child(self, spec: LaunchSpec, beat_s: float, *, warm: WarmSpec | None = None) -> Child:
        """Start a child with a guard; `beat_s` is what `confirm` has just returned.

        Raises:
            OSError: it cannot be started.
        """
        context = self.context
        child = context.starter.start_child(
            spec, self.environment, warm=warm, fence_s=context.pulse.times.fence_s
        )
        child.guard_line.tell(beat_s)
        self._child = child
        return child

    def start_side_child(self, spec: LaunchSpec) -> SideChild:
        """Start a guarded child that sees no GPU, beside the one that is followed; only one at a time.

        Raises:
            LeaseLost: another worker has taken the process up.
            OSError: it cannot be started.
        """
        context = self.context
        beat_s = self.confirm()
        environment = context.child_environment(Slot(gpu=None))
        child = context.starter.start_child(spec, environment, warm=None, fence_s=context.pulse.times.fence_s)
        child.guard_line.tell(beat_s)
        self._beside = beside = SideChild(child)
        return beside

    def follow(self, child: Child, handlers: ChildHandlers) -> Exit:
        """Follow a child, which `start_child` returned, to its exit; stop it if that is requested."""
        try:
            self._pump(child, handlers)
        except BaseException:
            # A defect in a reader, or another worker's lease: nothing of the child may be left behind.
            child.signal(signal.SIGKILL)
            child.reap()
            self._child = None
            raise
        exit_ = child.reap()
        self._child = None
        return exit_

    def _pump(self, child: Child, handlers: ChildHandlers) -> None:
        """Read the child's output and do what is due, until it has exited and its streams are drained."""
        stopper: Stopper | None = None
        tick_due = act_due = 0.0
        now_s = self.context.clock.monotonic
        with Pump(child, self._waker.descriptor) as pump:
            while not pump.exited:
                for line in pump.lines(TICK_S if stopper is None else STOPPING_TICK_S):
                    handlers.read(line)
                if now_s() >= tick_due:
                    tick_due = now_s() + TICK_S
                    self._look(handlers)
                if now_s() >= act_due or pump.woken:
                    act_due = now_s() + STOPPING_TICK_S
                    while self.wanted:
                        handlers.control(self.wanted.pop())
                    stopper = self._advance(child, stopper, handlers)
            child.end_group()
            drain_until = now_s() + DRAIN_S
            while pump.open and now_s() < drain_until:
                for line in pump.lines(TICK_S):
                    handlers.read(line)
        self._look(handlers)

    def _look(self, handlers: ChildHandlers) -> None:
        handlers.look()
        self.ledger.flush()
        if self.ledger.lease.state is LeaseState.LOST:
            self.kill()

    def _advance(self, child: Child, stopper: Stopper | None, handlers: ChildHandlers) -> Stopper | None:
        if (stop := self.stop) is None:
            return None
        if stopper is None or stopper.request is not stop:
            if self.record.status is not ProcessStatus.STOPPING:
                self.ledger.move(ProcessStatus.STOPPING)
            return Stopper(stop, child, handlers.saver(), self.context.clock)
        stopper.advance()
        return stopper
