"""The worker's end of the socket to one template process, and the wait for its imports."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from lorapod.processes.template import process


class TemplateLink:
    """The socket: one question, one answer, both with descriptors; for one thread at a time."""

    def __init__(self) -> None:
        """Open the pair; `theirs` goes to the template process and is closed here by `handed_over`."""
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def handed_over(self) -> None:
        """Close the template process's end on this side."""
        self.theirs.close()

    def fileno(self) -> int:
        """Return the descriptor for a selector: readable if there is a message or the other end is gone."""
        return self._ours.fileno()

    def close(self) -> None:
        """Close this end."""
        self._ours.close()

    def ask(
        self, question: Mapping[str, Any], descriptors: Sequence[int] = (), *, timeout_s: float
    ) -> tuple[Mapping[str, Any], Sequence[int]]:
        """Send a question; return the answer, and the descriptors that came with it.

        Raises:
            OSError: the other end is gone, or was silent for `timeout_s`: a late answer would be taken for that to
                the next question, so ask no more.
        """
        self._ours.settimeout(timeout_s)
        socket.send_fds(self._ours, [json.dumps(question).encode()], descriptors)
        return self.receive()

    def receive(self) -> tuple[Mapping[str, Any], Sequence[int]]:
        """Return the next message, and the descriptors that came with it.

        Raises:
            OSError: the other end is gone, or silent.
        """
        message, descriptors, _, _ = socket.recv_fds(
            self._ours, process.MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
        )
        if not message:
            raise ConnectionResetError("the template process has ended")
        return json.loads(message), descriptors


#: Bytes of each stream that are kept: they fit into an empty pipe.
KEPT_BYTES = 32_768

_CHUNK_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The result of the imports."""

    #: Whether trainings can be forked.
    ready: bool
    #: The variables that the interpreter was started with, with its own additions (a locale).
    environment: Mapping[str, str]
    stdout: bytes
    stderr: bytes


def follow_imports(popen: subprocess.Popen[bytes], link: TemplateLink, *, limit_s: float) -> Imported:
    """Wait until the process is ready, has ended, or has taken longer than `limit_s`."""
    assert popen.stdout is not None
    assert popen.stderr is not None
    kept: dict[IO[bytes], bytes] = {popen.stdout: b"", popen.stderr: b""}
    environment: Mapping[str, str] | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(link, selectors.EVENT_READ)
        for stream in kept:
            selector.register(stream, selectors.EVENT_READ)
        deadline = time.monotonic() + limit_s
        # When the socket ends, everything that was printed before has arrived: read that too.
        over = False
        while not over and (ready := selector.select(max(0.0, deadline - time.monotonic()))):
            over = any(key.fileobj is link for key, _ in ready)
            for key, _ in ready:
                if key.fileobj is not link:
                    _keep(key.fileobj, kept, selector)  # type: ignore[arg-type] # the others are the streams
        if over:
            try:
                environment = link.receive()[0]["environment"]
            except OSError:
                environment = None
            selector.unregister(link)
            while selector.get_map() and (ready := selector.select(0)):
                for key, _ in ready:
                    _keep(key.fileobj, kept, selector)  # type: ignore[arg-type] # only streams are left
    return Imported(
        ready=environment is not None,
        environment=environment or {},
        stdout=kept[popen.stdout],
        stderr=kept[popen.stderr],
    )


def _keep(stream: IO[bytes], kept: dict[IO[bytes], bytes], selector: selectors.BaseSelector) -> None:
    chunk = os.read(stream.fileno(), _CHUNK_BYTES)
    if not chunk:
        selector.unregister(stream)
    kept[stream] = (kept[stream] + chunk)[-KEPT_BYTES:]
