"""What actions may use; built once, by the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lorapod.clock import Clock
    from lorapod.datasets.fetching import DatasetFetcher
    from lorapod.datasets.library import DatasetLibrary
    from lorapod.engines.registry import EngineRegistry
    from lorapod.events.courier import Courier
    from lorapod.events.port import Attaching
    from lorapod.files.archive_cache import ArchiveCache
    from lorapod.files.digests import DigestBook
    from lorapod.models.catalog import WorkspaceModels
    from lorapod.processes.manager import RealProcessManager
    from lorapod.safety.redaction import Redactor
    from lorapod.settings import Settings
    from lorapod.storage.mirror.mirrors import Mirrors
    from lorapod.storage.shares import FileShares
    from lorapod.telemetry import Headroom, Telemetry
    from lorapod.trainers.registry import TrainerRegistry
    from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of one worker."""

    settings: Settings
    clock: Clock
    started_at: datetime
    workspace: Workspace
    #: On local disk, this worker's alone, gone after it.
    scratch: Path
    redactor: Redactor
    processes: RealProcessManager
    trainers: TrainerRegistry
    engines: EngineRegistry
    datasets: DatasetLibrary
    remote_datasets: DatasetFetcher
    digests: DigestBook
    archives: ArchiveCache
    shares: FileShares
    telemetry: Telemetry
    room: Headroom
    mirrors: Mirrors
    courier: Courier
    updates: Attaching
    models: WorkspaceModels
