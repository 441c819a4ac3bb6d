"""What SwarmUI says while it generates, gathered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorapod.engines.port import GenerationProgress


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One picture that SwarmUI has made."""

    #: Of the picture in its request, from 0.
    index: int
    #: `View/…`, `Output/…` or a data URI.
    address: str
    #: As the picture's own metadata tell it.
    seed: int | None = None


@dataclass(kw_only=True)
class Stream:
    """The messages of one request over a websocket; one thread reads them."""

    #: How many pictures there will be.
    expected: int
    #: Indices that SwarmUI has taken back, after it had shown them.
    discarded: set[int] = field(default_factory=set)
    #: Whether it said that nothing more comes.
    over: bool = False
    _shares: dict[int, float] = field(default_factory=dict)
    _done: set[int] = field(default_factory=set)
    _detail: str | None = None

    def read(self, message: Mapping[str, Any]) -> Arrival | GenerationProgress | None:
        """What a message tells; None: nothing that a caller needs.

        Mini-grids and pictures from between the steps have negative indices: nobody asked for them.
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
        """What it is busy with, where that is news."""
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
    """A number that SwarmUI writes as a text now and as a number then."""
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
