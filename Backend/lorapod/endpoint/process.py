"""The process of one worker: its start, output and end, and the end of its whole group."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

#: The log of workers without a log file.
output_log = logging.getLogger("lorapod.endpoint.output")

#: The longest line of a worker's output that is kept in one piece, bytes.
LINE_BYTES = 65_536

#: How long to wait for the rest of a dead worker's output.
OUTPUT_GRACE_S = 1.0


class WorkerProcess:
    """A worker process in its own session and process group."""

    def __init__(
        self,
        worker_id: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        working_folder: Path | None,
        log_folder: Path | None,
    ) -> None:
        """Start the process.

        Raises:
            OSError: the command cannot be run, or its log file cannot be opened.
        """
        self.worker_id = worker_id
        self._reader, writer = _output_file(worker_id, log_folder)
        try:
            self._popen = subprocess.Popen(
                _bound_to_us(command),
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=working_folder,
                start_new_session=True,
            )
        except OSError:
            if self._reader is not None:
                self._reader.close()
            raise
        finally:
            writer.close()
        self.pid = self._popen.pid
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        threading.Thread(target=self._watch, name=f"watch-{worker_id}", daemon=True).start()

    @property
    def exited(self) -> bool:
        """Return whether it has ended."""
        return self._exited.done()

    async def run(self) -> int:
        """Log its output until it ends; return the exit code (negative: a signal)."""
        if self._reader is None:
            return await self.wait()
        _, lines = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _OutputLines(self.worker_id), self._reader
        )
        code = await self.wait()
        await lines.finish(OUTPUT_GRACE_S)
        return code

    async def wait(self) -> int:
        """Wait for the end of the process and its group; return the exit code."""
        return await asyncio.shield(self._exited)

    def terminate(self) -> None:
        """Send SIGTERM to the group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if not self.exited:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _watch(self) -> None:
        # The SDK's heartbeat is a separate process; it outlives a killed worker and keeps reporting it as
        # alive. The group is killed while the leader is still a zombie: until it is reaped, no other group
        # can have its id.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._popen.wait()
        loop = self._exited.get_loop()
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing waits for it
            loop.call_soon_threadsafe(self._note_exit, code)

    def _note_exit(self, code: int) -> None:
        if not self._exited.done():
            self._exited.set_result(code)


def _bound_to_us(command: Sequence[str]) -> list[str]:
    # An SDK worker whose endpoint was killed polls in a tight loop for ever. If the system has setpriv, the
    # worker gets SIGTERM instead. setpriv executes the command, so the process id stays the same.
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []), *command]


def _output_file(worker_id: str, log_folder: Path | None) -> tuple[IO[bytes] | None, IO[bytes]]:
    if log_folder is not None:
        log_folder.mkdir(parents=True, exist_ok=True)
        return None, (log_folder / f"{worker_id}.log").open("ab")
    read_end, write_end = os.pipe()
    return os.fdopen(read_end, "rb", buffering=0), os.fdopen(write_end, "wb")


class _OutputLines(asyncio.Protocol):
    """Write a worker's output to the endpoint's log, line by line."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._rest = b""
        self._transport: asyncio.BaseTransport | None = None
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._write(line)
        if len(self._rest) > LINE_BYTES:
            self._write(self._rest)
            self._rest = b""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's name)
        if self._rest:
            self._write(self._rest)
        self._rest = b""
        self._ended.set()

    async def finish(self, grace_s: float) -> None:
        """Wait for the end of the output, at most `grace_s`: a process outside the group may hold it open."""
        try:
            async with asyncio.timeout(grace_s):
                await self._ended.wait()
        except TimeoutError:
            if self._transport is not None:
                self._transport.close()
            await self._ended.wait()

    def _write(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            output_log.info("[%s] %s", self._worker_id, text, extra={"worker_id": self._worker_id})
