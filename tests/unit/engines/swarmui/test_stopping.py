from __future__ import annotations

import asyncio

import pytest

from lorapod.engines.port import GenerationStopped
from lorapod.engines.swarmui import stopping
from lorapod.engines.swarmui.stopping import stoppable
from lorapod.errors import NotFound, UpstreamError, WorkerTimeout


class Server:
    """Something that works until it is interrupted."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.interrupted = asyncio.Event()
        self.cancelled = False
        self._deaf = deaf

    async def work(self) -> str:
        try:
            await self.interrupted.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "ended in good order"

    async def interrupt(self) -> None:
        if self._deaf:
            raise UpstreamError("It is gone.")
        self.interrupted.set()


async def run(server: Server, *, stopped: bool = False, within_s: float = 60) -> str:
    return await stoppable(
        server.work(),
        stopped=lambda: stopped,
        interrupt=server.interrupt,
        within_s=within_s,
        what="The work",
    )


async def test_work_that_ends_by_itself_answers() -> None:
    async def work() -> int:
        return 5

    server = Server()
    assert (
        await stoppable(
            work(), stopped=lambda: False, interrupt=server.interrupt, within_s=60, what="The work"
        )
        == 5
    )


async def test_its_error_is_told() -> None:
    async def work() -> None:
        raise NotFound("No such model.")

    server = Server()
    with pytest.raises(NotFound, match="No such model"):
        await stoppable(
            work(), stopped=lambda: False, interrupt=server.interrupt, within_s=60, what="The work"
        )


async def test_work_that_is_told_to_end_is_interrupted_first() -> None:
    server = Server()

    with pytest.raises(GenerationStopped):
        await run(server, stopped=True)

    assert server.interrupted.is_set()
    assert not server.cancelled


async def test_work_that_does_not_hear_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "GRACE_S", 0.05)
    server = Server(deaf=True)

    with pytest.raises(GenerationStopped):
        await run(server, stopped=True)

    assert server.cancelled


async def test_work_that_takes_too_long_is_ended() -> None:
    server = Server()

    with pytest.raises(WorkerTimeout, match=r"The work took longer than 0 s"):
        await run(server, within_s=0.05)

    assert server.interrupted.is_set()


async def test_a_cancelled_caller_leaves_no_work_behind() -> None:
    server = Server()
    task = asyncio.create_task(run(server))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert server.cancelled
