"""Score the cells of a comparison by embeddings, and rank its LoRAs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.comparisons.embedding.job import EmbeddingAnswer, EmbeddingJob
from lorapod.comparisons.embedding.models import EmbeddingModels, FoundModels
from lorapod.comparisons.embedding.runner import run_embedding
from lorapod.comparisons.kept import comparison_folders
from lorapod.comparisons.measured_images import MeasuredImages
from lorapod.comparisons.scored_cells import rank_cells
from lorapod.comparisons.scoring import DrawnComparison, Scores
from lorapod.records.progress import StoredProgress
from lorapod.workspace import Workspace

#: The vectors of one comparison's images, below its output folder.
VECTORS = ".embeddings"


@dataclass(frozen=True, kw_only=True)
class EmbeddingScorer:
    """A `Scoring`."""

    workspace: Workspace
    models: EmbeddingModels
    #: A folder on local disk.
    scratch: Path

    def __call__(self, drawn: DrawnComparison) -> Scores:
        """Draw what the scores need beside the cells, measure, and rank.

        Raises:
            TaskStopped: the process is to end.
            WorkerError: a model or the engine failed.
            OSError: the disk failed.
        """
        found = self.models.find(drawn.run, drawn.embedding_model, drawn.text_image_model)
        if (found.image is None and found.text is None) or not drawn.cells:
            return Scores(warnings=found.warnings)
        measured = MeasuredImages.of(drawn)
        answer = self._measure(drawn, measured, found)
        scores = _scores(measured, answer)
        ranked = rank_cells(drawn.cells, measured, answer, scores)
        return Scores(
            cells=scores,
            ranking=ranked.ranking,
            recommended=ranked.recommended,
            models=_views(found, scores),
            warnings=[*found.warnings, *(ranked.warnings if found.image is not None else ())],
        )

    def _measure(
        self, drawn: DrawnComparison, measured: MeasuredImages, found: FoundModels
    ) -> EmbeddingAnswer:
        run = drawn.run
        scratch = self.scratch / run.process_id
        scratch.mkdir(parents=True, exist_ok=True)
        job = EmbeddingJob(
            images=list(measured.images),
            texts=list(measured.texts),
            datasets=list(measured.datasets),
            cells=measured.cells,
            drifts=measured.drifts,
            base=measured.base,
            image_model=found.image,
            text_model=found.text,
            vectors=self.workspace.output_folder(run.process_id) / VECTORS,
            earlier=[folder / VECTORS for folder in comparison_folders(self.workspace)],
            answer=scratch / "scores.json",
        )
        used = [model.name for model in (found.image, found.text) if model is not None]
        run.note(f"scoring {len(job.images)} images with {' and '.join(used)}")
        answer = run_embedding(job, scratch / "embedding.json", run, lambda text: _report(drawn, text))
        run.note(f"{answer.embedded} images were embedded; the others were embedded before")
        return answer


def _report(drawn: DrawnComparison, detail: str) -> None:
    drawn.run.progress(
        StoredProgress(
            image=len(drawn.cells), total_images=len(drawn.cells), told_percent=100.0, detail=detail
        )
    )


def _scores(measured: MeasuredImages, answer: EmbeddingAnswer) -> Sequence[Mapping[str, float]]:
    """Return the scores of each cell by name."""
    scores = []
    for number, one in enumerate(answer.cells):
        drift = measured.drift_of.get(number)
        values = {
            "likeness": one.likeness,
            "likeness_nearest": one.nearest,
            "prompt_fit": one.prompt_fit,
            "drift": answer.drifts[drift] if drift is not None and answer.drifts else None,
            "memorised": None if one.likeness is None else float(one.copy_of is not None),
        }
        scores.append({name: value for name, value in values.items() if value is not None})
    return scores


def _views(found: FoundModels, scores: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, Any]]:
    """Name the models, and what each measured."""
    measured = {name for one in scores for name in one}
    of_images = ("likeness", "likeness_nearest", "drift", "memorised")
    views = []
    for source, names in ((found.image, of_images), (found.text, ("prompt_fit",))):
        used = [name for name in names if name in measured]
        if source is not None and used:
            views.append({"scores": used, "model": source.name, "revision": source.revision})
    return views
