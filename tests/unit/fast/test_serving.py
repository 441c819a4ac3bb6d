"""The real worker's side of the socket, with a worker that answers what a test wants."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lorapod.actions.action import RunPodJob
from lorapod.fast.frames import frame, read_frame
from lorapod.fast.serving import JobServer
from lorapod.worker import Worker


class OddWorker:
    """Answers with what cannot be sent, or fails."""

    services = SimpleNamespace(settings=SimpleNamespace(serverless=True))

    async def answer(self, event: Mapping[str, Any], job: RunPodJob) -> dict[str, Any]:
        if event["input"] == "fail":
            raise RuntimeError("no worker does this")
        if event["input"] == "odd":
            return {"path": object()}
        job.progress({"odd": object()})
        job.progress({"step": 1})
        return {"asked": event["input"]}

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.expects_errors("a job could not be answered", "a progress update is not JSON")
async def test_an_answer_that_cannot_be_sent_is_an_error_and_the_next_job_is_answered() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    their_reader, their_writer = await asyncio.open_unix_connection(sock=theirs)
    serving = asyncio.create_task(JobServer(cast("Worker", OddWorker()), their_writer).serve(their_reader))
    try:
        assert await read_frame(reader) == {"ready": True}
        for number, wanted in enumerate(["odd", "fail", "work"]):
            writer.write(frame({"job": number, "event": {"input": wanted}}))
        got: list[Any] = [await asyncio.wait_for(read_frame(reader), 30) for _ in range(4)]
    finally:
        writer.write(frame({"close": True}))
        await serving
        writer.close()
    answers = {message["job"]: message["answer"] for message in got if "answer" in message}
    assert [answers[0]["code"], answers[1]["code"]] == ["internal", "internal"]
    assert answers[2] == {"asked": "work"}
    assert {"job": 2, "update": {"step": 1}} in got
