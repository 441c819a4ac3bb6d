"""Comparisons as processes: cells drawn in the supervisor's thread, while it holds a GPU."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lorapod.comparisons.candidates import Candidate, CandidateFinder
from lorapod.comparisons.cells import Cell, CellKeys, PictureSettings, all_cells
from lorapod.comparisons.dataset_images import dataset_images
from lorapod.comparisons.drawing import CellDrawing, CellRun
from lorapod.comparisons.grid import draw_grid
from lorapod.comparisons.kept import KIND, KeptCells
from lorapod.comparisons.model_state import model_state
from lorapod.comparisons.order import ComparisonOrder
from lorapod.comparisons.sample_settings import SampleSettings, sample_settings
from lorapod.comparisons.scoring import DrawnComparison, Scores, Scoring
from lorapod.engines.lora_files import FindRecord
from lorapod.engines.port import Engine
from lorapod.engines.registry import EngineRegistry
from lorapod.engines.task import FreeGpuMemory, check_gpu
from lorapod.errors import GpuUnavailable, InvalidInput, WorkerError
from lorapod.files.digests import DigestBook
from lorapod.model_paths import ModelPaths
from lorapod.processes.order import Order, TaskOrder
from lorapod.processes.requests import Capability
from lorapod.processes.store.port import OrderStore
from lorapod.processes.task import TaskRun, TaskWork
from lorapod.processes.work import Plan
from lorapod.records.record import ProcessRecord, TaskDetails
from lorapod.workspace import Workspace

#: More cells would take days, and make a grid that is too large to read.
CELLS_MAX = 1000
#: The engine that keeps its model and changes LoRAs: taken first if a request names none.
RESIDENT = "diffusers"
#: The seed if neither the request nor the training has one.
SEED = 42
GRID = "grid.png"
#: While it draws, its cells are written to its record so often at most, in seconds.
KEEP_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A comparison with everything resolved."""

    candidates: Sequence[Candidate]
    cells: Sequence[Cell]


