"""A caller of an endpoint, and the patience to wait for what can be observed."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

HANDLERS = Path(__file__).parent / "endpoint_handlers.py"
COMMAND = [sys.executable, str(HANDLERS)]
DEADLINE_S = 30.0


async def eventually(check: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """What `check` (a plain or an async function) returns as soon as it is true."""
    end = time.monotonic() + deadline_s
    while True:
        result = check()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(0.02)


class Caller:
    """Calls one endpoint."""

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        self.url = url
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self.session = aiohttp.ClientSession(headers=headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.session.close()

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = io.BytesIO(json.dumps(body).encode())  # aiohttp warns of large bodies that are plain bytes
        headers = {"Content-Type": "application/json"}
        async with self.session.request(method, self.url + path, data=data, headers=headers) as response:
            return response.status, await response.json()

    async def run(self, do: str, **asked: Any) -> str:
        status, answer = await self.call("POST", "/run", {"input": {"do": do, **asked}})
        assert (status, answer["status"]) == (200, "IN_QUEUE"), answer
        return str(answer["id"])

    async def runsync(self, do: str, **asked: Any) -> dict[str, Any]:
        status, answer = await self.call("POST", "/runsync", {"input": {"do": do, **asked}})
        assert status == 200, answer
        return dict(answer)

    async def status(self, job_id: str) -> dict[str, Any]:
        status, answer = await self.call("GET", f"/status/{job_id}")
        assert status == 200, answer
        return dict(answer)

    async def health(self) -> dict[str, dict[str, int]]:
        status, answer = await self.call("GET", "/health")
        assert status == 200, answer
        return dict(answer)

    async def until(self, job_id: str, state: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            answer = await self.status(job_id)
            return answer if answer["status"] == state else None

        return dict(await eventually(reached, f"job {job_id} {state}"))
