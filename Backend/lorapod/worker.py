"""The composition root: build every part of a worker once. No other module knows them all."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from lorapod.actions.action import RunPodJob
from lorapod.actions.router import Router
from lorapod.actions.services import Services
from lorapod.cached_models import CachedModels
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.clock import Clock, SystemClock
from lorapod.datasets.edits.store import EditStore
from lorapod.datasets.fetching import DatasetFetcher
from lorapod.datasets.gallery.page import Gallery
from lorapod.datasets.library import DatasetLibrary
from lorapod.datasets.looks.video_look import VideoProbe
from lorapod.deadline import Deadline
from lorapod.deletion.opening import DeletionParts
from lorapod.engines.registry import EngineRegistry
from lorapod.errors import WorkerError
from lorapod.events.emitter import EventEmitter
from lorapod.events.parts import EventParts
from lorapod.files.archive_cache import ArchiveCache
from lorapod.files.digests import DigestBook
from lorapod.front_door import FrontDoorRules
from lorapod.lease import LeaseTimes
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.layout import begin_look
from lorapod.models.links import begin_linking
from lorapod.processes.console import Console
from lorapod.processes.context import ProcessContext
from lorapod.processes.folder_users import FolderUsers
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.pulse import Pulse, new_holder
from lorapod.processes.recovery import resume_interrupted
from lorapod.processes.slots import SlotPool
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.scratch import Scratch
from lorapod.settings import Settings
from lorapod.storage.shares import FileShares
from lorapod.telemetry.volume import VolumeMeter
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker_base import Programs, WorkerBase
from lorapod.worker_kinds import WorkerKinds

logger = logging.getLogger(__name__)

#: Seconds that delivery gets at the end, however long the processes took to stop: their ends are events too.
LAST_EVENTS_S = 1.0

#: The field of an answer with which RunPod's SDK asks for a fresh worker (`stopPod`).
REFRESH = "refresh_worker"


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker: answers events until it is closed."""

    services: Services
    router: Router
    context: ProcessContext
    emitter: EventEmitter
    scratch: Scratch

    @classmethod
    def create(
        cls,
        settings: Settings,
        *,
        clock: Clock | None = None,
        trainers: TrainerRegistry | None = None,
        engines: EngineRegistry | None = None,
        captioners: CaptionerRegistry | None = None,
    ) -> Self:
        """Build a worker from its settings: make the workspace's folders, start nothing.

        `clock`, `trainers`, `engines` and `captioners` replace the machine's own, for tests.

        Raises:
            OSError: the workspace or the scratch folder cannot be written, or the state store refuses this worker.
            ValueError: `STATE_URL` is not a known form, or the settings for events cannot be used.
        """
        base = WorkerBase.open(settings, clock or SystemClock())
        programs = Programs.open(base, trainers=trainers, engines=engines, captioners=captioners)
        events = EventParts.open(settings, workspace=base.workspace, store=base.store, clock=base.clock)
        context = _process_context(base, events.emitter)
        services = _services(base, programs, events, context)
        return cls(
            services=services,
            router=Router(services),
            context=context,
            emitter=events.emitter,
            scratch=base.scratch,
        )

    def start(self) -> None:
        """Start the background threads; resume interrupted trainings if `AUTO_RESUME` is set.

        A front door's worker (`FRONT_DOOR_OF`) prepares for no training and resumes none.
        """
        # Before the first job, which may need the model.
        CachedModels.of(self.services.settings).link()
        self.emitter.start(self.services.processes.holds)
        self.services.processes.start()
        self.services.mirrors.start()
        self.services.retention.start()
        threading.Thread(target=self.scratch.sweep, name="sweep", daemon=True).start()
        threading.Thread(target=self._complete_what_was_left, name="leftovers", daemon=True).start()
        begin_linking(self.services.settings, self.services.workspace)
        begin_look(self.services.settings, self.services.workspace)
        if self.services.settings.front_door_of is not None:
            return
        with suppress(WorkerError):
            # Import the default trainer, so that the first training starts warm.
            self.context.begin_soon(self.services.trainers.choose(self.services.settings.trainer).warm)
        if self.services.settings.auto_resume:
            threading.Thread(
                target=resume_interrupted,
                args=(self.services.processes, self.services.clock),
                name="auto-resume",
                daemon=True,
            ).start()

    def _complete_what_was_left(self) -> None:
        try:
            self.services.trash.sweep()
            self.services.edits.recover()
        except OSError as error:
            logger.warning("what killed workers left cannot be completed", extra={"reason": error.strerror})

    async def answer(self, event: object, job: RunPodJob) -> dict[str, Any]:
        """Answer one event; with `REFRESH_WORKER`, the answer asks RunPod to replace this worker."""
        answer = await self.router.answer(event, job)
        if self._wants_refresh():
            # The SDK takes this field out of the answer.
            answer[REFRESH] = True
        return answer

    def _wants_refresh(self) -> bool:
        """Return whether this worker is to be replaced now: not while a process runs, which would end with it."""
        settings = self.services.settings
        if not (settings.refresh_worker and settings.serverless):
            return False
        return all(ProcessStatus(status).final for status in self.services.processes.counts())

    def close(self) -> None:
        """Stop every process in good order, and send what can be; blocks for `SHUTDOWN_GRACE_S` at most."""
        deadline = Deadline.after(self.services.settings.shutdown_grace_s)
        self.services.retention.close()
        self.services.processes.close(deadline.reserving(LAST_EVENTS_S))
        self.services.engines.close()
        self.services.captioners.close()
        self.emitter.close(deadline)
        self.services.mirrors.close(deadline)
        if self.context.console is not None:
            self.context.console.close()
        self.scratch.close()


