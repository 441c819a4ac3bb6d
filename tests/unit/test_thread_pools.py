from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from lorapod.thread_pools import ThreadPool

WAIT_S = 30.0


async def test_a_call_runs_in_a_thread_of_the_pool_in_the_caller_s_context() -> None:
    variable = contextvars.ContextVar[str]("variable")
    variable.set("mine")
    name, seen = await ThreadPool("reads", size=2).run(
        lambda: (threading.current_thread().name, variable.get())
    )
    assert (name, seen) == ("reads-1", "mine")


async def test_an_error_is_raised_where_the_result_is_awaited() -> None:
    pool = ThreadPool("test", size=1)
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)
    assert await pool.run(lambda: 3) == 3


async def test_there_are_never_more_threads_than_the_pool_s_size() -> None:
    pool, release = ThreadPool("bounded", size=3), threading.Event()
    calls = [asyncio.ensure_future(pool.run(release.wait, WAIT_S)) for _ in range(10)]
    await asyncio.sleep(0)
    assert sum(thread.name.startswith("bounded-") for thread in threading.enumerate()) == 3
    release.set()
    assert await asyncio.gather(*calls) == [True] * 10


async def test_a_thread_is_used_again() -> None:
    pool = ThreadPool("again", size=5)
    for _ in range(20):
        await pool.run(int)
    # A thread that has just answered may not be waiting yet when the next call comes.
    assert sum(thread.name.startswith("again-") for thread in threading.enumerate()) <= 5


async def test_a_call_that_is_cancelled_while_it_waits_never_begins() -> None:
    pool, release, ran = ThreadPool("test", size=1), threading.Event(), threading.Event()
    first = asyncio.ensure_future(pool.run(release.wait, WAIT_S))
    second = asyncio.ensure_future(pool.run(ran.set))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    assert await first
    await pool.run(int)
    assert not ran.is_set()


def test_a_call_that_hangs_does_not_delay_the_end_of_the_program() -> None:
    code = (
        "import threading; from lorapod.thread_pools import READS; "
        "inside = threading.Event(); "
        "READS.submit(lambda: (inside.set(), threading.Event().wait())); inside.wait()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
