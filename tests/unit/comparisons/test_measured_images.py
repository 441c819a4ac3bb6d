"""Which pictures the scores need beside the cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from lorapod.comparisons.candidates import Candidate
from lorapod.comparisons.cells import Cell, PictureSettings
from lorapod.comparisons.measured_images import MeasuredImages
from lorapod.comparisons.scoring import DrawnCell, DrawnComparison
from lorapod.processes.task import TaskRun

LORAS = [Candidate(path=Path(f"/{step}.safetensors"), name="cat", trigger_word="mycat") for step in (1, 2)]


class Drawing:
    """A comparison whose pictures are named, not drawn."""

    def __init__(self, prompts: Sequence[str], seeds: Sequence[int] = (7,)) -> None:
        #: What was drawn beside the cells: LoRA (None: the base model), prompt, seed.
        self.drawn: list[tuple[str | None, str, int]] = []
        self.expected = 0
        self.cells = [
            self._cell(candidate, prompt, seed) for candidate in LORAS for prompt in prompts for seed in seeds
        ]

    def measured(self) -> MeasuredImages:
        return MeasuredImages.of(
            DrawnComparison(
                cells=self.cells,
                dataset_of=lambda _: [],
                draw=self._draw,
                expect=self._expect,
                run=cast("TaskRun", None),
            )
        )

    def _cell(self, candidate: Candidate, prompt: str, seed: int) -> DrawnCell:
        cell = Cell(candidate=candidate, weight=1.0, prompt=prompt, seed=seed, settings=PictureSettings())
        return DrawnCell(cell=cell, path=Path(f"/{candidate.path.stem} {prompt} {seed}"))

    def _draw(self, cell: Cell) -> Path:
        lora = cell.candidate.path.stem if cell.weight else None
        self.drawn.append((lora, cell.prompt, cell.seed))
        return Path(f"/{lora} {cell.prompt} {cell.seed}")

    def _expect(self, more: int) -> None:
        self.expected += more


def test_prompts_without_the_trigger_word_cost_only_the_base_models_pictures() -> None:
    plain = ["a dog", "a house", "a boat", "a tree"]
    drawing = Drawing(["mycat asleep", *plain], seeds=[7, 8])
    measured = drawing.measured()

    base = [(None, "asleep", 7), *((None, prompt, seed) for prompt in plain for seed in (7, 8))]
    assert sorted(drawing.drawn, key=str) == sorted(base, key=str)
    assert drawing.expected == len(base)
    with_drift = {(drawing.cells[one].cell.prompt, drawing.cells[one].cell.seed) for one in measured.drift_of}
    assert with_drift == {(prompt, seed) for prompt in plain for seed in (7, 8)}
    pairs = {
        (names[pair.with_lora].name, names[pair.base].name)
        for names in [list(measured.images)]
        for pair in measured.drifts
    }
    assert ("2 a dog 8", "None a dog 8") in pairs


def test_too_few_of_them_are_made_up_for_by_prompts_with_the_word() -> None:
    drawing = Drawing(["mycat asleep", "mycat at night", "a dog", "a house", "a boat"], seeds=[7, 8])
    measured = drawing.measured()

    again = [one for one in drawing.drawn if one[0] is not None]
    assert again == [("1", "asleep", 7), ("2", "asleep", 7)]
    assert drawing.expected == len(drawing.drawn) == 2 + 2 + 6
    assert {drawing.cells[one].cell.prompt for one in measured.drift_of} == {
        *("mycat asleep", "a dog", "a house", "a boat")
    }