def _process_context(base: WorkerBase, emitter: EventEmitter) -> ProcessContext:
    settings = base.settings
    return ProcessContext(
        workspace=base.workspace,
        store=base.store,
        pulse=Pulse(
            base.store.heartbeats,
            new_holder(settings.worker_id),
            LeaseTimes(lease_s=settings.lease_s),
            base.clock,
        ),
        slots=SlotPool([gpu.index for gpu in base.telemetry.gpus()]),
        clock=base.clock,
        environment=settings.trainer_environment(),
        max_log_bytes=settings.max_log_bytes,
        redactor=base.redactor,
        starter=base.starter,
        check_s3=base.stores.check,
        check_room=base.room.check,
        gpu_name=base.telemetry.gpu_name,
        settle_deletions=base.trash.settle,
        on_start=emitter.started,
        on_change=emitter.changed,
        console=Console(sys.stdout.fileno()) if settings.stream_trainer_log else None,
    )


def _services(base: WorkerBase, programs: Programs, events: EventParts, context: ProcessContext) -> Services:
    settings, workspace, clock = base.settings, base.workspace, base.clock
    mirrors = base.open_mirrors()

    def live() -> Iterator[ProcessRecord]:
        return processes.live()

    def find(process_id: str) -> ProcessRecord:
        return processes.get(process_id)

    users = FolderUsers(workspace, base.store.orders, live, find)
    fetcher = DatasetFetcher(
        workspace=workspace, settings=settings, open_store=base.stores.open, find_reader=users.reader_of
    )
    digests = DigestBook(workspace=workspace)
    models = WorkspaceModels(workspace=workspace, digests=digests)
    edits = EditStore(workspace, clock, users.reader_of, base.trash.settle)
    kinds = WorkerKinds(
        base=base,
        programs=programs,
        context=context,
        users=users,
        edits=edits,
        fetcher=fetcher,
        mirrors=mirrors,
        digests=digests,
        find=find,
        models=models,
        manager=lambda: processes,
    )
    processes = RealProcessManager(
        context,
        kinds.all(),
        worker_id=settings.worker_id,
        check_type=FrontDoorRules(gpu_endpoint=settings.front_door_of).check_process,
    )
    deletion = DeletionParts.open(
        workspace,
        settings,
        clock,
        trash=base.trash,
        processes=processes,
        users=users,
        models=models,
        mirrors=mirrors,
        courier=events.courier,
    )
    return Services(
        settings=settings,
        clock=clock,
        started_at=clock.now(),
        workspace=workspace,
        scratch=base.scratch.path,
        redactor=base.redactor,
        processes=processes,
        trainers=programs.trainers,
        engines=programs.engines,
        captioners=programs.captioners,
        datasets=DatasetLibrary(workspace=workspace, settings=settings, find_reader=users.reader_of),
        remote_datasets=fetcher,
        digests=digests,
        models=models,
        deletions=deletion.planner,
        trash=base.trash,
        retention=deletion.retention,
        volume=VolumeMeter(workspace, clock),
        edits=edits,
        gallery=Gallery(workspace, VideoProbe.find(settings.ai_toolkit_python)),
        archives=ArchiveCache(
            workspace=workspace,
            max_bytes=settings.max_archive_bytes,
            keep_free_bytes=settings.disk_min_free_bytes,
        ),
        shares=FileShares(settings=settings, clock=clock, open_store=base.stores.open),
        telemetry=base.telemetry,
        room=base.room,
        mirrors=mirrors,
        courier=events.courier,
        updates=events.updates,
    )
