"""Caption many images, several at a time: fewer when memory runs out, one by one when the model fails on some of them."""

from __future__ import annotations

import sys
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, UnidentifiedImageError

from lorapod.captioners.pictures import open_picture
from lorapod.captioners.transformers.messages import Caption, Captioned, Done, NotCaptioned, Pictures
from lorapod.errors import ErrorCode
from lorapod.library_errors import code_of, reason_of
from lorapod.processes.resident.messages import Cancelled, Message

_MEMORY = frozenset({ErrorCode.OUT_OF_MEMORY, ErrorCode.INSUFFICIENT_MEMORY})


@dataclass(frozen=True, kw_only=True)
class OpenedItem:
    """One item whose images are open."""

    item: Pictures
    pictures: list[Image.Image]


class AskModel(Protocol):
    """Returns a text for each item; raises what the model raises."""

    def __call__(self, batch: list[OpenedItem]) -> list[str]:
        """Ask."""


class BatchSize:
    """How many items fit memory at a time with one model."""

    def __init__(self, usual: int) -> None:
        """Begin with `usual`, if a request says nothing else."""
        self._usual = usual
        #: What did not suffice, halved; None: memory has always sufficed.
        self._most: int | None = None

    def of(self, request: Caption) -> int:
        """Return how many items to ask for at a time."""
        wanted = request.batch_size or self._usual
        return wanted if self._most is None else min(wanted, self._most)

    def halve(self, size: int) -> None:
        """Note that memory did not suffice for `size` items."""
        self._most = max(1, size // 2)


@dataclass(kw_only=True)
class CaptionBatches:
    """One request's items on their way through the model."""

    request: Caption
    ask: AskModel
    size: BatchSize
    send: Callable[[Message], None]
    cancelled: Callable[[], bool]
    #: Gives memory back that nothing uses.
    tidy: Callable[[], None]

    def __post_init__(self) -> None:
        """Begin with all items waiting."""
        self._waiting = deque(self.request.items)
        self._opened: list[OpenedItem] = []
        #: Items that are asked for one by one.
        self._alone = 0

    def run(self) -> Message:
        """Report each item, and return the last answer.

        Raises:
            Exception: the GPU cannot be used any more.
        """
        while self._waiting or self._opened:
            if self.cancelled():
                return Cancelled(job=self.request.job)
            batch = self._next()
            if not batch:
                continue
            texts = self._texts(batch)
            if texts is None:
                continue
            if self.cancelled():
                # The texts may have been cut off.
                return Cancelled(job=self.request.job)
            for opened, text in zip(batch, texts, strict=True):
                self.send(Captioned(name=opened.item.name, text=text))
            self._leave(batch)
        return Done(job=self.request.job)

    def _next(self) -> list[OpenedItem]:
        """Return the next items that the model is asked about; none if no waiting one can be opened."""
        wanted = 1 if self._alone else self.size.of(self.request)
        while self._waiting and len(self._opened) < wanted:
            if (opened := _open(self._waiting.popleft(), self.send)) is not None:
                self._opened.append(opened)
        return self._opened[:wanted]

    def _texts(self, batch: list[OpenedItem]) -> list[str] | None:
        """Return the texts; None if the items have to be asked for again, or one of them has failed."""
        try:
            return self.ask(batch)
        except Exception as error:
            code, reason = code_of(error), reason_of(error)[:300]
            if code is ErrorCode.GPU_UNAVAILABLE:
                raise
            if code not in _MEMORY:
                traceback.print_exc()
        # Only now: the exception held what did not fit.
        self.tidy()
        if len(batch) == 1:
            self.send(NotCaptioned(name=batch[0].item.name, error=_sentence(reason, code), by_model=True))
            self._leave(batch)
        elif code in _MEMORY:
            self.size.halve(len(batch))
            sys.stdout.write(f"there is not enough memory for {len(batch)} images at a time: half as many\n")
            sys.stdout.flush()
        else:
            self._alone = len(batch)
        return None

    def _leave(self, batch: list[OpenedItem]) -> None:
        del self._opened[: len(batch)]
        self._alone = max(0, self._alone - len(batch))


def _open(item: Pictures, send: Callable[[Message], None]) -> OpenedItem | None:
    """Open an item's images; report one that cannot be read, and return None."""
    try:
        return OpenedItem(item=item, pictures=[open_picture(path) for path in item.paths])
    except FileNotFoundError:
        error = "The file is gone."
    except UnidentifiedImageError:
        error = "The file is not an image that can be read."
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, EOFError) as cause:
        error = f"The file cannot be read as an image: {reason_of(cause)[:300]}."
    send(NotCaptioned(name=item.name, error=error, by_model=False))
    return None


def _sentence(reason: str, code: ErrorCode) -> str:
    if code in _MEMORY:
        return f"There is not enough memory for this image alone: {reason}."
    return f"The model failed on it: {reason}."
