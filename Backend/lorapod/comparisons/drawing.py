"""Draw the cells of one comparison with its engine, and report how far it is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorapod.comparisons.candidates import Candidate
from lorapod.comparisons.cells import Cell, CellKeys
from lorapod.comparisons.kept import KeptCells
from lorapod.comparisons.scoring import DrawnCell
from lorapod.engines.port import Engine, GenerationProgress, GenerationStopped
from lorapod.errors import InvalidInput, NotFound, WorkerError
from lorapod.kinds import FileKind, kind_of
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.task import TaskRun, TaskStopped
from lorapod.records.progress import StoredProgress
from lorapod.records.status import Phase

#: Warnings that a comparison keeps: each cell may have some.
_WARNINGS_MAX = 50
#: What is being drawn, below the comparison's output folder.
_DRAWING = ".drawing"


class CellRun:
    """A task's run, as an engine sees it while it draws one cell: a `GenerationRun`."""

    def __init__(self, run: TaskRun, total: int) -> None:
        """Report cells of `total`."""
        self.slot = run.slot
        self.environment = run.environment
        self.total = total
        #: Cells that are there, and those of them that this run has drawn.
        self.done = self.drawn = 0
        self._run = run
        self._began_s = time.monotonic()

    def stopped(self) -> bool:
        """Return whether to end early."""
        return self._run.stopped()

    def report(self, progress: GenerationProgress) -> None:
        """Report what the engine does with the present cell."""
        self._show(progress.step, progress.total_steps, detail=progress.detail, phase=progress.phase)

    def log(self, text: str) -> None:
        """Write one line to the process's log."""
        self._run.log(text)

    def run_child(self, spec: LaunchSpec, on_line: Callable[[str], None]) -> ChildExit:
        """Run a child to its end."""
        return self._run.run_child(spec, on_line)

    def expect(self, more: int) -> None:
        """Add cells to the total."""
        self.total += more

    def advance(self, *, drawn: bool) -> None:
        """Count one more cell."""
        self.done += 1
        if drawn:
            if not self.drawn:
                # The model was loaded before that; what comes after it is even.
                self._began_s = time.monotonic()
            self.drawn += 1
        self._show(None, None, detail=None, phase=Phase.GENERATING)

    def _show(
        self, step: int | None, total_steps: int | None, *, detail: str | None, phase: Phase | None
    ) -> None:
        part = step / total_steps if step and total_steps else 0.0
        done = min(self.total, self.done + min(1.0, part))
        self._run.progress(
            StoredProgress(
                step=step or 0,
                total_steps=total_steps,
                image=self.done,
                total_images=self.total,
                told_percent=100.0 * done / self.total if self.total else 100.0,
                eta_s=self._eta_s(),
                detail=detail,
            ),
            phase or (Phase.GENERATING if step is not None else None),
        )

    def _eta_s(self) -> float | None:
        if self.drawn < 2:
            return None
        cell_s = (time.monotonic() - self._began_s) / (self.drawn - 1)
        return round(cell_s * (self.total - self.done), 1)


@dataclass(kw_only=True)
class CellDrawing:
    """The cells of one comparison while it runs."""

    run: TaskRun
    engine: Engine
    keys: CellKeys
    kept: KeptCells
    scratch: Path
    warnings: list[str]
    cell_run: CellRun
    #: In the order of the cells.
    drawn: list[DrawnCell] = field(default_factory=list)
    #: Cells that were drawn before, by this comparison or an earlier one.
    found: int = 0
    #: Called after each cell.
    on_cell: Callable[[], None] = lambda: None
    _refused: dict[Candidate, WorkerError] = field(default_factory=dict)

    def draw_all(self, cells: Sequence[Cell]) -> None:
        """Draw every cell that is not there yet. A LoRA that the engine refuses is left out with a warning.

        Raises:
            TaskStopped: the process is to end.
            WorkerError: the engine failed, or it refused every LoRA.
            OSError: the disk failed.
        """
        for cell in cells:
            if cell.candidate in self._refused:
                continue
            try:
                path = self.draw(cell)
            except (InvalidInput, NotFound) as error:
                self._refuse(cell.candidate, error)
            else:
                self.drawn.append(DrawnCell(cell=cell, path=path))
                self.on_cell()
        if not self.drawn and self._refused:
            raise next(iter(self._refused.values()))

    def draw(self, cell: Cell) -> Path:
        """Return the image of a cell: one that is there, or a new one.

        Raises:
            TaskStopped: the process is to end.
            WorkerError: the engine failed.
            OSError: the disk failed.
        """
        if self.run.stopped():
            raise TaskStopped
        key = self.keys.of(cell)
        path = self.kept.get(cell, key)
        if path is not None:
            self.found += 1
            self.cell_run.advance(drawn=False)
            return path
        folder = self.kept.folder.parent / _DRAWING
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.scratch.mkdir(parents=True, exist_ok=True)
        generation = cell.generation(self.run.process_id, folder=folder, scratch=self.scratch)
        try:
            made = self.engine.generate(generation, self.cell_run)
        except GenerationStopped:
            raise TaskStopped from None
        images = [file.path for file in made.files if kind_of(file.path.name) is FileKind.IMAGE]
        if not images:
            raise WorkerError(f"The engine {self.engine.name} has drawn no image.")
        self.warn(made.warnings)
        path = self.kept.keep(cell, key, images[0])
        self.cell_run.advance(drawn=True)
        return path

    def warn(self, sentences: Sequence[str]) -> None:
        """Keep sentences for the caller, each once."""
        for sentence in sentences:
            if sentence not in self.warnings and len(self.warnings) < _WARNINGS_MAX:
                self.warnings.append(sentence)

    def close(self) -> None:
        """Remove what a stopped engine may have left."""
        shutil.rmtree(self.kept.folder.parent / _DRAWING, ignore_errors=True)

    def _refuse(self, candidate: Candidate, error: WorkerError) -> None:
        self._refused[candidate] = error
        self.run.note(f"{candidate.path.name} is left out: {error.message}")
        self.warn([f"{candidate.path.name} is left out: {error.message}"])
