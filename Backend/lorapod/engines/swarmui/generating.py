"""One generation at SwarmUI: over its websocket, which reports progress, else one request for each image."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorapod.clock import Clock
from lorapod.engines.port import GeneratedFile, Generation, GenerationProgress, GenerationRun
from lorapod.engines.swarmui.connection import NoSocket, SocketDropped
from lorapod.engines.swarmui.images import save
from lorapod.engines.swarmui.parameters import alone, batch_size, seed_of
from lorapod.engines.swarmui.readiness import RESTART_S, ready
from lorapod.engines.swarmui.session import SwarmCaller
from lorapod.errors import Unsupported, UpstreamError, WorkerError
from lorapod.safety.part_file import DiskBudget

#: How long a server that has just broken off may take to hear that its work is not wanted any more.
INTERRUPT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One image that SwarmUI has made."""

    #: Of the image in its request, from 0.
    index: int
    #: `View/…`, `Output/…` or a data URI.
    address: str
    #: From the image's own metadata.
    seed: int | None = None


@dataclass(kw_only=True)
class Stream:
    """The messages of one request over a websocket; one thread reads them."""

    #: How many images there will be.
    expected: int
    #: Indices of images that SwarmUI has withdrawn.
    discarded: set[int] = field(default_factory=set)
    #: Whether it said that nothing more comes.
    over: bool = False
    _shares: dict[int, float] = field(default_factory=dict)
    _done: set[int] = field(default_factory=set)
    _detail: str | None = None

    def read(self, message: Mapping[str, Any]) -> Arrival | GenerationProgress | None:
        """Return what a message reports; None if it is nothing that a caller needs.

        Mini-grids and images from between the steps have negative indices, and are not wanted.
        """
        if message.get("socket_intention") == "close":
            self.over = True
        if isinstance(taken_back := message.get("discard_indices"), list):
            self.discarded |= {index for entry in taken_back if (index := _whole(entry)) is not None}
        if isinstance(address := message.get("image"), str):
            return self._arrival(address, message)
        if isinstance(progress := message.get("gen_progress"), Mapping):
            return self._progress(progress)
        if isinstance(status := message.get("status"), Mapping):
            return self._status(status)
        return None

    def _arrival(self, address: str, message: Mapping[str, Any]) -> Arrival | None:
        index = _whole(message.get("batch_index"))
        if index is None or index < 0:
            return None
        self._done.add(index)
        return Arrival(index=index, address=address, seed=_seed(message.get("metadata")))

    def _progress(self, told: Mapping[str, Any]) -> GenerationProgress | None:
        index, share = _whole(told.get("batch_index")), told.get("overall_percent")
        if index is None or index < 0 or not isinstance(share, int | float):
            return None
        self._detail = None
        self._shares[index] = min(1.0, max(self._shares.get(index, 0.0), float(share)))
        under_way = sum(share for index, share in self._shares.items() if index not in self._done)
        return GenerationProgress(
            image=min(len(self._done) + 1, self.expected),
            total_images=self.expected,
            percent=round(min(100.0, 100 * (len(self._done) + under_way) / self.expected), 1),
            detail="generating",
        )

    def _status(self, told: Mapping[str, Any]) -> GenerationProgress | None:
        """Return what SwarmUI is busy with, if that is new."""
        if told.get("loading_models"):
            detail = "loading the model"
        elif told.get("waiting_backends"):
            detail = "waiting for a backend of SwarmUI's"
        else:
            return None
        if detail == self._detail:
            return None
        self._detail = detail
        return GenerationProgress(total_images=self.expected, detail=detail)


def _whole(value: Any) -> int | None:
    """Return a number that SwarmUI sometimes writes as text; None if it is not a number."""
    try:
        return int(str(value))
    except ValueError:
        return None


def _seed(metadata: Any) -> int | None:
    try:
        told = json.loads(metadata)["sui_image_params"]["seed"]
    except (TypeError, ValueError, LookupError):
        return None
    return told if isinstance(told, int) else None


@dataclass(kw_only=True)
class SwarmGeneration:
    """The images of one generation, as they come."""

    caller: SwarmCaller
    generation: Generation
    run: GenerationRun
    #: What is asked for, but for the number of images.
    asked: Mapping[str, Any]
    room: DiskBudget
    clock: Clock
    #: Longest that all of it may take; no single answer takes longer.
    within_s: float
    _files: dict[int, GeneratedFile] = field(default_factory=dict)

    async def images(self) -> list[GeneratedFile]:
        """Return all images, in order.

        If the websocket cannot be opened, or breaks, the missing images are requested one by one: each
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
                "SwarmUI ended the generation without images.",
                hint="It was interrupted there, or every image was refused: SwarmUI's own log says which.",
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
                        self.run.report(told)
                    if stream.over:
                        break
            await asyncio.gather(*fetches)
        except SocketDropped:
            # Keep what has been made already.
            await asyncio.gather(*fetches, return_exceptions=True)
            raise
        finally:
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
        for index in stream.discarded & self._files.keys():
            self._files.pop(index).path.unlink(missing_ok=True)

    async def _settle(self) -> None:
        """Make the server free again after the websocket broke: it may still generate, or be restarting."""
        try:
            await self.interrupt()
        except WorkerError:
            await ready(self.caller, patience_s=RESTART_S, clock=self.clock, report=self.run.log)
            # It may only have been frozen, and continue its work.
            await self.interrupt()

    async def _one_by_one(self) -> None:
        count, batch = self.generation.num_images, batch_size(self.asked)
        for number in range(count):
            indices = range(number * batch, (number + 1) * batch)
            if all(index in self._files for index in indices):
                continue
            self.run.report(
                GenerationProgress(image=number + 1, total_images=count, percent=100 * number / count)
            )
            fields = {**alone(self.asked, number), "images": 1}
            answer = await self.caller.call("GenerateText2Image", fields, timeout_s=self.within_s)
            addresses = answer.get("images")
            # A batch may be followed by a mini-grid of it, which is not wanted.
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
