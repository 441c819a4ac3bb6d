"""The engine: SwarmUI as the worker's port wants it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorapod.clock import Clock
from lorapod.engines.port import EngineStatus, Generated, Generation, GenerationProgress, GenerationRun
from lorapod.engines.swarmui.catalogue import Catalogue, catalogue
from lorapod.engines.swarmui.generating import Picturing
from lorapod.engines.swarmui.link import linked
from lorapod.engines.swarmui.loras import LoraFolder, ModelRoots, seen
from lorapod.engines.swarmui.parameters import batch_size, check, parameters, unknown
from lorapod.engines.swarmui.readiness import backends, ready
from lorapod.engines.swarmui.session import Caller, Session
from lorapod.engines.swarmui.stopping import stoppable
from lorapod.errors import WorkerError
from lorapod.safety.part_file import Room
from lorapod.safety.urls import shown_url
from lorapod.settings import Settings
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

NAME = "swarmui"

#: Where SwarmUI listens unless it is told otherwise.
USUAL_ADDRESS = "http://127.0.0.1:7801"

#: How long the server may take to answer a probe, and how long that answer counts.
PROBE_S = 0.5
PROBED_S = 5.0

#: How long it may take to give its memory up.
RELEASE_S = 15.0

#: A server that has answered before is started anew within so long, or not at all.
RESTART_S = 60.0

#: The largest file that is fetched from it.
PICTURE_MAX_BYTES = 20_000_000_000


@dataclass(frozen=True, kw_only=True)
class SwarmOptions:
    """Where SwarmUI is, and how much it is waited for."""

    #: None: at its usual place on this machine, if there.
    address: str | None = None
    startup_timeout_s: float = 1800.0
    generation_timeout_s: float = 600.0
    keep_free_bytes: int = 1_000_000_000
    roots: ModelRoots = field(default_factory=ModelRoots)

    @classmethod
    def from_settings(cls, settings: Settings, workspace: Workspace) -> SwarmOptions:
        """What `SWARMUI_…` and the timeouts say; SwarmUI itself is looked for where its models are linked too."""
        named = settings.swarmui_path
        usual = (Path("/app/SwarmUI"), workspace.root / "SwarmUI")
        return cls(
            address=settings.swarmui_api_url,
            startup_timeout_s=settings.startup_timeout,
            generation_timeout_s=settings.generation_timeout,
            keep_free_bytes=settings.disk_min_free_bytes,
            roots=ModelRoots(
                named=settings.swarmui_models_path, installations=usual if named is None else (named,)
            ),
        )

    @property
    def url(self) -> str:
        """Its address."""
        return self.address or USUAL_ADDRESS


class SwarmUIEngine:
    """A `lorapod.engines.port.Engine`.

    Each call opens an event loop and connections of its own, which costs about a millisecond; the sessions stay.
    Generations have one for themselves: what interrupts it interrupts nothing else.
    """

    name = NAME
    #: SwarmUI may generate on another machine; where it runs on this one, it finds the GPU itself.
    needs_gpu = False
    min_gpu_memory_bytes = 0

    def __init__(self, options: SwarmOptions, *, clock: Clock, session: Session | None = None) -> None:
        """Nothing is asked yet.

        Args:
            options: where it is.
            clock: measures waits.
            session: for whatever is no generation; others may share it.
        """
        self._options = options
        self._clock = clock
        self._session = session or Session()
        self._generating = Session()
        self._began_s = clock.monotonic()
        self._answered = False
        self._busy = False
        self._loaded = False
        self._model: str | None = None
        self._probed: tuple[float, EngineStatus] | None = None
        self._probing = threading.Lock()

    def probe(self) -> EngineStatus:
        """What it answered a moment ago; asked anew every few seconds, and never for long."""
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
        """Judge what needs no server; the rest is told when it has answered.

        Raises:
            WorkerError: it cannot be generated like this.
        """
        return check(generation)

    def generate(self, generation: Generation, run: GenerationRun) -> Generated:
        """Wait for SwarmUI where it is not ready, and have it generate.

        Raises:
            Stopped: it was told to end.
            WorkerError: it failed.
            OSError: the disk failed.
        """
        try:
            return asyncio.run(self._generate(generation, run))
        finally:
            self._busy = False

    def release(self) -> None:
        """Have SwarmUI's backends free the GPU's memory, whoever made them load; one that is away holds none."""
        if not self._answered:
            return
        try:
            asyncio.run(self._release())
        except WorkerError as error:
            logger.warning("SwarmUI did not free its memory", extra={"reason": error.message})
        self._loaded = False

    def close(self) -> None:
        """Nothing was started."""

    async def _probe(self) -> EngineStatus:
        where = shown_url(self._options.url)
        version = granted.version if (granted := self._session.granted) else None
        if self._busy:
            # It may be slow to answer now, and it is there: it generates.
            return EngineStatus(available=True, version=version, detail=f"SwarmUI at {where} generates")
        try:
            async with linked(self._options.url) as link:
                granted = await self._session.get(link, timeout_s=PROBE_S)
                found = await backends(Caller(link, self._session), timeout_s=PROBE_S)
        except WorkerError as error:
            return self._away(error)
        self._answered = True
        return EngineStatus(
            available=found.refusal() is None,
            version=granted.version,
            detail=f"SwarmUI at {where}: {found.sentence()}",
        )

    def _away(self, error: WorkerError) -> EngineStatus:
        """What to say of a server that does not answer: one that an operator has named may still be starting."""
        left_s = self._options.startup_timeout_s - (self._clock.monotonic() - self._began_s)
        if self._options.address is not None and not self._answered and left_s > 0:
            detail = f"{error.message} It may be starting: a generation waits {left_s:.0f} s more for it."
            return EngineStatus(available=True, detail=detail)
        return EngineStatus(available=False, detail=error.message)

    async def _generate(self, generation: Generation, run: GenerationRun) -> Generated:
        began_s = self._clock.monotonic()
        async with linked(self._options.url) as link:
            caller = Caller(link, self._generating)
            patience_s = RESTART_S if self._answered else self._options.startup_timeout_s
            known, names = await stoppable(
                self._get_ready(caller, generation, run, min(patience_s, self._options.startup_timeout_s)),
                stopped=run.stopped,
                interrupt=None,
                within_s=patience_s + 300.0,
                what="Getting SwarmUI ready",
            )
            self._answered = True
            ready_s = self._clock.monotonic()
            asked = parameters(generation, names)
            picturing = Picturing(
                caller=caller,
                generation=generation,
                run=run,
                asked=asked,
                room=Room(max_bytes=PICTURE_MAX_BYTES, keep_free_bytes=self._options.keep_free_bytes),
                clock=self._clock,
                within_s=self._options.generation_timeout_s,
            )
            self._loaded = self._busy = True
            files = await stoppable(
                picturing.pictures(),
                stopped=run.stopped,
                interrupt=picturing.interrupt,
                within_s=self._options.generation_timeout_s,
                what="The generation",
            )
        model = asked.get("model")
        self._model = str(model) if model is not None else None
        warnings = unknown(asked, known)
        expected = generation.num_images * batch_size(asked)
        if len(files) < expected:
            warnings.append(
                f"SwarmUI made {len(files)} of {expected} pictures: the others were refused there."
            )
        return Generated(
            files=files,
            warnings=warnings,
            timings={
                "ready_s": round(ready_s - began_s, 3),
                "generate_s": round(self._clock.monotonic() - ready_s, 3),
            },
        )

    async def _get_ready(
        self, caller: Caller, generation: Generation, run: GenerationRun, patience_s: float
    ) -> tuple[Catalogue, Sequence[str]]:
        """Wait for the server, and have every LoRA where it finds it; answers what it knows, and the LoRAs' names."""

        def tell(sentence: str) -> None:
            run.log(sentence)
            run.tell(GenerationProgress(detail="waiting for SwarmUI"))

        await ready(caller, patience_s=patience_s, clock=self._clock, tell=tell)
        known = await catalogue(caller)
        if not generation.loras:
            return known, []
        folder = LoraFolder(
            path=await self._options.roots.lora_folder(caller), keep_free_bytes=self._options.keep_free_bytes
        )
        names = [await asyncio.to_thread(folder.place, lora) for lora in generation.loras]
        return await seen(caller, names, known, self._clock), names

    async def _release(self) -> None:
        async with linked(self._options.url) as link:
            await Caller(link, self._session).call(
                "FreeBackendMemory", {"system_ram": False, "backend": "all"}, timeout_s=RELEASE_S
            )
