"""One child in a session of its own: started, signalled as a group, observed until nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import psutil

from lorapod.trainers.port import LaunchSpec


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a child ended: one of the two is set."""

    exit_code: int | None = None
    signal: int | None = None

    @classmethod
    def of(cls, returncode: int) -> Self:
        """From the return code of `subprocess`, where a negative one is a signal."""
        return cls(signal=-returncode) if returncode < 0 else cls(exit_code=returncode)


class Child:
    """A running child, the leader of its own session and process group."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        """Take over a process that was started as the leader of a new session."""
        self._popen = popen
        self.pid = popen.pid
        #: When it started, in seconds since boot: with the pid, this names a process beyond doubt.
        self.started = process_started(popen.pid)
        #: Readable when the child has exited; closed by `reap`.
        self.exit_descriptor = os.pidfd_open(popen.pid)

    @classmethod
    def start(cls, spec: LaunchSpec, environment: Mapping[str, str]) -> Self:
        """Start the child with exactly `environment` and the spec's own variables.

        Raises:
            OSError: its program or folder does not exist, or the machine has no room for another process.
        """
        return cls(
            subprocess.Popen(
                spec.argv,
                cwd=spec.cwd,
                env={**environment, **spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        )

    @property
    def streams(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its stdout and stderr, unbuffered."""
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        return self._popen.stdout, self._popen.stderr

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; one that is gone already is no error."""
        signal_group(self.pid, number)

    def end_group(self) -> None:
        """Kill what is left of the group: a trainer's loader processes can outlive it.

        Call it between the child's exit, which `exit_descriptor` shows, and `reap`: until then its id cannot go to
        another group.
        """
        self.signal(signal.SIGKILL)

    def reap(self) -> Exit:
        """Wait for the exit, and let go of every descriptor."""
        exit_ = Exit.of(self._popen.wait())
        for stream in self.streams:
            stream.close()
        os.close(self.exit_descriptor)
        return exit_


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a group that this project made; a group that is gone is no error."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def process_started(pid: int) -> float | None:
    """When a process started, in seconds since boot; None where it is gone.

    Read from the kernel's own count, so that setting the wall clock changes nothing.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, in parentheses, may hold spaces; starttime is field 22 of proc(5).
    ticks = int(stat.rpartition(")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK")


def same_process(pid: int, started: float | None) -> bool:
    """Whether the process that had this pid at that time is still alive."""
    return started is not None and psutil.pid_exists(pid) and process_started(pid) == started
