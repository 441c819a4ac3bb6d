"""One generation at SwarmUI: over its websocket, which tells how far it is, else one request a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorapod.clock import Clock
from lorapod.engines.port import GeneratedFile, Generation, GenerationProgress, GenerationRun
from lorapod.engines.swarmui.connection import NoSocket
from lorapod.engines.swarmui.parameters import alone, batch_size, seed_of
from lorapod.engines.swarmui.pictures import save
from lorapod.engines.swarmui.readiness import RESTART_S, ready
from lorapod.engines.swarmui.session import SwarmCaller
from lorapod.engines.swarmui.stream import Arrival, Stream
from lorapod.engines.swarmui.websocket import SocketDropped
from lorapod.errors import Unsupported, UpstreamError, WorkerError
from lorapod.safety.part_file import Room

#: How long a server that has just broken off may take to hear that its work is not wanted any more.
INTERRUPT_S = 5.0


@dataclass(kw_only=True)
class Picturing:
    """The pictures of one generation, as they come."""

    caller: SwarmCaller
    generation: Generation
    run: GenerationRun
    #: What is asked for, but for the number of pictures.
    asked: Mapping[str, Any]
    room: Room
    clock: Clock
    #: Longest that all of it may take; no single answer takes longer.
    within_s: float
    _files: dict[int, GeneratedFile] = field(default_factory=dict)

    async def pictures(self) -> list[GeneratedFile]:
        """All of them, in their order.

        Where the websocket cannot be had, or breaks, what is missing is asked for again, one request a picture: each
        has its own seed, so that nothing changes but the way.

        Raises:
            WorkerError: SwarmUI refused or failed, or made nothing.
        """
        try:
            await self._over_socket()
        except (NoSocket, Unsupported) as error:
            self.run.log(f"no websocket, so no progress: {error.message}")
            await self._one_by_one()
        except SocketDropped as error:
            self.run.log(f"{error.message} What is missing is asked for again.")
            await self._settle()
            await self._one_by_one()
        if not self._files:
            raise UpstreamError(
                "SwarmUI ended the generation without pictures.",
                hint="It was interrupted there, or every picture was refused: SwarmUI's own log says which.",
            )
        return [self._files[index] for index in sorted(self._files)]

    async def interrupt(self) -> None:
        """End what SwarmUI generates in this session; a connection that ends stops nothing.

        Raises:
            WorkerError: it cannot be told.
        """
        await self.caller.call("InterruptAll", {"other_sessions": False}, timeout_s=INTERRUPT_S)

    async def _over_socket(self) -> None:
        stream = Stream(expected=self.generation.num_images * batch_size(self.asked))
        fields = {**self.asked, "images": self.generation.num_images}
        fetches: list[asyncio.Task[None]] = []
        try:
            async with self.caller.converse("GenerateText2ImageWS", fields) as talk:
                async for message in talk.messages():
                    told = stream.read(message)
                    if isinstance(told, Arrival):
                        fetches.append(asyncio.create_task(self._keep(told)))
                    elif told is not None:
                        self.run.tell(told)
                    if stream.over:
                        break
            await asyncio.gather(*fetches)
        except SocketDropped:
            # What has been made by then is worth having.
            await asyncio.gather(*fetches, return_exceptions=True)
            raise
        finally:
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
        for index in stream.discarded & self._files.keys():
            self._files.pop(index).path.unlink(missing_ok=True)

    async def _settle(self) -> None:
        """Have the server free again after the websocket broke: it generates on, or has to be started again."""
        try:
            await self.interrupt()
        except WorkerError:
            await ready(self.caller, patience_s=RESTART_S, clock=self.clock, tell=self.run.log)
            # It may not have been gone but frozen, and goes on with what it did.
            await self.interrupt()

    async def _one_by_one(self) -> None:
        count, batch = self.generation.num_images, batch_size(self.asked)
        for number in range(count):
            indices = range(number * batch, (number + 1) * batch)
            if all(index in self._files for index in indices):
                continue
            self.run.tell(
                GenerationProgress(image=number + 1, total_images=count, percent=100 * number / count)
            )
            fields = {**alone(self.asked, number), "images": 1}
            answer = await self.caller.call("GenerateText2Image", fields, timeout_s=self.within_s)
            addresses = answer.get("images")
            # A batch may be followed by a mini-grid of it, which nobody asked for.
            for index, address in zip(
                indices, addresses if isinstance(addresses, list) else [], strict=False
            ):
                await self._keep(Arrival(index=index, address=str(address)))

    async def _keep(self, arrival: Arrival) -> None:
        seed = arrival.seed if arrival.seed is not None else seed_of(self.asked, arrival.index)
        stem = self.generation.folder / f"image_{arrival.index:03d}"
        path = await save(
            self.caller.connection, arrival.address, stem, room=self.room, timeout_s=self.within_s
        )
        self._files[arrival.index] = GeneratedFile(path=path, seed=seed)
