"""A worker with the real SDK loop, whose jobs say how it is to behave."""

# ruff: noqa: ASYNC110, ASYNC240  (files tell the test what a handler in another process has seen)
from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cpuinfo  # type: ignore[import-untyped]

# The SDK asks for the processor's name when it is imported, which takes a second and shows in no test.
cpuinfo.get_cpu_info = lambda: {"brand_raw": "any"}

import runpod  # noqa: E402

Job = dict[str, Any]


async def echo(job: Job) -> dict[str, Any]:
    return {"echo": job["input"], "pid": os.getpid(), "s3": job.get("s3Config")}


async def sleep(job: Job) -> dict[str, Any]:
    asked = job["input"]
    started = asked.get("started")
    if started:
        Path(started).touch()
    try:
        await asyncio.sleep(asked["seconds"])
    except asyncio.CancelledError:
        Path(asked["cancelled"]).touch()
        raise
    return {"slept": asked["seconds"], "pid": os.getpid()}


async def fail(job: Job) -> dict[str, Any]:
    return {"error": job["input"]["sentence"], "code": "invalid_input"}


async def explode(job: Job) -> dict[str, Any]:
    raise RuntimeError("the handler raised")


async def progress(job: Job) -> dict[str, Any]:
    runpod.serverless.progress_update(job, {"step": 1})
    go_on = Path(job["input"]["go_on"])
    while not go_on.exists():
        await asyncio.sleep(0.02)
    # This one races with the result.
    runpod.serverless.progress_update(job, {"step": 2})
    return {"done": True}


async def big(job: Job) -> dict[str, Any]:
    return {"data": "x" * job["input"]["size_bytes"]}


async def crash(job: Job) -> dict[str, Any]:
    marker = job["input"].get("once")
    if marker and Path(marker).exists():
        return {"recovered": True}
    if marker:
        Path(marker).touch()
    os._exit(3)


async def block(job: Job) -> dict[str, Any]:
    Path(job["input"]["started"]).touch()
    time.sleep(job["input"]["seconds"])  # noqa: ASYNC251  (what a handler must not do)
    return {"blocked": True}


async def lose_result(job: Job) -> dict[str, Any]:
    marker = Path(job["input"]["once"])
    if marker.exists():
        return {"recovered": True}
    marker.touch()
    return {"not JSON": object()}


async def not_a_number(job: Job) -> dict[str, Any]:
    return {"loss": float("nan")}


async def ignore_cancel(job: Job) -> dict[str, Any]:
    go_on = Path(job["input"]["go_on"])
    while not go_on.exists():
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            Path(job["input"]["cancelled"]).touch()
    return {"finished": "all the same"}


async def refresh(job: Job) -> dict[str, Any]:
    return {"pid": os.getpid(), "refresh_worker": True}


async def deaf(job: Job) -> dict[str, Any]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(job["input"]["started"]).touch()
    await asyncio.sleep(600)
    return {}


HANDLERS = {
    handler.__name__: handler
    for handler in (
        echo,
        sleep,
        fail,
        explode,
        progress,
        big,
        crash,
        block,
        lose_result,
        not_a_number,
        ignore_cancel,
        refresh,
        deaf,
    )
}


async def dispatch(job: Job) -> dict[str, Any]:
    return await HANDLERS[job["input"]["do"]](job)


async def count(job: Job) -> AsyncIterator[dict[str, int]]:
    for number in range(job["input"]["to"]):
        yield {"number": number}


if __name__ == "__main__":
    streams = sys.argv[1:] == ["stream"]
    concurrency = 4
    runpod.serverless.start(
        {"handler": count if streams else dispatch, "concurrency_modifier": lambda current: concurrency}
    )
