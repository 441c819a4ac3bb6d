"""The workers of an endpoint: started when jobs wait, stopped when idle, restarted when they die."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from lorapod.endpoint.channel import WorkerChannel
from lorapod.endpoint.config import EndpointConfig
from lorapod.endpoint.process import WorkerProcess
from lorapod.endpoint.registry import JobRegistry

log = logging.getLogger(__name__)

#: A worker that lived this long did not crash at its start: the next wait is the first one again.
STEADY_AFTER_S = 30.0


class WorkerState(StrEnum):
    """The states of a worker, named as in `/health`."""

    #: Started, but has not asked for a job yet.
    INITIALIZING = "initializing"
    #: Ready, without a job.
    IDLE = "idle"
    #: Ready, with at least one job.
    RUNNING = "running"
    #: Gets no more jobs; its process is stopped once its jobs are done.
    STOPPING = "stopping"
    #: Running, but its heartbeat has stopped.
    UNHEALTHY = "unhealthy"
    #: Crashed, and waits for its restart.
    THROTTLED = "throttled"
    #: Not needed now.
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class WorkerInfo:
    """A worker, for callers of the pool."""

    #: None while no process runs.
    worker_id: str | None
    #: Id of the leader of its process group.
    pid: int | None
    state: WorkerState


class WorkerSlot:
    """A slot for one worker: one process after the other."""

    def __init__(self, number: int) -> None:
        """Create an empty slot."""
        self.number = number
        #: Set while a process should run in this slot.
        self.wanted = asyncio.Event()
        self.process: WorkerProcess | None = None
        self.channel: WorkerChannel | None = None
        self.crashes = 0
        self.stopping: asyncio.Task[None] | None = None


class WorkerPool:
    """Every worker of one endpoint. Belongs to one event loop."""

    def __init__(
        self,
        config: EndpointConfig,
        *,
        registry: JobRegistry,
        monotonic: Callable[[], float],
        environment: Callable[[str, str], Mapping[str, str]],
    ) -> None:
        """Create a pool without processes.

        Args:
            config: sizes and times.
            registry: its jobs are queued again if their worker dies.
            monotonic: the clock of idle times and heartbeats, in seconds.
            environment: returns the whole environment of a worker, from its id and token.
        """
        self._config = config
        self._registry = registry
        self._monotonic = monotonic
        self._environment = environment
        self._slots = [WorkerSlot(number) for number in range(1, config.workers + 1)]
        self._channels: dict[str, tuple[str, WorkerChannel]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    @property
    def workers(self) -> list[WorkerInfo]:
        """Return the worker of each slot."""
        return [
            WorkerInfo(
                worker_id=slot.channel.worker_id if slot.channel else None,
                pid=slot.process.pid if slot.process else None,
                state=self._state(slot),
            )
            for slot in self._slots
        ]

    def health(self) -> dict[str, int]:
        """Return the `workers` of `/health`; `ready` counts the idle and running ones."""
        states = Counter(self._state(slot) for slot in self._slots)
        return {
            "idle": states[WorkerState.IDLE],
            "initializing": states[WorkerState.INITIALIZING],
            "ready": states[WorkerState.IDLE] + states[WorkerState.RUNNING],
            "running": states[WorkerState.RUNNING],
            "throttled": states[WorkerState.THROTTLED],
            "unhealthy": states[WorkerState.UNHEALTHY],
        }

    def channel(self, worker_id: str, token: str) -> WorkerChannel | None:
        """Return the channel of a live worker if the token is its own."""
        known, channel = self._channels.get(worker_id, ("", None))
        return channel if secrets.compare_digest(known.encode(), token.encode()) else None

    def channel_of(self, worker_id: str | None) -> WorkerChannel | None:
        """Return the channel of a worker if it is alive."""
        return self._channels[worker_id][1] if worker_id in self._channels else None

    def start(self) -> None:
        """Start the workers that always run."""
        for slot in self._slots[: self._config.active_workers]:
            slot.wanted.set()
        self._tasks = [
            asyncio.create_task(self._occupy(slot), name=f"worker-{slot.number}") for slot in self._slots
        ]

    def tick(self) -> None:
        """Start and stop workers as the queue needs; call it often."""
        now = self._monotonic()
        for slot in self._slots:
            if slot.channel is not None and self._busy(slot.channel):
                slot.channel.last_busy_at = now
        self._scale_up(now)
        self._scale_down(now)
        self._terminate_drained()

    def retire(self, worker_id: str) -> None:
        """Replace a worker by a new one once its jobs are done (`stopPod`)."""
        for slot in self._slots:
            if slot.channel is not None and slot.channel.worker_id == worker_id:
                slot.channel.drain()

    def interrupt(self, worker_id: str) -> None:
        """Stop a worker now, as a platform does that takes its machine back."""
        for slot in self._slots:
            if slot.process and slot.channel and slot.channel.worker_id == worker_id:
                slot.channel.drain()
                slot.stopping = slot.stopping or asyncio.create_task(self._terminate(slot.process))

    async def close(self) -> None:
        """Stop every worker with its process group; return once they have ended."""
        self._closing = True
        for slot in self._slots:
            slot.wanted.clear()
            if slot.process is not None and slot.channel is not None:
                slot.channel.drain()
                slot.process.terminate()
        running = [slot.process for slot in self._slots if slot.process is not None]
        waits = [asyncio.create_task(process.wait()) for process in running]
        if waits:
            _, late = await asyncio.wait(waits, timeout=self._config.stop_grace_s)
            if late:
                for process in running:
                    process.kill()
                await asyncio.wait(late)
        tasks = [*self._tasks, *(slot.stopping for slot in self._slots if slot.stopping)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _state(self, slot: WorkerSlot) -> WorkerState:
        channel = slot.channel
        if slot.process is None or channel is None:
            waits = slot.wanted.is_set() and slot.crashes
            return WorkerState.THROTTLED if waits else WorkerState.STOPPED
        if channel.draining:
            return WorkerState.STOPPING
        age_s = self._monotonic() - (channel.last_ping_at or math.inf)
        if age_s > self._config.stale_after_s:
            return WorkerState.UNHEALTHY
        if not channel.ready:
            return WorkerState.INITIALIZING
        return WorkerState.RUNNING if self._busy(channel) else WorkerState.IDLE

    def _busy(self, channel: WorkerChannel) -> bool:
        return bool(self._registry.running(channel.worker_id) or channel.winding_down)

    def _scale_up(self, now: float) -> None:
        waiting = [job for job in self._registry.queued() if not job.low_priority]
        spare = [slot for slot in self._slots if not slot.wanted.is_set() and slot.process is None]
        if not waiting or not spare or self._closing:
            return
        states = [self._state(slot) for slot in self._slots if slot.wanted.is_set()]
        coming = sum(state in (WorkerState.INITIALIZING, WorkerState.IDLE) for state in states)
        overdue = sum(now - job.submitted_at >= self._config.scale_up_delay_s for job in waiting)
        for slot in spare[: max(overdue - coming, 0 if states else 1)]:
            slot.wanted.set()

    def _scale_down(self, now: float) -> None:
        if self._config.idle_timeout_s is None:
            return
        active = [slot for slot in self._slots if slot.wanted.is_set()]
        idle = [
            (slot, slot.channel)
            for slot in active
            if slot.channel is not None
            and self._state(slot) is WorkerState.IDLE
            and now - slot.channel.last_busy_at >= self._config.idle_timeout_s
        ]
        for slot, channel in idle[: max(0, len(active) - self._config.active_workers)]:
            log.info("worker is idle and is stopped", extra={"worker_id": channel.worker_id})
            slot.wanted.clear()
            channel.drain()

    def _terminate_drained(self) -> None:
        for slot in self._slots:
            process, channel = slot.process, slot.channel
            if process is None or channel is None or not channel.draining or slot.stopping is not None:
                continue
            if not self._registry.running(channel.worker_id):
                slot.stopping = asyncio.create_task(self._terminate(process))

    async def _terminate(self, process: WorkerProcess) -> None:
        process.terminate()
        try:
            async with asyncio.timeout(self._config.stop_grace_s):
                await process.wait()
        except TimeoutError:
            log.warning(
                "worker did not end %g s after SIGTERM and is killed",
                self._config.stop_grace_s,
                extra={"worker_id": process.worker_id},
            )
            process.kill()

    async def _occupy(self, slot: WorkerSlot) -> None:
        while not self._closing:
            await slot.wanted.wait()
            try:
                steady = await self._run_once(slot)
            except OSError as error:
                log.warning("worker cannot be started: %s", error, extra={"worker": slot.number})
                steady = False
            slot.crashes = 0 if steady else slot.crashes + 1
            if slot.crashes and not self._closing:
                wait_s = self._config.restart_wait_s * 2.0 ** min(slot.crashes - 1, 16)
                await asyncio.sleep(min(wait_s, self._config.restart_wait_max_s))

    async def _run_once(self, slot: WorkerSlot) -> bool:
        """Run one process to its end; return False if it crashed soon after its start."""
        if self._closing:
            return True
        token = secrets.token_urlsafe(16)
        worker_id = f"worker{slot.number}-{secrets.token_hex(4)}"
        channel = WorkerChannel(worker_id, hold_s=self._config.poll_hold_s, monotonic=self._monotonic)
        # No await between start and assignment: `close` must not miss a process.
        process = WorkerProcess(
            worker_id,
            self._config.command,
            environment=self._environment(worker_id, token),
            working_folder=self._config.working_folder,
            log_folder=self._config.log_folder,
        )
        slot.process, slot.channel, slot.stopping = process, channel, None
        self._channels[worker_id] = (token, channel)
        log.info("worker is started", extra={"worker_id": worker_id, "pid": process.pid})
        try:
            code = await process.run()
            asked = channel.draining or self._closing
        finally:
            del self._channels[worker_id]
            channel.drain()
            slot.process, slot.channel = None, None
        log.log(
            logging.INFO if asked else logging.WARNING,
            "worker has ended with exit code %d",
            code,
            extra={"worker_id": worker_id, "exit_code": code},
        )
        self._registry.worker_lost(worker_id, f"worker {worker_id} ended with exit code {code}")
        return asked or self._monotonic() - channel.started_at >= STEADY_AFTER_S
