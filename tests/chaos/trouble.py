"""The trouble-maker: does to workers, at random moments, what a platform and a machine do to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass

from lorapod.endpoint import LocalEndpoint, WorkerState


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How bad it gets."""

    #: Between two troubles, in seconds.
    least_s: float
    most_s: float
    #: The longest time that a worker is frozen for, in seconds.
    freeze_s: float


class TroubleMaker:
    """Kills, stops and freezes the workers of an endpoint until it is told to rest."""

    def __init__(self, endpoint: LocalEndpoint, seed: int, pace: Pace) -> None:
        """Every choice comes from the seed."""
        self.done: Counter[str] = Counter()
        self._endpoint = endpoint
        self._chance = random.Random(f"{seed}-trouble")
        self._pace = pace
        self._frozen: set[int] = set()
        self._thaws: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Make trouble until cancelled; then everything frozen goes on."""
        try:
            while True:
                await asyncio.sleep(self._chance.uniform(self._pace.least_s, self._pace.most_s))
                self._strike()
        finally:
            for thaw in self._thaws:
                thaw.cancel()
            for pid in list(self._frozen):
                self._signal(pid, signal.SIGCONT)

    def _strike(self) -> None:
        up = {WorkerState.IDLE, WorkerState.RUNNING, WorkerState.UNHEALTHY}
        victims = [
            worker
            for worker in self._endpoint.workers
            if worker.pid is not None and worker.state in up and worker.pid not in self._frozen
        ]
        if not victims:
            return
        worker = self._chance.choice(victims)
        assert worker.pid is not None
        assert worker.worker_id is not None
        kind = self._chance.choices(("killed", "terminated", "taken away", "frozen"), weights=(3, 2, 1, 4))[0]
        self.done[kind] += 1
        if kind == "killed":
            self._signal(worker.pid, signal.SIGKILL)
        elif kind == "terminated":
            self._signal(worker.pid, signal.SIGTERM)
        elif kind == "taken away":
            self._endpoint.interrupt_worker(worker.worker_id)
        else:
            self._frozen.add(worker.pid)
            self._signal(worker.pid, signal.SIGSTOP)
            thaw = asyncio.create_task(self._thaw(worker.pid, self._chance.uniform(0.2, self._pace.freeze_s)))
            self._thaws.add(thaw)
            thaw.add_done_callback(self._thaws.discard)

    async def _thaw(self, pid: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self._frozen.discard(pid)
        self._signal(pid, signal.SIGCONT)

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
