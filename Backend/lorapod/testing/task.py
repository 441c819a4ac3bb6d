"""A type of process whose tasks count, as slowly as their input says."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorapod.errors import InvalidInput, UpstreamError
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.order import Order, TaskOrder
from lorapod.processes.requests import Capability
from lorapod.processes.slots import GpuResident
from lorapod.processes.task import TaskRun, TaskStopped, TaskWork
from lorapod.processes.work import Plan
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord, TaskDetails


class CountingKind:
    """A `lorapod.processes.work.Kind`.

    Keys of an order's `input`: `steps`, `step_s`; `fail`, a sentence; `deaf`: it never asks whether to stop; `mute`: it
    never tells how far it is; `full`: the disk is; `child`: a Python program that it runs.
    """

    not_resumable = "A count is not taken up again: begin a new one."

    def __init__(
        self,
        name: str = "count",
        *,
        needs_slot: bool = True,
        resumable: bool = False,
        resident: GpuResident | None = None,
    ) -> None:
        """Make tasks that need a slot or not, can be resumed or not, and leave `resident` behind."""
        self.name = name
        self.resumable = resumable
        self._needs_slot = needs_slot
        self._resident = resident
        #: The processes that were cleaned up after.
        self.cleaned: list[str] = []

    @property
    def order_type(self) -> type[Order]:
        """Orders of tasks."""
        return TaskOrder

    def plan(self, process_id: str, order: TaskOrder, live: object = None) -> Plan:
        """Count.

        Raises:
            InvalidInput: to less than nothing.
        """
        del live
        if order.input.get("steps", 0) < 0:
            raise InvalidInput("steps: is less than nothing.")
        return Plan(
            work=TaskWork(
                lambda run: _count(run, order.input),
                needs_slot=self._needs_slot,
                resident=self._resident,
                clean_up=lambda: self.cleaned.append(process_id),
            ),
            name=self.name,
            total_steps=order.input.get("steps", 2),
            task=TaskDetails(restartable=self.resumable),
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return none."""
        del record
        return frozenset()


def _count(run: TaskRun, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    if program := asked.get("child"):
        exit_ = run.run_child(
            LaunchSpec(argv=(sys.executable, "-S", "-c", program), cwd=Path.cwd()), lambda _line: None
        )
        if run.stopped():
            raise TaskStopped
        return {"exit_code": exit_.exit_code, "signal": exit_.signal}
    steps = asked.get("steps", 2)
    for step in range(1, steps + 1):
        time.sleep(asked.get("step_s", 0.01))
        if not asked.get("deaf") and run.stopped():
            raise TaskStopped
        if asked.get("mute"):
            continue
        run.progress(
            StoredProgress(step=step, total_steps=steps, eta_s=(steps - step) * asked.get("step_s", 0.01))
        )
    if asked.get("full"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if sentence := asked.get("fail"):
        raise UpstreamError(sentence)
    run.log(f"counted to {steps}")
    return {"counted": steps}
