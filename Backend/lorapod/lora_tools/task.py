"""LoRA tools as processes: a child on the processor does the work, without a GPU and without waiting for one."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lorapod
from lorapod import weights
from lorapod.errors import InsufficientMemory, InternalError, Unsupported, WorkerError, error_of
from lorapod.lora_tools.cards import card_of
from lorapod.lora_tools.checks import looks_of, source_path, target_for, warnings_of
from lorapod.lora_tools.job import (
    PROGRESS,
    LoraToolAnswer,
    LoraToolJob,
    read_answer,
    write_job,
)
from lorapod.lora_tools.metadata import MADE_BY
from lorapod.lora_tools.order import LoraToolOrder, lora_order
from lorapod.models.card import edit_card
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.placing import INCOMING, place, taken
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.order import Order, TaskOrder
from lorapod.processes.requests import Capability
from lorapod.processes.task import TaskRun, TaskStopped, TaskWork
from lorapod.processes.work import Plan
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord, TaskDetails
from lorapod.workspace import Workspace

_BACKEND = Path(lorapod.__file__).parent.parent
_LIBRARIES = ("torch", "diffusers", "peft")
#: Between two looks of a process that waits for its turn.
_LOOK_S = 0.1
_PROGRESS = re.compile(rf"{PROGRESS}(\d+) of (\d+)")


def _nothing() -> None:
    """Do nothing after a new LoRA."""


class ToolTurns:
    """Lets one tool at a time run on a worker: each uses all processors, and RAM for its largest modules."""

    def __init__(self) -> None:
        """Let the first one run."""
        self._running = threading.Lock()

    @contextmanager
    def of(self, run: TaskRun) -> Iterator[None]:
        """Wait for the turn of a process.

        Raises:
            TaskStopped: it was stopped while it waited.
        """
        while not self._running.acquire(timeout=_LOOK_S):
            run.progress(StoredProgress(detail="waiting for another LoRA tool"))
            if run.stopped():
                raise TaskStopped
        try:
            yield
        finally:
            self._running.release()


@dataclass(kw_only=True)
class LoraToolKind:
    """Processes of type `merge`, `resize` or `convert`."""

    name: str
    workspace: Workspace
    #: Describes the new LoRA.
    models: WorkspaceModels
    #: Shared by all tools of a worker.
    turns: ToolTurns
    #: Called after each new LoRA.
    on_made: Callable[[], None] = _nothing

    resumable = True
    not_resumable = ""

    @property
    def order_type(self) -> type[Order]:
        """Orders of tasks."""
        return TaskOrder

    def plan(self, process_id: str, order: TaskOrder, live: object = None) -> Plan:
        """Look at the LoRAs' headers, and refuse what cannot be done with them.

        Raises:
            WorkerError: what is refused.
        """
        del live
        wanted = lora_order(self.name, order.input)
        if missing := [library for library in _LIBRARIES if find_spec(library) is None]:
            raise Unsupported(
                f"This worker cannot change LoRAs: {missing[0]} is not installed.",
                hint="Install lorapod with its `builtin` extra.",
            )
        target = self._free_target(wanted, process_id)
        looks = looks_of(self.workspace, wanted)
        return Plan(
            work=TaskWork(
                partial(self._make, wanted, target),
                needs_slot=False,
                secrets=order.secrets,
                clean_up=partial(shutil.rmtree, self._folder(process_id), ignore_errors=True),
            ),
            name=target.stem[:100],
            task=TaskDetails(restartable=True),
            warnings=warnings_of(wanted, looks),
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return none: it takes no control requests."""
        del record
        return frozenset()

    def _free_target(self, wanted: LoraToolOrder, process_id: str) -> Path:
        target = target_for(self.workspace, wanted.name)
        if target.exists() and not _is_made_by(target, process_id):
            raise taken(self.workspace, target, hint="Give another `name`.")
        return target

    def _folder(self, process_id: str) -> Path:
        return self.workspace.models / INCOMING / process_id

    def _make(self, wanted: LoraToolOrder, target: Path, run: TaskRun) -> Mapping[str, Any]:
        """Run the child, and put what it made into its place; what a killed worker had placed is made again."""
        self._free_target(wanted, run.process_id)
        looks_of(self.workspace, wanted)
        paths = [source_path(self.workspace, source.path) for source in wanted.sources]
        run.started()
        with self.turns.of(run):
            return self._make_now(wanted, paths, target, run)

    def _make_now(
        self, wanted: LoraToolOrder, paths: Sequence[Path], target: Path, run: TaskRun
    ) -> Mapping[str, Any]:
        folder = self._folder(run.process_id)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        job = LoraToolJob(
            kind=self.name,
            order=asdict(wanted),
            sources=paths,
            target=folder / "model",
            answer=folder / "answer.json",
            notes=self._notes(wanted, target, run.process_id),
        )
        answer = _run_child(job, folder / "job.json", run)
        place(self.workspace, job.target, target, overwrite=target.exists())
        # The LoRA is there, whatever becomes of its card.
        with suppress(OSError):
            edit_card(target, card_of(wanted, paths))
        self.on_made()
        run.note(f"the LoRA is at {self.workspace.relative(target)}")
        return self._outcome(answer, target)

    def _notes(self, wanted: LoraToolOrder, target: Path, process_id: str) -> Mapping[str, str]:
        made_by = {"tool": self.name, "process_id": process_id, **asdict(wanted)}
        names = dict.fromkeys(("name", "ss_output_name", "modelspec.title"), target.stem)
        return {**names, MADE_BY: json.dumps(made_by, ensure_ascii=False), "format": "pt"}

    def _outcome(self, answer: LoraToolAnswer, target: Path) -> Mapping[str, Any]:
        path = self.workspace.relative(target)
        card = self.models.describe(path, kind=None, digest=True)
        outcome: dict[str, Any] = {
            "path": path,
            "model": card.model_dump(mode="json", exclude_none=True),
            "size_bytes": card.size_bytes,
            "sha256": card.sha256,
            "rank": answer.rank,
            "modules": answer.modules,
            "format": answer.key_format,
            "dtypes": list(answer.dtypes),
        }
        if answer.kept_energy is not None:
            outcome["kept_energy"] = answer.kept_energy
        if answer.warnings:
            outcome["warnings"] = list(answer.warnings)
        return outcome


