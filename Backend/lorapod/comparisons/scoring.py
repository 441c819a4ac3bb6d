"""What scores the cells of a comparison; where a worker has nothing that scores, no number is made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorapod.comparisons.candidates import Candidate
from lorapod.comparisons.cells import Cell
from lorapod.processes.task import TaskRun


@dataclass(frozen=True, kw_only=True)
class DrawnCell:
    """A cell with its image."""

    cell: Cell
    #: Absolute.
    path: Path


@dataclass(frozen=True, kw_only=True)
class DrawnComparison:
    """What a scorer gets."""

    #: In the order of the answer's `cells`.
    cells: Sequence[DrawnCell]
    #: Returns the images that a LoRA was trained on; empty if they are gone or not known.
    dataset_of: Callable[[Candidate], Sequence[Path]]
    #: Draws one more cell, such as one of the base model alone (weight 0), or returns what was drawn before; raises as
    #: engines do.
    draw: Callable[[Cell], Path]
    #: Announces that so many cells more will be drawn.
    expect: Callable[[int], None]
    run: TaskRun
    #: Models that the request names.
    embedding_model: str | None = None
    text_image_model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a scorer answers."""

    #: The scores of each cell by name, in the order of the cells; empty without scores.
    cells: Sequence[Mapping[str, float]] = ()
    #: `{process_id, lora, step, weight, place, score, reasons}` each, the best first.
    ranking: Sequence[Mapping[str, Any]] = ()
    #: `{process_id, lora, step, weight}`, if one is better than the others.
    recommended: Mapping[str, Any] = field(default_factory=dict)
    #: `{scores, model, revision}` of each model that measured.
    models: Sequence[Mapping[str, Any]] = ()
    #: Sentences for the caller.
    warnings: Sequence[str] = ()


#: Scores the cells in the supervisor's thread, once every cell is drawn. It may raise `TaskStopped` if
#: `drawn.run.stopped()` was true; after a `WorkerError` or `OSError` the comparison ends with its cells and a warning.
Scoring = Callable[[DrawnComparison], Scores]
