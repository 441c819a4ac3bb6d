"""The local endpoint: RunPod's queue and its worker protocol, served for one machine."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from lorapod.endpoint.caller_routes import CallerRoutes
from lorapod.endpoint.config import EndpointConfig
from lorapod.endpoint.jobs import EndpointJob
from lorapod.endpoint.pool import WorkerInfo, WorkerPool
from lorapod.endpoint.registry import JobRegistry
from lorapod.endpoint.webhook import Webhooks
from lorapod.endpoint.worker_routes import WorkerRoutes, worker_environment

log = logging.getLogger(__name__)

#: Hosts that mean every address of the machine; the workers use the loopback then.
_EVERY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104

#: How often to check deadlines, idle times and the need for workers.
TICK_S = 0.1

#: Variables of a RunPod worker around this endpoint that must not reach the workers of this one.
_FOREIGN_VARIABLES = ("RUNPOD_REALTIME_PORT", "RUNPOD_REALTIME_CONCURRENCY")

#: A worker reaches its endpoint over the loopback, not through the environment's proxy.
_PAST_PROXIES = "127.0.0.1,localhost,::1"

#: What a worker needs without a GPU and without internet; the environment overrides it.
_WORKER_DEFAULTS = {
    "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
    "RUNPOD_SKIP_GPU_CHECK": "true",
    "RUNPOD_DEBUG_LEVEL": "INFO",
    "PYTHONUNBUFFERED": "1",
}


class LocalEndpoint:
    """An endpoint on this machine; `async with` starts it and stops it with all its workers."""

    def __init__(self, config: EndpointConfig, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Prepare an endpoint; `start` opens it. A test may give its own clock, in seconds."""
        self.config = config
        self._monotonic = monotonic
        self._webhooks = Webhooks(attempts=config.webhook_attempts, wait_s=config.webhook_wait_s)
        self._registry = JobRegistry(
            limits=config.limits,
            monotonic=self._monotonic,
            on_end=self._webhooks.announce,
            on_stop=self._stop_job,
        )
        self._pool = WorkerPool(
            config, registry=self._registry, monotonic=self._monotonic, environment=self._environment
        )
        self._runner: web.AppRunner | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._port = config.port

    @property
    def base_url(self) -> str:
        """The URL where it listens, e.g. `http://127.0.0.1:8000`."""
        host = "127.0.0.1" if self.config.host in _EVERY_ADDRESS else self.config.host
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def url(self) -> str:
        """The URL for callers, without `/run`, e.g. `http://127.0.0.1:8000/v2/local`."""
        return f"{self.base_url}/v2/{self.config.endpoint_id}"

    @property
    def workers(self) -> list[WorkerInfo]:
        """The workers, with their process ids and states."""
        return self._pool.workers

    async def start(self) -> None:
        """Listen, then start the workers.

        Raises:
            OSError: the port is taken, or the command does not exist.
        """
        command = self.config.command[0]
        folder = self.config.working_folder
        if shutil.which(command) is None and not (folder and shutil.which(folder / command)):
            raise FileNotFoundError(f"there is no command {command!r} to start a worker with")
        app = web.Application()
        config = self.config
        callers = CallerRoutes(
            registry=self._registry,
            pool=self._pool,
            limits=config.limits,
            endpoint_id=config.endpoint_id,
            api_key=config.api_key,
        )
        workers = WorkerRoutes(registry=self._registry, pool=self._pool, limits=config.limits)
        app.add_routes([*callers.routes(), *workers.routes()])
        # Handlers are cancelled when their client goes: a poll must not take a job for a dead worker.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, config.host, config.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        self._pool.start()
        self._ticking = asyncio.create_task(self._tick(), name="endpoint-tick")
        log.info("endpoint listens", extra={"url": self.url})

    async def close(self) -> None:
        """Stop the workers, then stop listening."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        await self._pool.close()
        await self._webhooks.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def interrupt_worker(self, worker_id: str) -> None:
        """Stop a worker, as a platform does that takes its machine back, and start another.

        No more jobs, SIGTERM at once, SIGKILL after `stop_grace_s`; what it had not finished is queued
        again. An unknown id does nothing: that worker has ended.
        """
        self._pool.interrupt(worker_id)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def _tick(self) -> None:
        while True:
            self._registry.tick()
            self._pool.tick()
            await asyncio.sleep(TICK_S)

    def _stop_job(self, job: EndpointJob) -> None:
        channel = self._pool.channel_of(job.worker_id)
        if channel is not None:
            channel.stop_job(job)

    def _environment(self, worker_id: str, token: str) -> Mapping[str, str]:
        # A worker has the endpoint's own environment, as a container has its image's; the one place
        # beside the settings where it is read, because here it is only passed on.
        inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN_VARIABLES}
        environment = {**_WORKER_DEFAULTS, **inherited, **self.config.environment}
        past_proxies = ",".join(filter(None, [environment.get("NO_PROXY"), _PAST_PROXIES]))
        return {
            **environment,
            "NO_PROXY": past_proxies,
            "no_proxy": past_proxies,
            **worker_environment(
                self.base_url,
                worker_id=worker_id,
                token=token,
                endpoint_id=self.config.endpoint_id,
                ping_interval_s=self.config.ping_interval_s,
            ),
        }
