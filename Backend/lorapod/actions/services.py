"""The parts of one worker, by the names under which actions ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import get_type_hints

from lorapod.actions.answers import ProcessAnswers
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.checkup import Checkup
from lorapod.actions.download_file import FileParts
from lorapod.actions.generate import Generations
from lorapod.actions.lora_tools import LoraTools
from lorapod.actions.outputs import OutputDelivery
from lorapod.actions.publish_model import ModelPublisher
from lorapod.actions.session_run import SessionRuns
from lorapod.actions.start_lora import StartLoras
from lorapod.actions.starting import TrainingStarts
from lorapod.actions.sweeping import SweepStarts
from lorapod.cached_models import CachedModels
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.clock import Clock
from lorapod.datasets.edits.store import EditStore
from lorapod.datasets.fetching import DatasetFetcher
from lorapod.datasets.gallery.page import Gallery
from lorapod.datasets.library import DatasetLibrary
from lorapod.deletion.plan import DeletionPlanner
from lorapod.deletion.retention import Retention
from lorapod.deletion.trash import Trash
from lorapod.engines.registry import EngineRegistry
from lorapod.events.courier import Courier
from lorapod.events.runpod import RunPodSink
from lorapod.files.archive_cache import ArchiveCache
from lorapod.files.digests import DigestBook
from lorapod.models.catalog import WorkspaceModels
from lorapod.processes.manager import RealProcessManager
from lorapod.safety.redaction import Redactor
from lorapod.settings import Settings
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.storage.shares import FileShares
from lorapod.storage.stores import ObjectStores
from lorapod.telemetry import Headroom, Telemetry
from lorapod.telemetry.volume import VolumeMeter
from lorapod.trainers.hub_models import HubModels
from lorapod.trainers.registry import TrainerRegistry
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of one worker; only the router and the composition root see them all."""

    settings: Settings
    clock: Clock
    started_at: datetime
    workspace: Workspace
    #: On local disk, for this worker alone; removed when the worker ends.
    scratch: Path
    redactor: Redactor
    processes: RealProcessManager
    trainers: TrainerRegistry
    engines: EngineRegistry
    captioners: CaptionerRegistry
    datasets: DatasetLibrary
    remote_datasets: DatasetFetcher
    digests: DigestBook
    archives: ArchiveCache
    shares: FileShares
    telemetry: Telemetry
    room: Headroom
    mirrors: Mirrors
    courier: Courier
    updates: RunPodSink
    models: WorkspaceModels
    deletions: DeletionPlanner
    trash: Trash
    volume: VolumeMeter
    gallery: Gallery
    edits: EditStore
    retention: Retention

    @cached_property
    def checkup(self) -> Checkup:
        """What `health` looks at."""
        return Checkup(
            telemetry=self.telemetry,
            workspace=self.workspace,
            trainers=self.trainers,
            engines=self.engines,
            captioners=self.captioners,
            courier=self.courier,
            whole_volume=self.settings.network_volume_debug,
            volume=self.volume,
            cached=CachedModels.of(self.settings),
        )

    @cached_property
    def attachment(self) -> JobAttachment:
        """What keeps a RunPod job open while its process runs."""
        return JobAttachment(
            processes=self.processes, updates=self.updates, cancel_grace_s=self.settings.cancel_grace_s
        )

    @cached_property
    def answers(self) -> ProcessAnswers:
        """What answers for a process that was started or resumed."""
        return ProcessAnswers(
            settings=self.settings,
            workspace=self.workspace,
            processes=self.processes,
            mirrors=self.mirrors,
            attachment=self.attachment,
        )

    @cached_property
    def publisher(self) -> ModelPublisher:
        """What publishes models."""
        return ModelPublisher(
            models=self.models,
            processes=self.processes,
            workspace=self.workspace,
            stores=ObjectStores(settings=self.settings, workspace=self.workspace, redactor=self.redactor),
            scratch=self.scratch,
            endpoint=self.settings.hf_endpoint.rstrip("/"),
        )

    @cached_property
    def lora_tools(self) -> LoraTools:
        """What starts the processes of the LoRA tools."""
        return LoraTools(
            settings=self.settings, workspace=self.workspace, processes=self.processes, answers=self.answers
        )

    @cached_property
    def starts(self) -> TrainingStarts:
        """What checks and starts trainings."""
        return TrainingStarts(
            settings=self.settings,
            clock=self.clock,
            workspace=self.workspace,
            processes=self.processes,
            trainers=self.trainers,
            datasets=self.datasets,
            remote_datasets=self.remote_datasets,
            telemetry=self.telemetry,
            room=self.room,
            hub_models=HubModels(self.settings),
            mirrors=self.mirrors,
            courier=self.courier,
            attachment=self.attachment,
            answers=self.answers,
            start_loras=StartLoras(processes=self.processes, workspace=self.workspace),
        )

    @cached_property
    def sweeps(self) -> SweepStarts:
        """What checks and starts sweeps."""
        return SweepStarts(
            settings=self.settings,
            processes=self.processes,
            starts=self.starts,
            attachment=self.attachment,
            answers=self.answers,
        )

    @cached_property
    def session_runs(self) -> SessionRuns:
        """What runs one training in a session folder, from its request to its end."""
        return SessionRuns(
            settings=self.settings,
            clock=self.clock,
            workspace=self.workspace,
            processes=self.processes,
            starts=self.starts,
            attachment=self.attachment,
            answers=self.answers,
        )

    @cached_property
    def file_parts(self) -> FileParts:
        """What reads parts of files, and shares whole ones."""
        return FileParts(
            settings=self.settings, workspace=self.workspace, digests=self.digests, shares=self.shares
        )

    @cached_property
    def generations(self) -> Generations:
        """What checks, orders and describes generations."""
        return Generations(
            settings=self.settings,
            workspace=self.workspace,
            scratch=self.scratch,
            processes=self.processes,
            engines=self.engines,
            telemetry=self.telemetry,
            room=self.room,
            shares=self.shares,
            outputs=self.outputs,
        )

    @cached_property
    def outputs(self) -> OutputDelivery:
        """What puts generated files into an answer."""
        return OutputDelivery(
            settings=self.settings, workspace=self.workspace, digests=self.digests, shares=self.shares
        )


@cache
def part_types() -> Mapping[str, object]:
    """Return the type of every part, by its name."""
    composed = {
        name: get_type_hints(part.func)["return"]
        for name, part in vars(Services).items()
        if isinstance(part, cached_property)
    }
    return {**get_type_hints(Services), **composed}
