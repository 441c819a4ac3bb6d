"""`python -m lorapod.fast.serving DESCRIPTOR`: the real worker, which gets its jobs from the entry over a socket.

When the socket ends, the entry has ended: the worker stops its processes with a checkpoint and ends too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from lorapod.actions.action import RunPodJob
from lorapod.errors import InternalError
from lorapod.fast.frames import frame, read_frame
from lorapod.journal import write_journal
from lorapod.safety.redaction import Redactor
from lorapod.serverless import start_worker
from lorapod.settings import Settings
from lorapod.wire.envelope import error_answer
from lorapod.worker import Worker

logger = logging.getLogger(__name__)

#: How long the last answers may take after the processes are stopped.
LAST_ANSWERS_S = 5.0


class JobServer:
    """A server of one entry's jobs."""

    def __init__(self, worker: Worker, writer: asyncio.StreamWriter) -> None:
        """Send the answers through `writer`."""
        self._worker = worker
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[int, asyncio.Task[None]] = {}

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer jobs until the entry asks for the end, or closes the connection."""
        self._write(frame({"ready": True}))
        while (message := await read_frame(reader)) is not None and "close" not in message:
            if "cancel" in message:
                if (task := self._jobs.get(message["cancel"])) is not None:
                    task.cancel()
                continue
            number = message["job"]
            task = asyncio.create_task(self._answer(number, message["event"]))
            self._jobs[number] = task
            task.add_done_callback(partial(self._forget, number))
        await asyncio.to_thread(self._worker.close)
        if self._jobs:
            await asyncio.wait(self._jobs.values(), timeout=LAST_ANSWERS_S)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        self._writer.close()

    async def _answer(self, number: int, event: Any) -> None:
        try:
            answer = await self._worker.answer(event, self._job(number, event))
            reply = frame({"job": number, "answer": answer})
        except Exception:
            logger.exception("a job could not be answered")
            reply = frame({"job": number, "answer": error_answer(InternalError())})
        self._write(reply)

    def _forget(self, number: int, _task: asyncio.Task[None]) -> None:
        self._jobs.pop(number, None)

    def _job(self, number: int, event: Any) -> RunPodJob:
        job_id = str(event.get("id", "")) if isinstance(event, Mapping) else ""
        if not self._worker.services.settings.serverless:
            return RunPodJob(job_id=job_id)

        def progress(update: Mapping[str, Any]) -> None:
            try:
                message = frame({"job": number, "update": dict(update)})
            except (TypeError, ValueError):
                logger.exception("a progress update is not JSON; it is dropped")
                return
            self._loop.call_soon_threadsafe(self._write, message)

        return RunPodJob(job_id=job_id, progress=progress)

    def _write(self, message: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(message)


async def _serve(descriptor: int) -> None:
    settings = Settings()
    write_journal(settings.log_level, Redactor(settings.secret_values()))
    worker = await asyncio.to_thread(start_worker, settings)
    # From here on, the log also masks the secrets of jobs.
    write_journal(settings.log_level, worker.services.redactor)
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    await JobServer(worker, writer).serve(reader)


def main(arguments: list[str]) -> int:
    """Serve until the entry ends."""
    asyncio.run(_serve(int(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
