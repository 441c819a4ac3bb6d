"""The real worker as a child of the entry: jobs go to it and answers come back over a socket pair."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from lorapod.errors import InternalError
from lorapod.fast.frames import frame, read_frame

logger = logging.getLogger(__name__)

#: Variables of the entry's own Python, which would mislead the other Python.
_OWN = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSAFEPATH"})

#: How long the process may live after the end of its socket.
KILL_AFTER_S = 5.0

Update = Callable[[Mapping[str, Any]], None]


class RealWorker:
    """One child, from its start to its end; use it in one event loop only."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: socket.socket,
    ) -> None:
        """Use `start` instead."""
        self._process = process
        self._connection = connection
        self._reader, self._writer = reader, writer
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._updates: dict[int, Update] = {}
        self._has_ended = asyncio.Event()
        self._exit_code: int | None = None
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, python: Path, *, worker_id: str) -> Self:
        """Start it and wait until it accepts jobs; it uses the entry's `worker_id`.

        Raises:
            InternalError: it ended before that.
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220 - a fork and an exec, no waiting
                [str(python), "-P", "-m", "lorapod.fast.serving", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(worker_id),
                start_new_session=True,
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            first = await read_frame(reader)
        except asyncio.CancelledError:
            # The child ends when its socket does.
            writer.close()
            raise
        if first is None:
            writer.close()
            exit_code = await asyncio.to_thread(process.wait)
            raise InternalError(
                f"The real worker could not start (exit code {exit_code}).",
                hint="See the worker's log for the reason, most often a setting or a workspace that is not writable.",
            )
        return cls(process, reader, writer, ours)

    async def answer(self, event: Any, update: Update) -> dict[str, Any]:
        """Let the worker answer one job; cancelling this cancels the job in the worker.

        Raises:
            InternalError: the worker ended before it answered.
        """
        if self._exit_code is not None:
            # The socket is not read any more, so no answer would come.
            raise _ended(self._exit_code)
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._updates[number] = update
        try:
            self._send({"job": number, "event": event})
            answered: dict[str, Any] = await answer
        except asyncio.CancelledError:
            self._send({"cancel": number})
            raise
        else:
            return answered
        finally:
            self._answers.pop(number, None)
            self._updates.pop(number, None)

    async def ended(self) -> None:
        """Wait for the end of the worker."""
        await self._has_ended.wait()

    def close(self) -> None:
        """Ask it to stop its processes, send its last answers and end."""
        self._send({"close": True})

    def wait(self, timeout_s: float) -> None:
        """Wait for its end, and kill it after `timeout_s`; call this after the end of the event loop."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(message))

    async def _listen(self) -> None:
        """Read until the socket ends. No single message may stop the reading, because every job depends on it."""
        try:
            while (message := await read_frame(self._reader)) is not None:
                self._receive(message)
        except (ValueError, LookupError, TypeError):
            # Where the next message begins is not known any more.
            logger.exception("the real worker sent something that is not a message; it is killed")
            self._process.kill()
        self._writer.close()
        self._exit_code = await asyncio.to_thread(self._reap)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(_ended(self._exit_code))
        self._has_ended.set()

    def _receive(self, message: Mapping[str, Any]) -> None:
        number = message["job"]
        if (update := self._updates.get(number)) is not None and "update" in message:
            try:
                update(message["update"])
            except Exception:
                logger.exception("a progress update could not be sent; its job continues")
        answer = self._answers.get(number)
        if answer is not None and not answer.done() and "answer" in message:
            answer.set_result(message["answer"])

    def _reap(self) -> int:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(KILL_AFTER_S)
        self._process.kill()
        return self._process.wait()


def _environment(worker_id: str) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _OWN}
    return {**inherited, "RUNPOD_POD_ID": worker_id}


def _ended(exit_code: int) -> InternalError:
    how = f"killed by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    return InternalError(
        f"The real worker behind this entry has ended ({how}); it is restarted.",
        hint="Send the request again. A training that was running is `interrupted`: continue it with `resume`.",
    )
