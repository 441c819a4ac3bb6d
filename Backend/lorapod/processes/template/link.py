"""The worker's end of the socket to one resident process: one question, one answer, with descriptors."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from lorapod.processes.template import process


class Link:
    """Used by one thread at a time."""

    def __init__(self) -> None:
        """Open the pair; `theirs` goes to the resident process and is closed here by `handed_over`."""
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def handed_over(self) -> None:
        """Close the resident process's end on this side."""
        self.theirs.close()

    def fileno(self) -> int:
        """For a selector: readable when there is a message, or the other end is gone."""
        return self._ours.fileno()

    def close(self) -> None:
        """Hang up."""
        self._ours.close()

    def ask(
        self, question: Mapping[str, Any], descriptors: Sequence[int] = (), *, timeout_s: float
    ) -> tuple[Mapping[str, Any], Sequence[int]]:
        """The answer, and the descriptors that came with it.

        Raises:
            OSError: the other end is gone, or was silent for `timeout_s`: a late answer would be taken for that to
                the next question, so ask no more.
        """
        self._ours.settimeout(timeout_s)
        socket.send_fds(self._ours, [json.dumps(question).encode()], descriptors)
        return self.receive()

    def receive(self) -> tuple[Mapping[str, Any], Sequence[int]]:
        """The next message, and the descriptors that came with it.

        Raises:
            OSError: the other end is gone, or silent.
        """
        message, descriptors, _, _ = socket.recv_fds(
            self._ours, process.MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
        )
        if not message:
            raise ConnectionResetError("the resident process has ended")
        return json.loads(message), descriptors
