"""The types of processes that a worker runs, each built from the worker's parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lorapod.captioners.task import CaptionKind
from lorapod.comparisons.embedding.models import EmbeddingModels
from lorapod.comparisons.sample_likeness.source import SampleLikenessSource
from lorapod.comparisons.scorer import EmbeddingScorer
from lorapod.comparisons.task import CompareKind
from lorapod.datasets.edits.store import EditStore
from lorapod.datasets.fetching import DatasetFetcher
from lorapod.datasets.looks.video_frames import VideoFrames
from lorapod.datasets.provider import RemoteDatasetProvider
from lorapod.engines.task import GenerationKind
from lorapod.files.digests import DigestBook
from lorapod.lora_tools.order import ORDER_TYPES
from lorapod.lora_tools.task import LoraToolKind, ToolTurns
from lorapod.model_paths import ModelPaths
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.download import ModelDownloads
from lorapod.models.links import link_and_log
from lorapod.models.task import DownloadKind
from lorapod.processes.context import ProcessContext
from lorapod.processes.folder_users import FolderUsers
from lorapod.processes.work import Kind
from lorapod.records.record import ProcessRecord
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.trainers.speed import Forecasts, SpeedBook
from lorapod.trainers.sweep import SweepKind
from lorapod.trainers.sweep_run import Trainings
from lorapod.trainers.training import TrainingKind
from lorapod.worker_base import Programs, WorkerBase


@dataclass(frozen=True, kw_only=True)
class WorkerKinds:
    """What the kinds are built from."""

    base: WorkerBase
    programs: Programs
    context: ProcessContext
    users: FolderUsers
    edits: EditStore
    fetcher: DatasetFetcher
    mirrors: Mirrors
    digests: DigestBook
    #: Finds the record of any process.
    find: Callable[[str], ProcessRecord]
    models: WorkspaceModels
    #: The manager that will run them, for those that start others.
    manager: Callable[[], Trainings]

    def all(self) -> Sequence[Kind]:
        """Return every type of process."""
        return [
            self._trainings(),
            SweepKind(trainings=self.manager),
            self._generations(),
            self._downloads(),
            self._captionings(),
            self._comparisons(),
            *self._lora_tools(),
        ]

    def _trainings(self) -> TrainingKind:
        return TrainingKind(
            self.programs.trainers,
            self.context,
            scratch=self.base.settings.scratch_root,
            datasets=RemoteDatasetProvider(self.fetcher, self.base.workspace),
            mirrors=self.mirrors,
            find_writer=self.users.writer_of,
            settle_edits=self.edits.settle,
            forecasts=Forecasts(telemetry=self.base.telemetry, book=SpeedBook(self.base.workspace)),
            likeness=SampleLikenessSource(
                workspace=self.base.workspace,
                models=self._embedding_models(),
                scratch=self.base.settings.scratch_root,
            ),
        )

    def _generations(self) -> GenerationKind:
        return GenerationKind(
            workspace=self.base.workspace,
            scratch=self.base.scratch.path,
            free_gpu_memory=self.base.telemetry.free_gpu_memory,
        )

    def _downloads(self) -> DownloadKind:
        settings, workspace = self.base.settings, self.base.workspace
        return DownloadKind(
            ModelDownloads(workspace=workspace, settings=settings, digests=self.digests),
            self.programs.engines.downloads,
            on_download=partial(link_and_log, settings, workspace),
        )

    def _captionings(self) -> CaptionKind:
        return CaptionKind(
            captioners=self.programs.captioners,
            workspace=self.base.workspace,
            scratch=self.base.scratch.path,
            find_user=self.users.reader_of,
            settle_edits=self.edits.settle,
            frames=VideoFrames.find(self.base.settings.ai_toolkit_python),
            may_run=self._may_run,
        )

    def _comparisons(self) -> CompareKind:
        base = self.base
        folders = [base.workspace.models / name for name in ("diffusers", "checkpoints")]
        if models := base.settings.trainer_environment().get("MODELS_PATH"):
            folders.append(Path(models))
        return CompareKind(
            workspace=base.workspace,
            engines=self.programs.engines,
            orders=base.store.orders,
            find=self.find,
            digests=self.digests,
            model_paths=ModelPaths(workspace=base.workspace, folders=folders),
            scratch=base.scratch.path,
            scoring=self._scorer(),
            free_gpu_memory=base.telemetry.free_gpu_memory,
            may_run=self._may_run,
        )

    def _scorer(self) -> EmbeddingScorer:
        return EmbeddingScorer(
            workspace=self.base.workspace,
            models=self._embedding_models(),
            scratch=self.base.scratch.path,
        )

    def _embedding_models(self) -> EmbeddingModels:
        workspace, settings = self.base.workspace, self.base.settings
        folders = [workspace.models / name for name in ("embedding", "clip_vision")]
        if models := settings.trainer_environment().get("MODELS_PATH"):
            folders.append(Path(models))
        return EmbeddingModels(
            paths=ModelPaths(workspace=workspace, folders=folders),
            hub_cache=settings.hub_cache,
            offline=settings.hf_hub_offline,
            embedding_model=settings.embedding_model,
            text_image_model=settings.text_image_model,
        )

    def _lora_tools(self) -> Sequence[LoraToolKind]:
        settings, workspace = self.base.settings, self.base.workspace
        turns = ToolTurns()
        return [
            LoraToolKind(
                name=name,
                workspace=workspace,
                models=self.models,
                turns=turns,
                on_made=partial(link_and_log, settings, workspace),
            )
            for name in ORDER_TYPES
        ]

    def _may_run(self) -> bool:
        """Return whether what needs a GPU may run: there is one, or the operator allows the processor."""
        return self.base.settings.allow_cpu or bool(self.base.telemetry.gpu_indices())
