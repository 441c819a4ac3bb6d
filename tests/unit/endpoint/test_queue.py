from __future__ import annotations

import asyncio

from lorapod.endpoint.queue import JobQueue


async def test_first_in_first_out_and_returned_jobs_first() -> None:
    queue = JobQueue()
    for job_id in "abc":
        queue.put(job_id)
    queue.put_back("z")
    queue.discard("b")
    queue.discard("never there")
    assert queue.ids() == ["z", "a", "c"]
    assert await queue.take(2) == ["z", "a"]
    assert await queue.take(5) == ["c"]
    assert len(queue) == 0


async def test_who_waits_longest_is_served_first() -> None:
    queue = JobQueue()
    first = asyncio.create_task(queue.take(4))
    second = asyncio.create_task(queue.take(4))
    await asyncio.sleep(0)
    queue.put("a")
    assert await first == ["a"]
    queue.put("b")
    assert await second == ["b"]


async def test_a_wait_cancelled_after_its_turn_came_passes_the_turn_on() -> None:
    queue = JobQueue()
    first = asyncio.create_task(queue.take(1))
    second = asyncio.create_task(queue.take(1))
    await asyncio.sleep(0)
    queue.put("a")
    first.cancel()
    async with asyncio.timeout(5):
        assert await second == ["a"]
    assert first.cancelled()


async def test_a_cancelled_wait_is_skipped() -> None:
    queue = JobQueue()
    first = asyncio.create_task(queue.take(1))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    queue.put("a")
    assert await queue.take(1) == ["a"]
