"""What is measured of a comparison: its cells, pictures of the base model, and the same prompts without the trigger word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lorapod.comparisons.cells import Cell
from lorapod.comparisons.embedding.job import CellJob, DriftJob
from lorapod.comparisons.scoring import DrawnComparison
from lorapod.comparisons.trigger import has_trigger, without_trigger
from lorapod.errors import InvalidInput, NotFound

#: Prompts of which the base model's picture is drawn too, each with the first seed: each costs a picture for each LoRA.
BASE_PROMPTS_MAX = 4
#: More images of a dataset say nothing more.
DATASET_MAX = 500


@dataclass(kw_only=True)
class MeasuredImages:
    """Images, texts and datasets, each once; the jobs name them by their places."""

    images: dict[Path, int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    datasets: dict[tuple[int, ...], int] = field(default_factory=dict)
    cells: list[CellJob] = field(default_factory=list)
    drifts: list[DriftJob] = field(default_factory=list)
    #: The place in `drifts` of each cell that has one.
    drift_of: dict[int, int] = field(default_factory=dict)
    base: list[CellJob] = field(default_factory=list)

    @classmethod
    def of(cls, drawn: DrawnComparison) -> MeasuredImages:
        """Collect them; draw what is missing.

        Raises:
            TaskStopped: the process is to end.
            WorkerError: the engine failed.
            OSError: the disk failed.
        """
        made = cls()
        datasets = {
            candidate: made._dataset(drawn.dataset_of(candidate))
            for candidate in dict.fromkeys(one.cell.candidate for one in drawn.cells)
        }
        for one in drawn.cells:
            trigger = one.cell.candidate.trigger_word
            learnt = has_trigger(one.cell.prompt, trigger)
            made.cells.append(
                CellJob(
                    image=made._image(one.path),
                    # A prompt without the trigger word should not look like the dataset.
                    dataset=datasets[one.cell.candidate] if learnt else None,
                    text=made._text(without_trigger(one.cell.prompt, trigger)),
                )
            )
        made._draw_base(drawn)
        return made

    def _draw_base(self, drawn: DrawnComparison) -> None:
        prompts = list(dict.fromkeys(one.cell.prompt for one in drawn.cells))[:BASE_PROMPTS_MAX]
        seed = drawn.cells[0].cell.seed
        chosen = [
            (number, one)
            for number, one in enumerate(drawn.cells)
            if one.cell.prompt in prompts and one.cell.seed == seed
        ]
        base: dict[tuple[str | None, str], Path] = {}
        extra = {(one.cell.model, _base_prompt(one.cell)) for _, one in chosen}
        extra_count = len(extra) + sum(_needs_plain(one.cell) for _, one in chosen)
        drawn.expect(extra_count)
        for number, one in chosen:
            cell, prompt = one.cell, _base_prompt(one.cell)
            key = (cell.model, prompt)
            if key not in base:
                base[key] = drawn.draw(replace(cell, prompt=prompt, weight=0.0))
                text = self._text(without_trigger(prompt, cell.candidate.trigger_word))
                self.base.append(CellJob(image=self._image(base[key]), text=text))
            if not cell.weight or cell.candidate.trigger_word is None:
                continue
            try:
                plain = drawn.draw(replace(cell, prompt=prompt)) if _needs_plain(cell) else one.path
            except (InvalidInput, NotFound):
                continue
            if not without_trigger(cell.prompt, cell.candidate.trigger_word):
                continue
            self.drift_of[number] = len(self.drifts)
            self.drifts.append(DriftJob(with_lora=self._image(plain), base=self._image(base[key])))

    def _image(self, path: Path) -> int:
        return self.images.setdefault(path, len(self.images))

    def _text(self, text: str) -> int | None:
        return self.texts.setdefault(text, len(self.texts)) if text else None

    def _dataset(self, paths: Sequence[Path]) -> int | None:
        if not paths:
            return None
        step = max(1.0, len(paths) / DATASET_MAX)
        some = [paths[int(number * step)] for number in range(min(len(paths), DATASET_MAX))]
        images = tuple(self._image(path) for path in some)
        return self.datasets.setdefault(images, len(self.datasets))


def _base_prompt(cell: Cell) -> str:
    return without_trigger(cell.prompt, cell.candidate.trigger_word) or cell.prompt


def _needs_plain(cell: Cell) -> bool:
    """Return whether the LoRA's picture without the trigger word is another one than the cell."""
    return bool(cell.weight) and cell.candidate.trigger_word is not None and _base_prompt(cell) != cell.prompt
