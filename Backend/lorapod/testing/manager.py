"""A process manager for tests: the real one, with a trainer that starts in a moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lorapod.clock import SystemClock
from lorapod.lease import LeaseTimes
from lorapod.processes.context import ProcessContext
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TaskOrder, TrainingOrder
from lorapod.processes.pulse import Pulse, new_holder
from lorapod.processes.slots import SlotPool
from lorapod.processes.starting import ColdStarter
from lorapod.processes.store.file import open_file_store
from lorapod.processes.store.port import StateStore
from lorapod.processes.template.pool import TemplatePool
from lorapod.processes.work import Kind
from lorapod.records.record import ProcessRecord
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.early_stop import LikenessSource
from lorapod.trainers.preparation import DatasetProvider
from lorapod.trainers.training import TrainingKind
from lorapod.workspace import Workspace

#: Longest wait for anything that is sure to come.
SOON_S = 20.0


def open_manager(
    root: Path,
    *,
    gpus: tuple[int, ...] = (),
    max_log_bytes: int = 1_000_000,
    worker_id: str = "worker-1",
    lease_s: float = 2.0,
    store: StateStore | None = None,
    warm: bool = True,
    datasets: DatasetProvider | None = None,
    likeness: LikenessSource | None = None,
    kinds: Sequence[Kind] = (),
    gpu_name: Callable[[int], str | None] = lambda _: None,
    on_start: Callable[[ProcessRecord], None] = lambda _: None,
    on_change: Callable[[ProcessRecord], None] = lambda _: None,
) -> RealProcessManager:
    """Yield a started manager on a workspace, with its state there too unless `store` is given; close it."""
    clock = SystemClock()
    workspace = Workspace.create(root)
    store = store or open_file_store(workspace.processes, clock)
    context = ProcessContext(
        workspace=workspace,
        store=store,
        pulse=Pulse(store.heartbeats, new_holder(worker_id), LeaseTimes(lease_s=lease_s), clock),
        slots=SlotPool(gpus),
        clock=clock,
        environment={"PATH": os.environ["PATH"]},
        max_log_bytes=max_log_bytes,
        starter=TemplatePool() if warm else ColdStarter(),
        gpu_name=gpu_name,
        on_start=on_start,
        on_change=on_change,
    )
    scratch = root.parent / "scratch"
    trainings = TrainingKind(
        {"script": ScriptTrainer()}, context, scratch=scratch, datasets=datasets, likeness=likeness
    )
    manager = RealProcessManager(context, [trainings, *kinds], worker_id=worker_id)
    manager.start()
    return manager


def train_on(
    manager: RealProcessManager, *, idempotency_key: str | None = None, **config: Any
) -> ProcessRecord:
    """Start a training of the script trainer, whose config is `config`."""
    order = TrainingOrder(trainer="script", config=config, idempotency_key=idempotency_key)
    return manager.submit("train", order).record


def task_on(
    manager: RealProcessManager,
    type_: str,
    *,
    refuse_if_busy: bool = False,
    runpod_job_id: str | None = None,
    **asked: Any,
) -> ProcessRecord:
    """Start a task whose input is `asked`."""
    order = TaskOrder(input=asked, refuse_if_busy=refuse_if_busy, runpod_job_id=runpod_job_id)
    return manager.submit(type_, order).record


async def until(
    manager: RealProcessManager, record: ProcessRecord, reached: Callable[[ProcessRecord], bool]
) -> ProcessRecord:
    """Wait until a process has reached something.

    Raises:
        TimeoutError: it has not within `SOON_S`.
    """
    return await asyncio.wait_for(manager.wait_until(record.process_id, reached), SOON_S)


async def ended(manager: RealProcessManager, record: ProcessRecord) -> ProcessRecord:
    """Wait for the end of a process.

    Raises:
        TimeoutError: it has none within `SOON_S`.
    """
    return await until(manager, record, lambda now: now.status.final)
