"""The entry's side of the socket, against a child that does what a test tells it to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lorapod.errors import InternalError
from lorapod.fast.real_worker import RealWorker

DEADLINE_S = 30.0

#: Speaks the frames of the real worker; `do` of an input says how.
CHILD = """
import json, socket, struct, sys

connection = socket.socket(fileno=int(sys.argv[-1]))
stream = connection.makefile("rwb")


def send(message, text=None):
    text = json.dumps(message).encode() if text is None else text
    stream.write(struct.pack(">Q", len(text)) + text)
    stream.flush()


send({"ready": True})
while head := stream.read(8):
    message = json.loads(stream.read(struct.unpack(">Q", head)[0]))
    if "close" in message:
        break
    if "job" not in message:
        continue
    job, do = message["job"], message["event"]["input"]["do"]
    if do == "wait":
        continue
    if do == "die":
        sys.exit(3)
    if do == "garbage":
        send(None, b"not JSON")
        continue
    if do == "nonsense":
        send(["neither a job"])
        continue
    for number in (1, 2):
        send({"job": job, "update": {"sequence": number}})
    send({"job": job, "answer": {"did": do}})
"""


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[RealWorker]:
    python = tmp_path / "python"
    (tmp_path / "child.py").write_text(CHILD)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "child.py"} "$@"\n')
    python.chmod(0o700)
    started = await RealWorker.start(python, worker_id="pod-1")
    yield started
    started.close()
    await asyncio.wait_for(started.ended(), DEADLINE_S)


def nothing(_update: Mapping[str, Any]) -> None:
    """An update that nobody reads."""


async def ask(worker: RealWorker, do: str, update: Any = nothing) -> dict[str, Any]:
    return await asyncio.wait_for(worker.answer({"id": "1", "input": {"do": do}}, update), DEADLINE_S)


@pytest.mark.expects_errors("a progress update could not be sent")
async def test_an_update_that_fails_costs_neither_its_job_nor_the_next(
    worker: RealWorker, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def failing(update: Mapping[str, Any]) -> None:
        seen.append(update["sequence"])
        raise OSError("the platform does not listen")

    assert await ask(worker, "work", failing) == {"did": "work"}
    assert seen == [1, 2]
    assert await ask(worker, "more") == {"did": "more"}
    assert "progress update" in caplog.text


@pytest.mark.expects_errors("sent something that is not a message")
@pytest.mark.parametrize("do", ["garbage", "nonsense"])
async def test_a_worker_that_speaks_nonsense_is_ended_and_its_jobs_are_answered(
    worker: RealWorker, do: str
) -> None:
    waiting = asyncio.create_task(ask(worker, "wait"))
    with pytest.raises(InternalError, match="has ended"):
        await ask(worker, do)
    with pytest.raises(InternalError, match="has ended"):
        await waiting
    await asyncio.wait_for(worker.ended(), DEADLINE_S)


async def test_a_job_that_comes_after_the_end_is_answered(worker: RealWorker) -> None:
    with pytest.raises(InternalError, match="exit code 3"):
        await ask(worker, "die")
    await asyncio.wait_for(worker.ended(), DEADLINE_S)
    with pytest.raises(InternalError, match="exit code 3"):
        await ask(worker, "late")
