"""Turn the changes of process records into events in their outboxes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from lorapod.clock import Clock
from lorapod.errors import NotFound
from lorapod.events import event_texts
from lorapod.events.artifact_tracker import ArtifactTracker
from lorapod.events.courier import TICK_S, Courier
from lorapod.events.models import CheckpointData, Event, EventData, EventType, ProgressData, SampleData
from lorapod.events.outbox import Outbox
from lorapod.events.outbox_part import OutboxPart
from lorapod.processes.order import SealedCallback, TrainingOrder, read_order
from lorapod.processes.record import ProcessRecord
from lorapod.processes.status import ProcessStatus
from lorapod.processes.store.port import StateStore
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: The only type of process that there are events of.
TRAINING = "train"

#: In these the start of the run was told, even where this worker had to let go of it for a moment.
_LAUNCHED = frozenset({ProcessStatus.RUNNING, ProcessStatus.STOPPING})

#: Where nothing is left of earlier runs, because workers share no volume: a run's events begin behind all of theirs.
SEQUENCES_OF_A_RUN = 1_000_000


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """An event that is not in the outbox yet."""

    event_type: EventType
    #: See `event_texts.event_id`.
    which: str
    data: EventData
    timestamp: datetime


@dataclass(kw_only=True)
class _Run:
    """What this worker has told of one run."""

    latest: ProcessRecord
    artifacts: ArtifactTracker
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: None: nothing could be written yet.
    part: OutboxPart | None = None
    sequence: int = 0
    drafts: list[_Draft] = field(default_factory=list)
    #: The last progress that was told.
    told: ProgressData | None = None
    #: When the next may be told, on the monotonic clock.
    due_s: float = 0.0
    ended: bool = False
    #: The log has it already that nothing can be written.
    complained: bool = False


class EventEmitter:
    """Writes the outboxes of the trainings that this worker holds; their only writer."""

    def __init__(
        self, *, workspace: Workspace, store: StateStore, courier: Courier, clock: Clock, interval_s: float
    ) -> None:
        """Tell progress at least every `interval_s` seconds, if anything moves."""
        self._workspace = workspace
        self._store = store
        self._courier = courier
        self._clock = clock
        # Looks are `TICK_S` apart: the last one in time must find it due.
        self._interval_s = max(0.0, interval_s - TICK_S)
        self._holds: Callable[[str], bool] = lambda _process_id: True
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def start(self, holds: Callable[[str], bool]) -> None:
        """Begin; `holds` says whether a process that is not over is surely still this worker's own."""
        self._holds = holds
        self._courier.start(tick=self.tick, take_up=self.take_up)

    def close(self, grace_s: float) -> None:
        """Stop; what can be delivered within `grace_s` seconds is."""
        self._courier.close(grace_s)

    def started(self, record: ProcessRecord) -> None:
        """Tell that a run begins."""
        if record.type == TRAINING:
            run = self._run(record)
            with run.lock:
                self._draft(
                    run,
                    EventType.STARTED,
                    str(record.generation),
                    event_texts.started(record, self._workspace),
                )
                self._flush(run)

    def changed(self, record: ProcessRecord) -> None:
        """Tell an end at once; leave all else for the next look."""
        if record.type != TRAINING:
            return
        if not record.status.final:
            if record.process_id in self._runs or record.status in _LAUNCHED:
                self._run(record).latest = record
            return
        run = self._run(record)
        with run.lock:
            run.latest = record
            self._end(run)
            self._flush(run)
        self._forget(run)

    def tick(self) -> None:
        """Look at what the processes of this worker have written, and tell how far they are."""
        for process_id, run in list(self._runs.items()):
            with run.lock:
                if run.latest.status.final:
                    self._end(run)
                elif self._holds(process_id):
                    self._look(run)
                self._flush(run)
            self._forget(run)

    def take_up(self, process_id: str) -> None:
        """Go on with a process that has ended, and tell its end if its worker did not live to do it."""
        record = self._store.records.load(process_id)
        if record is not None and not record.status.final:
            return
        logger.info("delivering what another worker left", extra={"process_id": process_id})
        outbox = Outbox(self._workspace, process_id)
        if record is not None:
            told = outbox.last_part()
            end_id = event_texts.event_id(record, event_texts.ENDS[record.status], str(record.generation))
            if not told or told[-1].event_id != end_id:
                self.changed(record)
                return
        self._courier.begin(outbox, outbox.newest(), self._callback(process_id))

    def _run(self, record: ProcessRecord) -> _Run:
        with self._lock:
            run = self._runs.get(record.process_id)
            if run is None or run.latest.generation != record.generation:
                run = _Run(latest=record, artifacts=ArtifactTracker(self._workspace))
                self._runs[record.process_id] = run
            return run

    def _forget(self, run: _Run) -> None:
        """Drop what is over, or another worker's by now."""
        process_id = run.latest.process_id
        another = not run.latest.status.final and not self._holds(process_id)
        if run.drafts or not (run.ended or another):
            return
        with self._lock:
            if self._runs.get(process_id) is run:
                del self._runs[process_id]

    def _look(self, run: _Run) -> None:
        self._sight(run, still=False)
        data, now_s = event_texts.progress(run.latest), self._clock.monotonic()
        begins = run.told is None or (data.status, bool(data.fetch)) != (
            run.told.status,
            bool(run.told.fetch),
        )
        if data != run.told and (begins or now_s >= run.due_s):
            run.told, run.due_s = data, now_s + self._interval_s
            self._draft(run, EventType.PROGRESS, "", data)

    def _end(self, run: _Run) -> None:
        if run.ended or not self._sight(run, still=True):
            return
        record = run.latest
        try:
            data = event_texts.end(record, self._workspace)
        except OSError as error:
            self._complain(run, error)
            return
        self._draft(run, event_texts.ENDS[record.status], str(record.generation), data)
        run.ended = True

    def _sight(self, run: _Run, *, still: bool) -> bool:
        """Whether nothing stood in the way of telling of every artifact."""
        try:
            if run.part is None:
                self._open(run)
            for event_type, data in run.artifacts.new_artifacts(run.latest, still=still):
                self._draft(run, event_type, data.path, data)
        except OSError as error:
            self._complain(run, error)
            return False
        return True

    def _draft(self, run: _Run, event_type: EventType, which: str, data: EventData) -> None:
        run.drafts.append(_Draft(event_type=event_type, which=which, data=data, timestamp=self._clock.now()))

    def _flush(self, run: _Run) -> None:
        """Write what was drafted; what cannot be written now is at the next look."""
        if not run.drafts:
            return
        try:
            part = run.part or self._open(run)
            while run.drafts:
                draft = run.drafts[0]
                durable = draft.event_type is not EventType.PROGRESS
                part.append(self._event(run, draft), durable=durable)
                run.sequence += 1
                del run.drafts[0]
            run.complained = False
        except OSError as error:
            self._complain(run, error)
        if run.part is not None:
            self._courier.notify(run.latest.process_id)

    def _event(self, run: _Run, draft: _Draft) -> Event:
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

    def _open(self, run: _Run) -> OutboxPart:
        """Begin a part of this worker's own, behind what was told before, by whomever."""
        record = run.latest
        outbox = Outbox(self._workspace, record.process_id)
        # Whatever can fail comes before the file is made: this is tried again and again.
        callback = self._callback(record.process_id)
        part = outbox.begin(record.generation)
        run.sequence = 0
        for event in outbox.history():
            run.sequence = event.sequence
            if isinstance(event.data, CheckpointData | SampleData):
                run.artifacts.mark_reported(event.data.path)
        if run.sequence == 0:
            run.sequence = (record.generation - 1) * SEQUENCES_OF_A_RUN
        self._courier.begin(outbox, part.path.name, callback)
        run.part = part
        return part

    def _callback(self, process_id: str) -> SealedCallback | None:
        """Where the caller wants the events, as the order says."""
        try:
            return read_order(TrainingOrder, self._store.orders, process_id).callback
        except NotFound:
            return None

    @staticmethod
    def _complain(run: _Run, error: OSError) -> None:
        if not run.complained:
            logger.warning(
                "events cannot be kept", extra={"process_id": run.latest.process_id, "reason": str(error)}
            )
        run.complained = True
