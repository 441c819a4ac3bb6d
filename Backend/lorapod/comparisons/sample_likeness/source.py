"""What measures the likeness of samples for trainings: checks, its model, and the measure of each run."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lorapod.comparisons.embedding.job import EmbeddingSource
from lorapod.comparisons.embedding.models import BACKEND, CHILD, EmbeddingModels
from lorapod.comparisons.embedding.source import FILES, HubModel
from lorapod.comparisons.kept import comparison_folders
from lorapod.comparisons.sample_likeness.learnt import (
    check_dataset,
    dataset_images,
    steps_between_samples,
    telling_prompts,
)
from lorapod.comparisons.sample_likeness.measure import MeasuringFolders, SampleLikeness
from lorapod.comparisons.sample_likeness.sample_sets import SampleSets
from lorapod.comparisons.scorer import VECTORS
from lorapod.errors import NotFound, UpstreamError
from lorapod.lease import LeaseLost, LeaseState
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.order import TrainingOrder
from lorapod.processes.run import Run
from lorapod.records.status import Phase
from lorapod.trainers.port import TrainingPlan
from lorapod.volume.likeness_log import LikenessLog, read_likeness
from lorapod.workspace import Workspace

#: Between two looks at a download, in seconds.
LOOK_S = 0.2


@dataclass(frozen=True, kw_only=True)
class SampleLikenessSource:
    """A `lorapod.trainers.early_stop.LikenessSource`."""

    workspace: Workspace
    models: EmbeddingModels
    #: A folder on local disk.
    scratch: Path

    def check(self, order: TrainingOrder, plan: TrainingPlan) -> int:
        """Return the steps between two sets of samples; refuse what could never be measured."""
        every = steps_between_samples(plan)
        self._model(order)
        if order.dataset_source is None:
            check_dataset(dataset_images(plan, self.workspace.root))
        return every

    def must_fetch(self, order: TrainingOrder) -> bool:
        """Return whether its model is on the Hub and not here."""
        return isinstance(self._model(order), HubModel)

    def fetch(self, order: TrainingOrder, run: Run) -> None:
        """Download its model."""
        model = self._model(order)
        if not isinstance(model, HubModel):
            return
        run.ledger.change(run.record.changed(phase=Phase.FETCHING))
        run.log.note(f"downloading {model.name} from the HuggingFace Hub, to measure likeness")
        spec = LaunchSpec(argv=(sys.executable, "-m", CHILD, "fetch", model.name, *FILES), cwd=BACKEND)
        child = run.start_side_child(spec)
        try:
            while child.poll() is None:
                if run.stop is not None:
                    return
                if run.ledger.lease.state is LeaseState.LOST:
                    raise LeaseLost(run.record.process_id)
                time.sleep(LOOK_S)
        finally:
            child.kill()
        if isinstance(self._model(order), HubModel):
            said = child.lines[-1] if child.lines else "it holds no weights as safetensors"
            raise UpstreamError(
                f"stop_when: the embedding model {model.name} could not be downloaded from the Hub: {said}",
                hint="Look at its name and at HF_TOKEN, then send `resume`.",
            )

    def open(
        self, order: TrainingOrder, plan: TrainingPlan, run: Run, *, launched_at: float
    ) -> SampleLikeness:
        """Begin to measure one run, with what earlier runs have measured by the same model."""
        model = self._model(order)
        if not isinstance(model, EmbeddingSource):
            raise NotFound(
                f"stop_when: the embedding model {model.name} is gone from this worker.",
                hint="Send `resume`: it is downloaded again.",
            )
        process_id, step = plan.process_id, run.record.progress.step
        log = LikenessLog(model=model.name, revision=model.revision)
        kept = read_likeness(self.workspace, process_id) if run.record.generation > 1 else None
        if kept is not None and (kept.model, kept.revision) == (log.model, log.revision):
            log = kept.up_to(step)
        return SampleLikeness(
            run,
            model=model,
            dataset=partial(dataset_images, plan, self.workspace.root),
            sets=SampleSets(
                run_folder=plan.run_folder,
                prompts=telling_prompts(plan),
                resumed_step=step,
                launched_at=launched_at,
            ),
            log=log,
            folders=MeasuringFolders(
                scratch=self.scratch / process_id,
                vectors=self.workspace.process_folder(process_id) / VECTORS,
                earlier=[*(folder / VECTORS for folder in comparison_folders(self.workspace))],
            ),
        )

    def _model(self, order: TrainingOrder) -> EmbeddingSource | HubModel:
        wanted = (order.stop_when or {}).get("embedding_model")
        return self.models.image_model(wanted, field="stop_when.embedding_model")
