"""Generations as processes: an engine's work in its supervisor's thread, while it holds a GPU."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lorapod.engines.port import (
    Engine,
    Generation,
    GenerationProgress,
    GenerationResult,
    GenerationStopped,
)
from lorapod.errors import InsufficientMemory, InternalError
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.order import Order, TaskOrder
from lorapod.processes.requests import Capability
from lorapod.processes.slots import Slot
from lorapod.processes.task import TaskRun, TaskStopped, TaskWork
from lorapod.processes.work import Plan
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord, TaskDetails
from lorapod.records.status import Phase
from lorapod.workspace import Workspace

#: Free bytes of a GPU's memory, by its index; None: the driver does not say.
FreeGpuMemory = Callable[[int], int | None]

#: Fields of an engine's progress that a process has too; the last known value stays.
_NEWS = (
    *("step", "total_steps", "image", "total_images", "detail"),
    *("node", "node_id", "nodes_done", "total_nodes"),
)


@dataclass(frozen=True, kw_only=True)
class PendingGeneration:
    """A generation before it has a process: what is submitted beside its `TaskOrder`, as `live`."""

    engine: Engine
    #: With any process id and folders: those of the process take their place.
    generation: Generation
    #: What its caller should know of the request, a sentence each.
    warnings: Sequence[str] = ()


class GenerationKind:
    """Processes of type `generate`."""

    name = "generate"
    resumable = False
    not_resumable = "A generation cannot be resumed: send the request again."

    def __init__(self, *, workspace: Workspace, scratch: Path, free_gpu_memory: FreeGpuMemory) -> None:
        """Make generations whose results go to `workspace`; `scratch` is a folder on local disk."""
        self._workspace = workspace
        self._scratch = scratch
        self._free_gpu_memory = free_gpu_memory

    @property
    def order_type(self) -> type[Order]:
        """Orders of tasks."""
        return TaskOrder

    def plan(self, process_id: str, order: TaskOrder, live: object) -> Plan:
        """Have the engine prepare the generation.

        Raises:
            WorkerError: the engine refuses it.
        """
        if not isinstance(live, PendingGeneration):
            raise InternalError("A generation was ordered without what its engine needs.")
        pending = live
        engine = pending.engine
        generation = replace(
            pending.generation,
            process_id=process_id,
            folder=self._workspace.output_folder(process_id),
            scratch=self._scratch / process_id,
        )
        warnings = [*pending.warnings, *engine.prepare(generation)]
        key = generation.comfy_org_api_key
        # A caller's own workflow keeps its seeds if the request has none.
        chosen = generation.seed_given or generation.workflow is None
        return Plan(
            work=TaskWork(
                partial(self._generate, engine, generation, warnings),
                needs_slot=True,
                resident=engine,
                secrets=order.secrets | ({key.get_secret_value()} if key is not None else set()),
                clean_up=partial(_clean_up, generation),
            ),
            name=engine.name,
            total_steps=generation.steps,
            task=TaskDetails(engine=engine.name, outcome={"seed": generation.seed} if chosen else {}),
            warnings=warnings,
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return none: a generation takes no control requests."""
        del record
        return frozenset()

    def _generate(
        self, engine: Engine, generation: Generation, prepared: list[str], run: TaskRun
    ) -> Mapping[str, Any]:
        check_gpu(engine, run.slot, self._free_gpu_memory)
        generation.folder.mkdir(parents=True, exist_ok=True)
        generation.scratch.mkdir(parents=True, exist_ok=True)
        run.note(f"generating with {engine.name}, seed {generation.seed}")
        try:
            made = engine.generate(generation, EngineRun(run))
        except GenerationStopped:
            raise TaskStopped from None
        return self._outcome(engine, generation, made, prepared)

    def _outcome(
        self, engine: Engine, generation: Generation, made: GenerationResult, prepared: list[str]
    ) -> Mapping[str, Any]:
        files = []
        for file in made.files:
            if not file.path.is_relative_to(generation.folder) or not file.path.is_file():
                raise InternalError(f"{engine.name} named the result {file.path.name}, which is not there.")
            listed = {} if file.listed_as is None else {"listed_as": file.listed_as}
            files.append({"path": self._workspace.relative(file.path), "seed": file.seed, **listed})
        # A workflow of the caller's own may have kept its own seed.
        told = made.files[0].seed if made.files else None
        return {
            "seed": generation.seed if told is None and made.seed_known else told,
            "files": files,
            "warnings": list(dict.fromkeys([*prepared, *made.warnings])),
            "timings": {name: round(seconds, 3) for name, seconds in made.timings.items()},
        }


class EngineRun:
    """A task's run, as an engine sees it: a `GenerationRun`."""

    def __init__(self, run: TaskRun) -> None:
        """Pass on what the engine reports."""
        self.slot = run.slot
        self.environment = run.environment
        self._run = run
        self._progress = StoredProgress()
        #: When it was first told how far it is, and how far it was then, in percent.
        self._first: tuple[float, float] | None = None

    def stopped(self) -> bool:
        """Return whether to end early."""
        return self._run.stopped()

    def report(self, progress: GenerationProgress) -> None:
        """Report the progress, and estimate when it will be done."""
        news = {name: value for name in _NEWS if (value := getattr(progress, name)) is not None}
        if progress.node_id is not None:
            # What the node before it counted is not this one's.
            news |= {"node_value": progress.node_value, "node_max": progress.node_max}
        if progress.percent is not None:
            news["told_percent"] = progress.percent
        at_work = progress.step is not None or progress.node is not None
        if at_work:
            # It is not loading or waiting any more.
            news["detail"] = progress.detail
        self._progress = replace(self._progress, **news)
        self._progress = replace(self._progress, eta_s=self._eta_s())
        self._run.progress(self._progress, progress.phase or (Phase.GENERATING if at_work else None))

    def log(self, text: str) -> None:
        """Write one line to the process's log."""
        self._run.log(text)

    def run_child(self, spec: LaunchSpec, on_line: Callable[[str], None]) -> ChildExit:
        """Run a child to its end."""
        return self._run.run_child(spec, on_line)

    def _eta_s(self) -> float | None:
        done = self._progress.percent
        if not done:
            return None
        now_s = time.monotonic()
        if self._first is None:
            # The model was loaded before that; what comes after it is even.
            self._first = (now_s, done)
        began_s, before = self._first
        return round((now_s - began_s) / (done - before) * (100.0 - done), 1) if done > before else None


def check_gpu(engine: Engine, slot: Slot, free_gpu_memory: FreeGpuMemory) -> None:
    """Check that an engine that is not loaded yet has room on the slot's GPU.

    Raises:
        InsufficientMemory: it has not.
    """
    if slot.gpu is None or not engine.min_gpu_memory_bytes or engine.probe().resident:
        return
    free_bytes = free_gpu_memory(slot.gpu)
    if free_bytes is not None and free_bytes < engine.min_gpu_memory_bytes:
        raise InsufficientMemory(
            f"GPU {slot.gpu} has {free_bytes} bytes of memory free; {engine.name} needs "
            f"{engine.min_gpu_memory_bytes}.",
            hint="Another program may use the GPU; else choose a larger GPU type for the endpoint.",
        )


def _clean_up(generation: Generation) -> None:
    shutil.rmtree(generation.scratch, ignore_errors=True)
    if generation.inputs_folder is not None:
        shutil.rmtree(generation.inputs_folder, ignore_errors=True)