@dataclass(frozen=True, kw_only=True)
class CompareKind:
    """Processes of type `compare`; their order's input is a `ComparisonOrder`."""

    workspace: Workspace
    engines: EngineRegistry
    orders: OrderStore
    find: FindRecord
    digests: DigestBook
    model_paths: ModelPaths
    #: A folder on local disk.
    scratch: Path
    scoring: Scoring
    free_gpu_memory: FreeGpuMemory
    #: Whether an engine that needs a GPU may run: there is one, or the operator allows the processor.
    may_run: Callable[[], bool]

    name = KIND
    resumable = True
    not_resumable = ""

    @property
    def order_type(self) -> type[Order]:
        """Orders of tasks."""
        return TaskOrder

    def plan(self, process_id: str, order: TaskOrder, live: object = None) -> Plan:
        """Find the LoRAs, and have the engine look at each.

        Raises:
            WorkerError: what is refused.
            OSError: a folder cannot be read.
        """
        del live
        wanted = ComparisonOrder.of(order.input)
        engine = self.engines.first_of(wanted.engine, RESIDENT)
        if engine.needs_gpu and not self.may_run():
            raise GpuUnavailable(
                f"{engine.name} draws on a GPU, and this worker has none.",
                hint="Choose a GPU type for the endpoint, or set ALLOW_CPU.",
            )
        comparison = self._resolve(wanted)
        scratch = self.scratch / process_id
        return Plan(
            work=TaskWork(
                partial(self._compare, wanted, engine),
                needs_slot=True,
                resident=engine,
                secrets=order.secrets,
                clean_up=partial(shutil.rmtree, scratch, ignore_errors=True),
            ),
            name=_name(comparison.candidates),
            task=TaskDetails(engine=engine.name, restartable=True),
            warnings=self._prepare(engine, comparison, process_id),
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return none: a comparison takes no control requests."""
        del record
        return frozenset()

    def _prepare(self, engine: Engine, comparison: Comparison, process_id: str) -> list[str]:
        """Have the engine check one cell of each LoRA; return its warnings, each once."""
        firsts = {cell.candidate: cell for cell in reversed(comparison.cells)}
        warnings: dict[str, None] = {}
        for cell in firsts.values():
            folder = self.workspace.output_folder(process_id)
            generation = cell.generation(process_id, folder=folder, scratch=self.scratch / process_id)
            warnings |= dict.fromkeys(engine.prepare(generation))
        return list(warnings)

    def _resolve(self, wanted: ComparisonOrder) -> Comparison:
        """Find the LoRAs, and fill in what the request leaves to the first training."""
        finder = CandidateFinder(workspace=self.workspace, find=self.find)
        candidates = finder.all(wanted.loras, wanted.steps)
        training = next((one.process_id for one in candidates if one.process_id is not None), None)
        own = sample_settings(self.orders, training) if training is not None else SampleSettings()
        prompts = wanted.prompts or own.prompts
        if not prompts:
            raise InvalidInput(
                "prompts: give at least one: the training has no sample prompts.",
                details=[{"field": "prompts", "error": "is required here"}],
            )
        settings = PictureSettings(
            model=wanted.model,
            negative_prompt=_first(wanted.negative_prompt, own.negative_prompt),
            width=_first(wanted.width, own.width),
            height=_first(wanted.height, own.height),
            sample_steps=_first(wanted.sample_steps, own.sample_steps),
            guidance_scale=_first(wanted.guidance_scale, own.guidance_scale),
            params=wanted.params,
        )
        seeds = wanted.seeds or [_first(own.seed, SEED)]
        count = len(candidates) * len(wanted.weights) * len(prompts) * len(seeds)
        if count > CELLS_MAX:
            raise InvalidInput(
                f"These are {count} cells ({len(candidates)} LoRAs, {len(wanted.weights)} weights, {len(prompts)} "
                f"prompts, {len(seeds)} seeds); at most {CELLS_MAX} are drawn at once.",
                hint="Name fewer checkpoints, for example `steps: last:4`, or fewer prompts.",
            )
        return Comparison(
            candidates=candidates,
            cells=all_cells(
                candidates, weights=wanted.weights, prompts=prompts, seeds=seeds, settings=settings
            ),
        )

    def _compare(self, wanted: ComparisonOrder, engine: Engine, run: TaskRun) -> Mapping[str, Any]:
        check_gpu(engine, run.slot, self.free_gpu_memory)
        # Again: it may have waited for hours since it was planned, and a training may have gone on.
        comparison = self._resolve(wanted)
        run.started()
        keys = CellKeys(
            engine=(engine.name, engine.probe().version or ""),
            sha256=self.digests.sha256,
            model_state=partial(model_state, paths=self.model_paths),
        )
        drawing = CellDrawing(
            run=run,
            engine=engine,
            keys=keys,
            kept=KeptCells(self.workspace, run.process_id),
            scratch=self.scratch / run.process_id,
            warnings=[],
            cell_run=CellRun(run, len(comparison.cells)),
        )
        run.note(
            f"drawing {len(comparison.cells)} cells of {len(comparison.candidates)} LoRAs with {engine.name}"
        )
        drawing.on_cell = _every(KEEP_S, lambda: run.keep_outcome(self._outcome(drawing, Scores())))
        try:
            drawing.draw_all(comparison.cells)
            scores = self._score(drawing, wanted) if wanted.score else Scores()
            drawing.warn(scores.warnings)
        finally:
            # However it ends: what is drawn stays, and its caller learns what that is.
            run.keep_outcome(self._outcome(drawing, Scores()))
            drawing.close()
        return {**self._outcome(drawing, scores), "grid_path": self._grid(drawing, comparison, scores, run)}

    def _score(self, drawing: CellDrawing, wanted: ComparisonOrder) -> Scores:
        drawn = DrawnComparison(
            cells=list(drawing.drawn),
            dataset_of=lambda candidate: dataset_images([candidate], self.find, self.workspace),
            draw=drawing.draw,
            expect=drawing.cell_run.expect,
            run=drawing.run,
            embedding_model=wanted.embedding_model,
            text_image_model=wanted.text_image_model,
        )
        try:
            return self.scoring(drawn)
        except (WorkerError, OSError) as error:
            drawing.run.note(f"the cells could not be scored: {error}")
            return Scores(warnings=[f"The cells have no scores: {error}"])

    def _grid(self, drawing: CellDrawing, comparison: Comparison, scores: Scores, run: TaskRun) -> str:
        path = self.workspace.output_folder(run.process_id) / GRID
        draw_grid(
            drawing.drawn,
            dataset_images(comparison.candidates, self.find, self.workspace),
            path,
            recommended=scores.recommended,
        )
        return self.workspace.relative(path)

    def _outcome(self, drawing: CellDrawing, scores: Scores) -> Mapping[str, Any]:
        cells = [one.cell.view(self.workspace.relative(one.path)) for one in drawing.drawn]
        for view, score in zip(cells, scores.cells, strict=False):
            if score:
                view["scores"] = {name: round(value, 4) for name, value in score.items()}
        told: dict[str, Any] = {
            "cells": cells,
            "drawn": drawing.cell_run.drawn,
            "kept": drawing.found,
            "warnings": list(drawing.warnings),
        }
        if scores.ranking:
            told["ranking"] = [dict(one) for one in scores.ranking]
        if scores.recommended:
            told["recommended"] = dict(scores.recommended)
        if scores.models:
            told["score_models"] = [dict(one) for one in scores.models]
        return told


def _every(interval_s: float, call: Callable[[], None]) -> Callable[[], None]:
    """Return a function that makes the call the first time, and then once in so many seconds at most."""
    due_s = 0.0

    def called() -> None:
        nonlocal due_s
        if time.monotonic() >= due_s:
            call()
            due_s = time.monotonic() + interval_s

    return called


def _first(*values: Any) -> Any:
    """Return the first value that is given."""
    return next((value for value in values if value is not None), None)


def _name(candidates: Sequence[Candidate]) -> str:
    """Return the names of what is compared."""
    names = list(dict.fromkeys(candidate.name for candidate in candidates))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3])[:200] + more
