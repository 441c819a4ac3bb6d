from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.endpoint.fake_clock import FakeClock

from lorapod.endpoint.channel import WorkerChannel
from lorapod.endpoint.jobs import EndpointJob


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def channel(clock: FakeClock) -> WorkerChannel:
    return WorkerChannel("w", hold_s=30, monotonic=clock.monotonic)


def running(clock: FakeClock, job_id: str = "j") -> EndpointJob:
    fields: dict[str, Any] = {
        "submitted_at": 0.0,
        "expires_at": 1e9,
        "execution_timeout_s": 1e9,
        "kept_s": 60,
    }
    return EndpointJob(id=job_id, input=b"{}", **fields).taken("w", clock.monotonic())


async def test_a_job_that_two_heartbeats_leave_out_is_lost(channel: WorkerChannel, clock: FakeClock) -> None:
    job = running(clock)
    clock.advance(1)
    channel.polled()
    assert channel.pinged(frozenset(), [job]) == []
    assert channel.pinged(frozenset(), [job]) == [job]


async def test_a_job_that_the_next_heartbeat_names_is_not_lost(
    channel: WorkerChannel, clock: FakeClock
) -> None:
    job = running(clock)
    clock.advance(1)
    channel.polled()
    for reported in (frozenset[str](), frozenset({"j"}), frozenset[str]()):
        assert channel.pinged(reported, [job]) == []


async def test_a_job_is_not_lost_while_the_worker_is_too_busy_to_read_it(
    channel: WorkerChannel, clock: FakeClock
) -> None:
    channel.polled()
    job = running(clock)
    for _ in range(5):
        clock.advance(60)
        assert channel.pinged(frozenset(), [job]) == []


async def test_a_stop_signal_waits_until_the_worker_has_started_the_job(
    channel: WorkerChannel, clock: FakeClock
) -> None:
    channel.stop_job(running(clock))
    poll = asyncio.create_task(channel.stops())
    await asyncio.sleep(0.05)
    assert not poll.done()
    clock.advance(1)
    async with asyncio.timeout(5):
        assert await poll == ["j"]
    channel.stops_sent(["j"])
    assert channel.winding_down == {"j"}, "told is not yet done"
    channel.pinged(frozenset({"j"}), [])
    assert channel.winding_down == {"j"}
    channel.pinged(frozenset(), [])
    assert channel.winding_down == set()


async def test_a_stop_signal_that_was_not_sent_is_kept(channel: WorkerChannel, clock: FakeClock) -> None:
    channel.stop_job(running(clock))
    clock.advance(1)
    assert await channel.stops() == ["j"]
    assert await channel.stops() == ["j"]


async def test_draining_ends_open_polls(channel: WorkerChannel) -> None:
    async def poll() -> None:
        async with channel.poll():
            await channel.stops()

    waiting = asyncio.create_task(poll())
    await asyncio.sleep(0)
    channel.drain()
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await waiting
