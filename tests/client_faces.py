"""Both faces of the client behind one, so that the same test runs on each."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from lorapod.client import AsyncClient, AsyncTraining, Client, Training

FACES = ("sync", "async")


class AwaitedFace:
    """Methods of a client or a training, awaited whether they are coroutines or not."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not inspect.ismethod(found):
            return found
        if name == "training":
            return lambda process_id: AwaitedFace(found(process_id))
        return self._awaited(found)

    @staticmethod
    def _awaited(method: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*arguments: Any, **named: Any) -> Any:
            if inspect.iscoroutinefunction(method):
                result = await method(*arguments, **named)
            else:
                result = await asyncio.to_thread(method, *arguments, **named)
            return AwaitedFace(result) if isinstance(result, Training | AsyncTraining) else result

        return run


@asynccontextmanager
async def opened(face: str, url: str, **options: Any) -> AsyncIterator[AwaitedFace]:
    """Open a client of this face."""
    if face == "async":
        async with AsyncClient(url, **options) as client:
            yield AwaitedFace(client)
        return
    with Client(url, **options) as client:
        yield AwaitedFace(client)
