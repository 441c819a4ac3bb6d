"""What is measured of a comparison: its cells, pictures of the base model, and the same prompts without the trigger word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lorapod.comparisons.cells import Cell
from lorapod.comparisons.embedding.job import CellJob, DriftJob
from lorapod.comparisons.scoring import DrawnCell, DrawnComparison
from lorapod.comparisons.trigger import has_trigger, without_trigger
from lorapod.errors import InvalidInput, NotFound

#: So many prompts without the trigger word are enough to see what a LoRA changes. If a request has fewer, prompts with
#: the word are drawn without it, each with the first seed: that costs a picture for each LoRA.
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
        chosen, redrawn = _with_base(drawn.cells), _redrawn(drawn.cells)
        base: dict[_BasePicture, Path] = {}
        extra = {_BasePicture.of(one.cell) for _, one in chosen}
        again = [one for _, one in chosen if one.cell.prompt in redrawn and _needs_plain(one.cell)]
        drawn.expect(len(extra) + len(again))
        for number, one in chosen:
            cell, key = one.cell, _BasePicture.of(one.cell)
            if key not in base:
                base[key] = drawn.draw(replace(cell, prompt=key.prompt, weight=0.0))
                text = self._text(without_trigger(key.prompt, cell.candidate.trigger_word))
                self.base.append(CellJob(image=self._image(base[key]), text=text))
            if not cell.weight or cell.candidate.trigger_word is None:
                continue
            if not (_is_plain(cell) or cell.prompt in redrawn):
                continue
            try:
                plain = drawn.draw(replace(cell, prompt=key.prompt)) if _needs_plain(cell) else one.path
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
        images = tuple(self._image(path) for path in some_of(paths))
        return self.datasets.setdefault(images, len(self.datasets))


def some_of(dataset: Sequence[Path]) -> Sequence[Path]:
    """Return the images of a dataset that samples are compared with."""
    step = max(1.0, len(dataset) / DATASET_MAX)
    return [dataset[int(number * step)] for number in range(min(len(dataset), DATASET_MAX))]


def _with_base(cells: Sequence[DrawnCell]) -> Sequence[tuple[int, DrawnCell]]:
    """Return the cells that are compared with a picture of the base model, with their places.

    All that lack the trigger word are; of the other prompts the first few, each with the first seed.
    """
    seed, some = cells[0].cell.seed, _named_prompts(cells)[:BASE_PROMPTS_MAX]
    return [
        (number, one)
        for number, one in enumerate(cells)
        if _is_plain(one.cell) or (one.cell.prompt in some and one.cell.seed == seed)
    ]


def _redrawn(cells: Sequence[DrawnCell]) -> Sequence[str]:
    """Return the prompts that are drawn again without the trigger word: as many as there are too few that lack it."""
    plain = {one.cell.prompt for one in cells if _is_plain(one.cell)}
    return _named_prompts(cells)[: max(0, BASE_PROMPTS_MAX - len(plain))]


def _named_prompts(cells: Sequence[DrawnCell]) -> Sequence[str]:
    """Return the prompts with the trigger word, each once."""
    return list(dict.fromkeys(one.cell.prompt for one in cells if not _is_plain(one.cell)))


@dataclass(frozen=True, kw_only=True)
class _BasePicture:
    """What the base model draws alone."""

    model: str | None
    prompt: str
    seed: int

    @classmethod
    def of(cls, cell: Cell) -> _BasePicture:
        return cls(model=cell.model, prompt=_base_prompt(cell), seed=cell.seed)


def _is_plain(cell: Cell) -> bool:
    """Return whether a prompt lacks the trigger word that the LoRA has."""
    return not has_trigger(cell.prompt, cell.candidate.trigger_word)


def _base_prompt(cell: Cell) -> str:
    return without_trigger(cell.prompt, cell.candidate.trigger_word) or cell.prompt


def _needs_plain(cell: Cell) -> bool:
    """Return whether the LoRA's picture without the trigger word is another one than the cell."""
    return bool(cell.weight) and cell.candidate.trigger_word is not None and _base_prompt(cell) != cell.prompt
