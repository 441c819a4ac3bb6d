"""The parts that most other parts of a worker are built on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from lorapod.captioners.opening import open_captioners
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.clock import Clock
from lorapod.deletion.trash import Trash
from lorapod.engines.opening import open_engines
from lorapod.engines.registry import EngineRegistry
from lorapod.processes.starting import ColdStarter, Starter
from lorapod.processes.store.open import open_store
from lorapod.processes.store.port import StateStore
from lorapod.processes.template.pool import TemplatePool
from lorapod.safety.redaction import Redactor
from lorapod.scratch import Scratch
from lorapod.settings import Settings
from lorapod.storage.mirror.mirrors import MIRROR_RETRIES_S, Mirrors
from lorapod.storage.stores import ObjectStores
from lorapod.telemetry import Headroom, Telemetry
from lorapod.trainers.opening import open_trainers
from lorapod.trainers.registry import TrainerRegistry
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class WorkerBase:
    """The parts that most other parts of a worker need."""

    settings: Settings
    clock: Clock
    redactor: Redactor
    workspace: Workspace
    scratch: Scratch
    telemetry: Telemetry
    room: Headroom
    store: StateStore
    stores: ObjectStores
    starter: Starter
    trash: Trash

    @classmethod
    def open(cls, settings: Settings, clock: Clock) -> Self:
        """Make the folders and open the state store; raise as `Worker.create` does."""
        redactor = Redactor(settings.secret_values())
        workspace = Workspace.create(settings.workspace_root)
        store = open_store(settings, workspace, clock)
        telemetry = Telemetry(cuda_visible_devices=settings.cuda_visible_devices)
        return cls(
            settings=settings,
            clock=clock,
            redactor=redactor,
            workspace=workspace,
            scratch=Scratch.open(settings.scratch_root),
            telemetry=telemetry,
            room=Headroom(
                telemetry=telemetry,
                root=workspace.root,
                min_free_memory_bytes=settings.min_free_memory_bytes,
                min_free_disk_bytes=settings.disk_min_free_bytes,
            ),
            store=store,
            stores=ObjectStores(settings=settings, workspace=workspace, redactor=redactor),
            starter=TemplatePool() if settings.warm_trainer else ColdStarter(),
            trash=Trash(workspace, store.records),
        )

    def open_mirrors(self) -> Mirrors:
        """Return what uploads artifacts; a mirror retries by itself, so its stores retry only for a short time."""
        settings, workspace = self.settings, self.workspace
        patience_s = min(settings.store_patience_s, MIRROR_RETRIES_S)
        hasty = settings.model_copy(update={"store_patience_s": patience_s})

        def has_ended(process_id: str) -> bool:
            record = self.store.records.load(process_id)
            return record is None or record.status.final

        return Mirrors(
            workspace=workspace,
            clock=self.clock,
            scratch=settings.scratch_root,
            open_target=ObjectStores(settings=hasty, workspace=workspace, redactor=self.redactor).open,
            default=settings.upload_targets,
            has_ended=has_ended,
        )


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The programs that do the work of processes."""

    trainers: TrainerRegistry
    engines: EngineRegistry
    captioners: CaptionerRegistry

    @classmethod
    def open(
        cls,
        base: WorkerBase,
        *,
        trainers: TrainerRegistry | None,
        engines: EngineRegistry | None,
        captioners: CaptionerRegistry | None,
    ) -> Self:
        """Use those that are given, and the machine's own for the others; start none."""
        settings, workspace = base.settings, base.workspace
        return cls(
            trainers=trainers or open_trainers(settings, workspace),
            engines=engines or open_engines(settings, workspace, clock=base.clock, starter=base.starter),
            captioners=captioners
            or open_captioners(settings, workspace, clock=base.clock, starter=base.starter),
        )
