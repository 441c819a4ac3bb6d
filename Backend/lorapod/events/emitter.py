"""Turn the changes of process records into events in their outboxes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lorapod.clock import Clock
from lorapod.deadline import Deadline
from lorapod.errors import NotFound
from lorapod.events import event_texts
from lorapod.events.artifact_tracker import ArtifactTracker
from lorapod.events.courier import TICK_S, Courier
from lorapod.events.emitted_run import EmittedRun, EventDraft
from lorapod.events.event_data import CheckpointData, EventData, ProgressData, SampleData
from lorapod.events.event_types import EventStatus, EventType
from lorapod.events.models import Event
from lorapod.events.outbox import Outbox
from lorapod.events.outbox_part import OutboxPart
from lorapod.events.told_kinds import TOLD_KINDS, told_kind_of
from lorapod.processes.order import SealedCallback, read_order
from lorapod.processes.store.port import StateStore
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: In these states the start of the run was emitted, even if this worker did not hold the process for a moment.
_LAUNCHED = frozenset({ProcessStatus.RUNNING, ProcessStatus.STOPPING})

#: If workers share no volume, the outboxes of earlier runs are missing: each run starts this much further.
SEQUENCES_OF_A_RUN = 1_000_000


class EventEmitter:
    """Writes the outboxes of the processes that this worker holds and that have events; their only writer. Safe for any thread.

    `started` and `changed` never raise and never wait for a sink: no defect of events ends a training.
    """

    def __init__(
        self, *, workspace: Workspace, store: StateStore, courier: Courier, clock: Clock, interval_s: float
    ) -> None:
        """Emit progress at least every `interval_s` seconds, if anything changes."""
        self._workspace = workspace
        self._store = store
        self._courier = courier
        self._clock = clock
        # Ticks are `TICK_S` apart: the last one in time must find the progress due.
        self._interval_s = max(0.0, interval_s - TICK_S)
        self._holds: Callable[[str], bool] = lambda _process_id: True
        self._runs: dict[str, EmittedRun] = {}
        self._lock = threading.Lock()

    def start(self, holds: Callable[[str], bool]) -> None:
        """Start; `holds` answers whether this worker surely holds a process that has not ended."""
        self._holds = holds
        self._courier.start(tick=self.tick, take_up=self.take_up)

    def close(self, deadline: Deadline) -> None:
        """Stop; deliver what can be delivered until `deadline`."""
        self._courier.close(deadline)

    def started(self, record: ProcessRecord) -> None:
        """Emit that a run starts: its folder and config stand."""
        kind = TOLD_KINDS.get(record.type)
        if kind is None:
            return
        run = self._run(record)
        with run.lock:
            with _isolated(run):
                data = kind.started_data(record, self._workspace)
                self._draft(run, kind.started, str(record.generation), data)
            self._flush(run)

    def changed(self, record: ProcessRecord) -> None:
        """Emit an end at once; anything else is emitted at the next tick."""
        if record.type not in TOLD_KINDS:
            return
        if not record.status.final:
            if record.process_id in self._runs or record.status in _LAUNCHED:
                self._run(record).latest = record
            return
        run = self._run(record)
        with run.lock:
            run.latest = record
            with _isolated(run):
                self._draft_end(run)
            self._flush(run)
        self._forget(run)

    def tick(self) -> None:
        """Emit the new artifacts and the progress of this worker's trainings."""
        for process_id, run in list(self._runs.items()):
            with run.lock:
                with _isolated(run):
                    if run.latest.status.final:
                        self._draft_end(run)
                    elif self._holds(process_id):
                        self._draft_artifacts(run, still=False)
                        self._draft_progress(run)
                self._flush(run)
            self._forget(run)

    def take_up(self, process_id: str) -> None:
        """Deliver a process that has ended, and emit its end if its worker died before it could.

        Raises:
            OSError: the disk or the store does not answer.
        """
        record = self._store.records.load(process_id)
        if record is not None and not record.status.final:
            return
        logger.info("delivering what another worker left", extra={"process_id": process_id})
        outbox = Outbox(self._workspace, process_id)
        if record is not None and (kind := TOLD_KINDS.get(record.type)) is not None:
            written = outbox.last_part()
            end_id = event_texts.event_id(record, kind.ends[record.status], str(record.generation))
            if not written or written[-1].event_id != end_id:
                self.changed(record)
                return
        self._courier.begin(outbox, outbox.newest(), self._callback(process_id))

    def _run(self, record: ProcessRecord) -> EmittedRun:
        with self._lock:
            run = self._runs.get(record.process_id)
            if run is None or run.latest.generation != record.generation:
                run = EmittedRun(latest=record, artifacts=ArtifactTracker(self._workspace))
                self._runs[record.process_id] = run
            return run

    def _forget(self, run: EmittedRun) -> None:
        """Drop a run that is over, or that another worker holds now."""
        process_id = run.latest.process_id
        another = not run.latest.status.final and not self._holds(process_id)
        if run.drafts or not (run.ended or another):
            return
        with self._lock:
            if self._runs.get(process_id) is run:
                del self._runs[process_id]

    def _draft_progress(self, run: EmittedRun) -> None:
        kind = TOLD_KINDS[run.latest.type]
        data, before, now_s = kind.progress_data(run.latest), run.last_progress, self._clock.monotonic()
        new_stage = before is None or _stage(data) != _stage(before)
        if data != before and (new_stage or now_s >= run.progress_due_s):
            run.last_progress, run.progress_due_s = data, now_s + self._interval_s
            self._draft(run, kind.progress, "", data)

    def _draft_end(self, run: EmittedRun) -> None:
        if run.ended or not self._draft_artifacts(run, still=True):
            return
        record = run.latest
        kind = TOLD_KINDS[record.type]
        try:
            data = kind.end_data(record, self._workspace)
        except OSError as error:
            _log_once(run, error)
            return
        self._draft(run, kind.ends[record.status], str(record.generation), data)
        run.ended = True

    def _draft_artifacts(self, run: EmittedRun, *, still: bool) -> bool:
        """Draft an event for each new artifact, and return whether every folder could be read."""
        try:
            if run.part is None:
                self._open(run)
            if not TOLD_KINDS[run.latest.type].has_artifacts:
                return True
            for event_type, data in run.artifacts.new_artifacts(run.latest, still=still):
                self._draft(run, event_type, event_texts.artifact_key(run.latest, data), data)
        except OSError as error:
            _log_once(run, error)
            return False
        return True

    def _draft(self, run: EmittedRun, event_type: EventType, which: str, data: EventData) -> None:
        run.drafts.append(
            EventDraft(event_type=event_type, which=which, data=data, timestamp=self._clock.now())
        )

    def _flush(self, run: EmittedRun) -> None:
        """Write the drafts; what cannot be written now is written at the next tick."""
        if not run.drafts:
            return
        try:
            part = run.part or self._open(run)
            while run.drafts:
                self._write(run, part, run.drafts[0])
                del run.drafts[0]
            run.logged = False
        except OSError as error:
            _log_once(run, error)
        if run.part is not None:
            self._courier.notify(run.latest.process_id)

    def _write(self, run: EmittedRun, part: OutboxPart, draft: EventDraft) -> None:
        try:
            part.append(self._event(run, draft), durable=not draft.event_type.of_progress)
        except OSError:
            raise
        except Exception:
            # This event can never be written; those that follow it can.
            logger.exception(
                "event cannot be written",
                extra={"process_id": run.latest.process_id, "event_type": draft.event_type},
            )
        else:
            run.sequence += 1

    def _event(self, run: EmittedRun, draft: EventDraft) -> Event:
        record, sequence = run.latest, run.sequence + 1
        which = draft.which or f"{record.generation}/{sequence}"
        return Event(
            event_type=draft.event_type,
            event_id=event_texts.event_id(record, draft.event_type, which),
            job_id=record.caller_job_id,
            process_id=record.process_id,
            sequence=sequence,
            timestamp=draft.timestamp,
            data=draft.data,
        )

    def _open(self, run: EmittedRun) -> OutboxPart:
        """Start a part of the outbox for this run, after the events of all earlier runs and workers."""
        record = run.latest
        outbox = Outbox(self._workspace, record.process_id)
        # Everything that can fail comes before the file is made: this is tried again and again.
        callback = self._callback(record.process_id)
        part = outbox.begin(record.generation)
        run.sequence = 0
        for event in outbox.history():
            run.sequence = event.sequence
            match event.data:
                case SampleData(path=path) | CheckpointData(path=path, final=False):
                    run.artifacts.mark_reported(path)
                case CheckpointData(path=path, total_steps=steps):
                    run.artifacts.mark_reported(path, total_steps=steps)
        if run.sequence == 0:
            run.sequence = (record.generation - 1) * SEQUENCES_OF_A_RUN
        self._courier.begin(outbox, part.path.name, callback)
        run.part = part
        return part

    def _callback(self, process_id: str) -> SealedCallback | None:
        """Return where the caller wants the events, as the order says."""
        kind = told_kind_of(process_id)
        if kind is None:
            return None
        try:
            return read_order(kind.order_type, self._store.orders, process_id).callback
        except NotFound:
            return None


@contextmanager
def _isolated(run: EmittedRun) -> Iterator[None]:
    """Log what goes wrong: it must end neither the training nor the events of others."""
    try:
        yield
    except Exception:
        if not run.logged:
            logger.exception("events of a training failed", extra={"process_id": run.latest.process_id})
        run.logged = True


def _stage(data: EventData) -> tuple[EventStatus, bool]:
    """Return what an event of progress is sent for at once if it changes."""
    return data.status, isinstance(data, ProgressData) and data.fetch is not None


def _log_once(run: EmittedRun, error: OSError) -> None:
    if not run.logged:
        logger.warning(
            "events cannot be kept", extra={"process_id": run.latest.process_id, "reason": str(error)}
        )
    run.logged = True
