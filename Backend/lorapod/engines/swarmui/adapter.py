"""SwarmUI behind the engine port."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence

from lorapod.clock import Clock
from lorapod.engines.port import EngineBundle, EngineStatus, Generation, GenerationResult, GenerationRun
from lorapod.engines.swarmui.addresses import ModelAddresses
from lorapod.engines.swarmui.connection import SwarmUnreachable, connected
from lorapod.engines.swarmui.downloads import SwarmDownloads
from lorapod.engines.swarmui.models import SwarmModels
from lorapod.engines.swarmui.options import SwarmOptions
from lorapod.engines.swarmui.parameters import check
from lorapod.engines.swarmui.readiness import RESTART_S, backends
from lorapod.engines.swarmui.session import SwarmCaller, SwarmSession
from lorapod.engines.swarmui.work import SwarmWork
from lorapod.errors import WorkerError
from lorapod.safety.urls import shown_url
from lorapod.settings import Settings
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

NAME = "swarmui"

#: How long the server may take to answer a probe, and how long that answer counts.
PROBE_S = 0.5
PROBED_S = 5.0

#: How long it may take to give its memory up.
RELEASE_S = 15.0

#: How long it may take to answer a ping.
PING_S = 10.0


class SwarmUIEngine:
    """A `lorapod.engines.port.Engine`.

    Each call opens an event loop and connections of its own, which costs about a millisecond; the sessions stay.
    Generations have one for themselves: what interrupts it interrupts nothing else.
    """

    name = NAME
    #: SwarmUI may generate on another machine; on this one, it finds the GPU itself.
    needs_gpu = False
    min_gpu_memory_bytes = 0

    def __init__(self, options: SwarmOptions, *, clock: Clock, session: SwarmSession | None = None) -> None:
        """Build the engine; ask nothing yet.

        Args:
            options: its URL and time limits.
            clock: measures waits.
            session: for everything but generations; may be shared.
        """
        self._options = options
        self._clock = clock
        self._session = session or SwarmSession()
        self._generating = SwarmSession()
        self._began_s = clock.monotonic()
        self._answered = False
        self._busy = False
        self._loaded = False
        self._model: str | None = None
        self._probed: tuple[float, EngineStatus] | None = None
        self._probing = threading.Lock()

    @classmethod
    def open(cls, settings: Settings, workspace: Workspace, clock: Clock) -> EngineBundle:
        """Build the engine, its list of models and its downloads; they share one session."""
        options, session = SwarmOptions.from_settings(settings, workspace), SwarmSession()
        return EngineBundle(
            engine=cls(options, clock=clock, session=session),
            catalog=SwarmModels(options.url, session, named=options.address is not None),
            downloads=SwarmDownloads(options.url, session, ModelAddresses.from_settings(settings)),
        )

    def probe(self) -> EngineStatus:
        """Return the state of a few seconds ago; ask again after `PROBED_S`, and never wait long."""
        with self._probing:
            if self._probed is None or self._clock.monotonic() - self._probed[0] >= PROBED_S:
                self._probed = (self._clock.monotonic(), asyncio.run(self._probe()))
            found = self._probed[1]
        return EngineStatus(
            available=found.available,
            version=found.version,
            detail=found.detail,
            resident=self._loaded,
            model=self._model if self._loaded else None,
        )

    def prepare(self, generation: Generation) -> Sequence[str]:
        """Check what needs no server; the rest is checked once it has answered.

        Raises:
            WorkerError: it cannot be generated like this.
        """
        return check(generation)

    def generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        """Wait until SwarmUI is ready, and have it generate.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: it failed.
            OSError: the disk failed.
        """
        try:
            return asyncio.run(self._generate(generation, run))
        finally:
            self._busy = False

    def release(self) -> None:
        """Have SwarmUI's backends free the GPU's memory; a server that is not there holds none."""
        if not self._answered:
            return
        try:
            asyncio.run(self._release())
        except SwarmUnreachable:
            logger.info("SwarmUI is away, so it has no memory to free")
        except WorkerError as error:
            logger.warning("SwarmUI did not free its memory", extra={"reason": error.message})
            return
        self._loaded = False

    def close(self) -> None:
        """Do nothing: nothing was started."""

    def keep_warm(self) -> None:
        """Have SwarmUI give a new session, which takes the old one's place.

        Raises:
            WorkerError: it does not answer.
        """
        asyncio.run(self._keep_warm())

    async def _probe(self) -> EngineStatus:
        where = shown_url(self._options.url)
        version = granted.version if (granted := self._session.granted) else None
        if self._busy:
            # It may be slow to answer now, and it is there: it generates.
            return EngineStatus(available=True, version=version, detail=f"SwarmUI at {where} generates")
        try:
            # A generation that renews the session at this moment may need longer.
            async with asyncio.timeout(2 * PROBE_S), connected(self._options.url) as connection:
                granted = await self._session.get(connection, timeout_s=PROBE_S)
                found = await backends(SwarmCaller(connection, self._session), timeout_s=PROBE_S)
        except WorkerError as error:
            return self._away(error.message)
        except TimeoutError:
            return self._away(f"SwarmUI at {where} does not answer.")
        self._answered = True
        return EngineStatus(
            available=found.refusal() is None,
            version=granted.version,
            detail=f"SwarmUI at {where}: {found.sentence()}",
        )

    def _away(self, why: str) -> EngineStatus:
        """Return the state of a server that does not answer: one that the operator named may still be starting."""
        left_s = self._options.startup_timeout_s - (self._clock.monotonic() - self._began_s)
        if self._options.address is not None and not self._answered and left_s > 0:
            detail = f"{why} It may be starting: a generation waits {left_s:.0f} s more for it."
            return EngineStatus(available=True, detail=detail)
        return EngineStatus(available=False, detail=why)

    async def _generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        async with connected(self._options.url) as connection:
            work = SwarmWork(
                caller=SwarmCaller(connection, self._generating),
                generation=generation,
                run=run,
                options=self._options,
                clock=self._clock,
            )
            ready = await work.get_ready(RESTART_S if self._answered else self._options.startup_timeout_s)
            self._answered = self._loaded = self._busy = True
            self._model = ready.model
            return await work.generate(ready)

    async def _keep_warm(self) -> None:
        known = self._session.granted
        async with connected(self._options.url) as connection:
            await self._session.get(connection, but=known.session_id if known else None, timeout_s=PING_S)
        self._answered = True

    async def _release(self) -> None:
        async with connected(self._options.url) as connection:
            await SwarmCaller(connection, self._session).call(
                "FreeBackendMemory", {"system_ram": False, "backend": "all"}, timeout_s=RELEASE_S
            )
