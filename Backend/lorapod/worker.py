"""The composition root: builds every part of a worker once, and is the only place that knows them all."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from lorapod.actions.action import Job
from lorapod.actions.router import Router
from lorapod.actions.services import Services
from lorapod.clock import Clock, SystemClock
from lorapod.datasets.fetching import DatasetFetcher
from lorapod.datasets.library import DatasetLibrary
from lorapod.datasets.supply import FetchingSupply
from lorapod.engines.ai_toolkit.adapter import AIToolkitEngine
from lorapod.engines.comfyui.adapter import ComfyUIEngine
from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.registry import EngineRegistry
from lorapod.engines.swarmui.adapter import SwarmUIEngine
from lorapod.engines.swarmui.addresses import ModelAddresses
from lorapod.engines.swarmui.downloads import SwarmDownloads
from lorapod.engines.swarmui.models import SwarmModels
from lorapod.engines.swarmui.options import SwarmOptions
from lorapod.engines.swarmui.session import SwarmSession
from lorapod.engines.task import GenerationKind
from lorapod.errors import WorkerError
from lorapod.events.courier import Courier
from lorapod.events.emitter import EventEmitter
from lorapod.events.opening import open_sinks
from lorapod.events.runpod import RunPodSink
from lorapod.files.archive_shelf import ArchiveShelf
from lorapod.files.digests import DigestBook
from lorapod.lease import LeaseTimes
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.download import ModelDownloads
from lorapod.models.links import begin_linking, link_and_log
from lorapod.models.task import DownloadKind
from lorapod.processes.console import Console
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.pulse import Pulse, new_holder
from lorapod.processes.recovery import resume_interrupted
from lorapod.processes.slots import SlotPool
from lorapod.processes.starting import ColdStarter, Starter
from lorapod.processes.store.open import open_store
from lorapod.processes.store.port import StateStore
from lorapod.processes.surroundings import Surroundings
from lorapod.processes.template.pool import TemplatePool
from lorapod.safety.redaction import Redactor
from lorapod.safety.vault import Vault
from lorapod.scratch import Scratch
from lorapod.settings import Settings
from lorapod.storage.mirror.mirrors import MIRROR_PATIENCE_S, Mirrors
from lorapod.storage.shares import FileShares
from lorapod.storage.stores import ObjectStores
from lorapod.telemetry import Room, Telemetry
from lorapod.telemetry.fitness import first_report
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.builtin.adapter import BuiltinTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.workspace import Workspace

#: Seconds that delivery gets at the end, however long the processes took to stop: their ends are events too.
LAST_EVENTS_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker: answers events until it is closed."""

    services: Services
    router: Router
    surroundings: Surroundings
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
    ) -> Self:
        """Build a worker from its settings; makes the workspace's folders, starts nothing.

        `clock`, `trainers` and `engines` take the place of the machine's own.

        Raises:
            OSError: the workspace or the scratch folder cannot be written, or the state store refuses this worker.
            ValueError: `STATE_URL` is not of a form that is known, or events cannot go where the settings say.
        """
        ground = _Ground.open(settings, clock or SystemClock())
        workspace, starter = ground.workspace, TemplatePool() if settings.warm_trainer else ColdStarter()
        swarm = _Swarm(options=SwarmOptions.from_settings(settings, workspace), session=SwarmSession())
        trainers = trainers or _trainers(ground)
        engines = engines or _engines(ground, starter, swarm)
        stores = ObjectStores(settings=settings, workspace=workspace, redactor=ground.redactor)
        fetcher = DatasetFetcher(workspace=workspace, settings=settings, open_store=stores.open)
        mirrors = _mirrors(ground)
        updates = RunPodSink(ground.clock, interval_s=settings.progress_interval_s)
        courier = Courier(
            workspace=workspace,
            clock=ground.clock,
            sinks=open_sinks(settings, updates),
            vault=Vault(settings.callback_secret),
        )
        emitter = EventEmitter(
            workspace=workspace,
            store=ground.store,
            courier=courier,
            clock=ground.clock,
            interval_s=settings.progress_interval_s,
        )
        surroundings = Surroundings(
            workspace=workspace,
            store=ground.store,
            pulse=Pulse(
                ground.store.heartbeats,
                new_holder(settings.worker_id),
                LeaseTimes(lease_s=settings.lease_s),
                ground.clock,
            ),
            slots=SlotPool([gpu.index for gpu in first_report(ground.telemetry).gpus]),
            clock=ground.clock,
            environment=settings.trainer_environment(),
            max_log_bytes=settings.max_log_bytes,
            redactor=ground.redactor,
            starter=starter,
            datasets=FetchingSupply(fetcher, workspace),
            mirrors=mirrors,
            check_s3=stores.check,
            check_room=ground.room.check,
            on_start=emitter.started,
            on_change=emitter.changed,
            console=Console(sys.stdout.fileno()) if settings.stream_trainer_log else None,
        )
        digests = DigestBook(workspace=workspace)
        services = Services(
            settings=settings,
            clock=ground.clock,
            started_at=ground.clock.now(),
            workspace=workspace,
            scratch=ground.scratch.path,
            redactor=ground.redactor,
            processes=RealProcessManager(
                surroundings,
                trainers,
                worker_id=settings.worker_id,
                scratch=settings.scratch_root,
                kinds=[_generations(ground), _downloads(ground, digests, swarm)],
            ),
            trainers=trainers,
            engines=engines,
            datasets=DatasetLibrary(workspace=workspace, settings=settings),
            remote_datasets=fetcher,
            digests=digests,
            models=WorkspaceModels(workspace=workspace, digests=digests),
            engine_shelves={SwarmUIEngine.name: swarm.shelf()},
            archives=ArchiveShelf(
                workspace=workspace,
                max_bytes=settings.max_archive_bytes,
                keep_free_bytes=settings.disk_min_free_bytes,
            ),
            shares=FileShares(settings=settings, clock=ground.clock, open_store=stores.open),
            telemetry=ground.telemetry,
            room=ground.room,
            mirrors=mirrors,
            courier=courier,
            updates=updates,
        )
        return cls(
            services=services,
            router=Router(services),
            surroundings=surroundings,
            emitter=emitter,
            scratch=ground.scratch,
        )

    def start(self) -> None:
        """Begin to look after the workspace's processes; take interrupted ones up where `AUTO_RESUME` says so."""
        self.emitter.start(self.services.processes.holds)
        self.services.processes.start()
        self.services.mirrors.start()
        threading.Thread(target=self.scratch.sweep, name="sweep", daemon=True).start()
        begin_linking(self.services.settings, self.services.workspace)
        self._warm_up()
        if self.services.settings.auto_resume:
            threading.Thread(
                target=resume_interrupted, args=(self.services.processes,), name="auto-resume", daemon=True
            ).start()

    def _warm_up(self) -> None:
        """Have the trainer that requests get unless they name another imported, a little later."""
        services = self.services
        try:
            trainer = services.trainers.choose(services.settings.trainer)
        except WorkerError:
            return
        self.surroundings.begin_soon(trainer.warm)

    async def answer(self, event: object, job: Job) -> dict[str, Any]:
        """The answer to one event."""
        return await self.router.answer(event, job)

    def close(self) -> None:
        """Stop every process in good order, and send what can be; blocks for `SHUTDOWN_GRACE_S` at most."""
        until = time.monotonic() + self.services.settings.shutdown_grace_s
        self.services.processes.close(self.services.settings.shutdown_grace_s)
        self.emitter.close(max(LAST_EVENTS_S, until - time.monotonic()))
        self.services.engines.close()
        self.services.mirrors.close(max(0.0, until - time.monotonic()))
        if self.surroundings.console is not None:
            self.surroundings.console.close()
        self.scratch.close()


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """What the parts of a worker stand on."""

    settings: Settings
    clock: Clock
    redactor: Redactor
    workspace: Workspace
    scratch: Scratch
    telemetry: Telemetry
    room: Room
    store: StateStore

    @classmethod
    def open(cls, settings: Settings, clock: Clock) -> Self:
        """Make the folders, and open the state store; raises as `Worker.create`."""
        workspace = Workspace.create(settings.workspace_root)
        telemetry = Telemetry(cuda_visible_devices=settings.cuda_visible_devices)
        return cls(
            settings=settings,
            clock=clock,
            redactor=Redactor(settings.secret_values()),
            workspace=workspace,
            scratch=Scratch.open(settings.scratch_root),
            telemetry=telemetry,
            room=Room(
                telemetry=telemetry,
                root=workspace.root,
                min_free_memory_bytes=settings.min_free_memory_bytes,
                min_free_disk_bytes=settings.disk_min_free_bytes,
            ),
            store=open_store(settings, workspace, clock),
        )