def _run_child(job: LoraToolJob, path: Path, run: TaskRun) -> LoraToolAnswer:
    """Run the child to its end.

    Raises:
        TaskStopped: it was stopped.
        WorkerError: it failed.
    """
    write_job(job, path)

    def read(line: str) -> None:
        if (seen := _PROGRESS.search(line)) is not None:
            done, total = int(seen[1]), int(seen[2])
            run.progress(
                StoredProgress(told_percent=100 * done / max(total, 1), detail=f"{done} of {total} modules")
            )

    spec = LaunchSpec(argv=(sys.executable, "-m", "lorapod.lora_tools.child", str(path)), cwd=_BACKEND)
    child = run.run_child(spec, read)
    if child.stop_requested:
        raise TaskStopped
    answer = read_answer(job.answer)
    if answer is None:
        raise _died(child)
    if answer.error is not None:
        raise error_of(answer.code, answer.error, hint=answer.hint)
    return answer


def _died(child: ChildExit) -> WorkerError:
    if child.signal == signal.SIGKILL:
        return InsufficientMemory(
            "The tool was killed from outside, most likely because the machine ran out of memory.",
            hint="Use smaller LoRAs, or a machine with more memory.",
        )
    return InternalError("The tool ended without an answer.", hint="See the end of its log.")


def _is_made_by(path: Path, process_id: str) -> bool:
    """Return whether a LoRA is the result of this very process, which its worker could not report any more."""
    try:
        made_by = json.loads(weights.read_header(path).metadata.get(MADE_BY, "{}"))
    except (WorkerError, ValueError):
        return False
    return isinstance(made_by, dict) and made_by.get("process_id") == process_id
