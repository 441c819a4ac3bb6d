"""Tasks: work that is done in the supervisor's own thread, such as a generation or the download of a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lorapod.errors import WorkerError
from lorapod.lease import LeaseState
from lorapod.processes.failures import failure_of
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.log import Line
from lorapod.processes.run import TICK_S, ChildHandlers, Run
from lorapod.processes.slots import GpuResident, Slot
from lorapod.processes.stopping import OWN_GRACE_S, StopReason, StopRequest
from lorapod.processes.work import Ending, Resumption
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus
from lorapod.wire.dataset import FetchProgress


class TaskStopped(Exception):
    """The task has ended early because it was asked to."""


class ChildFenced(Exception):
    """The guard killed the task's child, `after_s` seconds after the worker's last heartbeat."""

    def __init__(self, after_s: float) -> None:
        """Keep how long it was."""
        super().__init__(f"{after_s:.1f} s after the last heartbeat")
        self.after_s = after_s


class TaskRun:
    """A task's view of its run; for any thread."""

    def __init__(self, run: Run) -> None:
        """Wrap a run."""
        self._run = run
        #: The ledger is for one thread at a time.
        self._lock = threading.RLock()
        self._look_due = 0.0
        #: The slot that it holds; a slot without a GPU if it needs none.
        self.slot: Slot = run.slot
        #: The environment that its child inherits.
        self.environment: Mapping[str, str] = run.environment

    @property
    def process_id(self) -> str:
        """The id of the process."""
        return self._run.record.process_id

    @property
    def stop(self) -> StopRequest | None:
        """The request to stop it, if there is one."""
        return self._run.stop

    def end_at_limit(self) -> None:
        """Have it end `cancelled`, because what it waits for has reached a limit; `TaskStopped` follows."""
        self._run.request_stop(StopRequest(reason=StopReason.LIMIT, save=False, grace_s=OWN_GRACE_S))

    def stopped(self) -> bool:
        """Return whether to end early by raising `TaskStopped`; call it several times a second."""
        with self._lock:
            now_s = self._run.context.clock.monotonic()
            if now_s >= self._look_due:
                self._look_due = now_s + TICK_S
                self._look()
            if self._run.ledger.lease.state is LeaseState.LOST:
                return True
            if self._run.stop is None:
                return False
            if self._run.record.status is ProcessStatus.RUNNING:
                self._run.ledger.move(ProcessStatus.STOPPING)
            return True

    def started(self) -> None:
        """Report that the work begins, for events."""
        with self._lock:
            self._run.started()

    def keep_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Put what the task has left so far into the record, where it stays however the task ends."""
        masked = self._run.context.redactor.record(outcome)
        with self._lock:
            self._run.ledger.change(self._run.record.with_outcome(masked))

    def progress(self, progress: StoredProgress, phase: Phase | None = None) -> None:
        """Report its progress."""
        text = self._run.context.redactor.text
        masked = replace(
            progress,
            node=None if progress.node is None else text(progress.node),
            detail=None if progress.detail is None else text(progress.detail),
        )
        self._change(progress=masked, **({} if phase is None else {"phase": phase}))

    def fetched(self, news: FetchProgress) -> None:
        """Report how much has been fetched."""
        self._change(fetch=news, phase=Phase.FETCHING)

    def log(self, text: str) -> None:
        """Write one line to the process's log."""
        with self._lock:
            self._run.log.write(text)

    def note(self, text: str) -> None:
        """Write a line of the worker's own to the process's log."""
        with self._lock:
            self._run.log.note(text)

    def run_child(self, spec: LaunchSpec, on_line: Callable[[str], None]) -> ChildExit:
        """Run a child to its exit, guarded and stopped as a trainer's is; pass its lines to `on_line` and to the log.

        Raises:
            LeaseLost: another worker has taken the process up.
            ChildFenced: its guard killed it.
            OSError: it cannot be started.
        """
        run = self._run
        launched_at = run.context.clock.now().timestamp()
        child = run.start_child(spec, run.confirm())
        run.log.note(f"started {spec.argv[0]} as process {child.pid}")
        self._change(pid=child.pid, pid_started=child.started)
        run.ledger.flush()

        def read(line: Line) -> None:
            run.log.write(line.text, repaint=line.repainted)
            on_line(line.text)

        exit_ = run.follow(child, ChildHandlers(read=read, look=_nothing, control=_refuse, saver=_nothing))
        self._change(pid=None, pid_started=None)
        if exit_.fenced_after_s is not None and run.stop is None:
            raise ChildFenced(exit_.fenced_after_s)
        return ChildExit(
            exit_code=exit_.exit_code,
            signal=exit_.signal,
            stop_requested=run.stop is not None,
            launched_at=launched_at,
            last_lines=run.log.tail,
        )

    def _look(self) -> None:
        """Write the record if it is not written yet; check the lease if this worker stood still."""
        self._run.ledger.flush()
        self._run.ledger.check_lease()

    def _change(self, **changes: Any) -> None:
        with self._lock:
            record = self._run.record.changed(**changes)
            if record != self._run.record:
                self._run.ledger.change(record)


#: Does the work; returns flat JSON values, which become the record's `outcome`.
Task = Callable[[TaskRun], Mapping[str, Any]]


class TaskWork:
    """A task as the work of a process."""

    fetches = False

    def __init__(
        self,
        task: Task,
        *,
        needs_slot: bool,
        resident: GpuResident | None = None,
        secrets: frozenset[str] = frozenset(),
        clean_up: Callable[[], None] | None = None,
    ) -> None:
        """Nothing happens before `run`.

        Args:
            task: what is done.
            needs_slot: whether it waits for a GPU.
            resident: what it leaves loaded on the GPU.
            secrets: what must not be written to its log and record.
            clean_up: called once, when the task has ended or will never begin.
        """
        self.needs_slot = needs_slot
        self.resident = resident
        self.secrets = secrets
        self._task = task
        self._clean_up = clean_up

    def resumption(self) -> Resumption:
        """Return nothing: a task finds by itself where to continue."""
        return Resumption()

    def run(self, run: Run) -> Ending:
        """Do the task in this thread."""
        try:
            return self._run(run)
        finally:
            self._clean()

    def over(self, record: ProcessRecord, *, lost: bool) -> None:
        """Clean up, also if the task never began."""
        del record, lost
        self._clean()

    def _run(self, run: Run) -> Ending:
        try:
            run.confirm()
            run.ledger.move(ProcessStatus.RUNNING)
            # It may quote what others wrote, secrets included, and the record is stored.
            outcome = run.context.redactor.record(self._task(TaskRun(run)))
        except TaskStopped:
            return Ending.stopped(run.stop)
        except ChildFenced as fenced:
            return Ending.fenced(fenced.after_s)
        except (OSError, WorkerError) as error:
            run.log.note(f"failed: {error}")
            if run.stop is not None or run.ledger.check_lease() is not LeaseState.HELD:
                return Ending.stopped(run.stop)
            return Ending(
                status=ProcessStatus.FAILED, failure=failure_of(error, "The work could not be finished")
            )
        return Ending(status=ProcessStatus.COMPLETED, changes={"task": run.record.with_outcome(outcome).task})

    def _clean(self) -> None:
        clean_up, self._clean_up = self._clean_up, None
        if clean_up is not None:
            clean_up()


def _nothing() -> None:
    return None


def _refuse(_capability: object) -> None:
    """Do nothing: a task takes no control requests."""