@dataclass(frozen=True, kw_only=True)
class _Swarm:
    """SwarmUI, as all parts that speak to it share it."""

    options: SwarmOptions
    session: SwarmSession

    def shelf(self) -> SwarmModels:
        """The models that it keeps itself."""
        return SwarmModels(self.options.url, self.session, named=self.options.address is not None)


def _trainers(ground: _Ground) -> TrainerRegistry:
    """In the order of preference."""
    return TrainerRegistry(
        [
            AIToolkitTrainer(settings=ground.settings, workspace=ground.workspace),
            BuiltinTrainer(settings=ground.settings),
        ]
    )


def _engines(ground: _Ground, starter: Starter, swarm: _Swarm) -> EngineRegistry:
    """In the order of preference."""
    settings, workspace = ground.settings, ground.workspace
    return EngineRegistry(
        [
            DiffusersEngine(settings=settings, workspace=workspace, clock=ground.clock, starter=starter),
            ComfyUIEngine(settings=settings, workspace=workspace),
            SwarmUIEngine(swarm.options, clock=ground.clock, session=swarm.session),
            AIToolkitEngine(settings=settings, workspace=workspace),
        ],
        preferred=settings.engine,
    )


def _generations(ground: _Ground) -> GenerationKind:
    return GenerationKind(
        workspace=ground.workspace,
        scratch=ground.scratch.path,
        free_gpu_memory=ground.telemetry.free_gpu_memory,
    )


def _downloads(ground: _Ground, digests: DigestBook, swarm: _Swarm) -> DownloadKind:
    settings, workspace = ground.settings, ground.workspace
    addresses = ModelAddresses.from_settings(settings)
    return DownloadKind(
        ModelDownloads(workspace=workspace, settings=settings, digests=digests),
        {SwarmUIEngine.name: SwarmDownloads(swarm.options.url, swarm.session, addresses)},
        shelved=partial(link_and_log, settings, workspace),
    )


def _mirrors(ground: _Ground) -> Mirrors:
    """What sends artifacts. A mirror tries again by itself, and tells meanwhile what failed: its stores need no patience."""
    settings, workspace = ground.settings, ground.workspace
    patience_s = min(settings.store_patience_s, MIRROR_PATIENCE_S)
    hasty = settings.model_copy(update={"store_patience_s": patience_s})

    def has_ended(process_id: str) -> bool:
        record = ground.store.records.load(process_id)
        return record is None or record.status.final

    return Mirrors(
        workspace=workspace,
        clock=ground.clock,
        scratch=settings.scratch_root,
        open_target=ObjectStores(settings=hasty, workspace=workspace, redactor=ground.redactor).open,
        default=settings.upload_targets,
        has_ended=has_ended,
    )
