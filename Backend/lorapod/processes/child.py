"""A child in its own session: started, guarded, signalled as a group, and watched until its whole group is gone."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Self

import psutil

from lorapod.processes import guard
from lorapod.processes.forks import no_fork
from lorapod.processes.launch import LaunchSpec


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a child ended; nothing is set if that was not seen."""

    exit_code: int | None = None
    signal: int | None = None
    #: Set if its guard killed it: how old the worker's last heartbeat was then, in seconds.
    fenced_after_s: float | None = None

    @classmethod
    def of(cls, returncode: int) -> Self:
        """Read the return code of `subprocess`, in which a negative number is a signal."""
        return cls(signal=-returncode) if returncode < 0 else cls(exit_code=returncode)


class GuardLine:
    """The worker's ends of the two pipes to one guard: heartbeats go out, one word may come back."""

    def __init__(self) -> None:
        """Open the pipes; `ends` go to the guard, in this order, and are closed here by `handed_over`."""
        beats, self._beats = os.pipe2(os.O_CLOEXEC)
        self._word, word = os.pipe2(os.O_CLOEXEC)
        self.ends = (beats, word)
        for descriptor in (self._beats, self._word):
            os.set_blocking(descriptor, False)
        self._open = True
        self._lock = threading.Lock()

    def handed_over(self) -> None:
        """Close the guard's ends on this side."""
        for descriptor in self.ends:
            os.close(descriptor)

    def tell(self, beat_s: float) -> None:
        """Pass on the time of a heartbeat; a guard that is gone, or does not read, is no error. Any thread."""
        with self._lock:
            if self._open:
                with contextlib.suppress(BrokenPipeError, BlockingIOError):
                    os.write(self._beats, guard.TIME.pack(beat_s))

    def dismiss(self) -> float | None:
        """End the guard after its child; if it killed the child, return how old the last heartbeat was, in seconds."""
        self.tell(math.inf)
        with self._lock:
            self._open = False
            try:
                word = os.read(self._word, guard.TIME.size)
            except BlockingIOError:
                word = b""
            os.close(self._beats)
            os.close(self._word)
        return float(guard.TIME.unpack(word)[0]) if word else None


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running child, the leader of its own session and process group."""

    pid: int
    #: When it started, in seconds since boot: together with the pid, this names one process.
    started: float | None
    #: Readable when the child has exited; closed by `reap`.
    exit_descriptor: int
    #: Its stdout and stderr, unbuffered.
    streams: tuple[IO[bytes], IO[bytes]]
    guard_line: GuardLine
    #: Waits for its exit; returns the code as `subprocess` does, or None if it was not seen.
    wait: Callable[[], int | None]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; a group that is gone is no error."""
        signal_group(self.pid, number)

    def end_group(self) -> None:
        """Kill what is left of the group: a trainer's loader processes can outlive it.

        Call it between the child's exit, which `exit_descriptor` shows, and `reap`: until then no other group can get
        its id.
        """
        self.signal(signal.SIGKILL)

    def reap(self) -> Exit:
        """Wait for the exit, end the guard, and close every descriptor."""
        returncode = self.wait()
        fenced_after_s = self.guard_line.dismiss()
        for stream in self.streams:
            stream.close()
        os.close(self.exit_descriptor)
        seen = Exit() if returncode is None else Exit.of(returncode)
        # A child that had ended by itself a moment before was not killed by its guard.
        return replace(seen, fenced_after_s=fenced_after_s) if seen.exit_code is None else seen


def start_child(spec: LaunchSpec, environment: Mapping[str, str], *, fence_s: float) -> Child:
    """Start a program with exactly `environment` and the spec's own variables, and a guard beside it.

    Args:
        spec: what to run.
        environment: what it inherits.
        fence_s: the guard kills it so many seconds after the last heartbeat that its `guard_line` passed on.

    Raises:
        OSError: its program or folder does not exist, or the machine has no room for another process.
    """
    if not os.access(spec.argv[0], os.X_OK):
        raise FileNotFoundError(2, "No such program", spec.argv[0])
    line = GuardLine()
    try:
        with no_fork():
            popen = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, *map(str, line.ends), str(fence_s), *spec.argv],
                cwd=spec.cwd,
                env={**environment, **spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=line.ends,
                start_new_session=True,
            )
    except BaseException:
        line.handed_over()
        line.dismiss()
        raise
    line.handed_over()
    assert popen.stdout is not None
    assert popen.stderr is not None
    return Child(
        pid=popen.pid,
        started=process_started(popen.pid),
        exit_descriptor=os.pidfd_open(popen.pid),
        streams=(popen.stdout, popen.stderr),
        guard_line=line,
        wait=popen.wait,
    )


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a group that this project made; a group that is gone is no error."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def end_stray(pid: int, started: float | None, *, timeout_s: float) -> bool:
    """Kill the group of a child that survived its worker and its guard; return whether the child is seen to be gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not same_process(pid, started):
            return True
        signal_group(pid, signal.SIGKILL)
        exits = select.poll()
        exits.register(descriptor, select.POLLIN)
        return bool(exits.poll(timeout_s * 1000))
    finally:
        os.close(descriptor)


def process_started(pid: int) -> float | None:
    """Return when a process started, in seconds since boot; None if it is gone.

    The kernel counts these seconds itself, so setting the wall clock changes nothing.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, in parentheses, may hold spaces; starttime is field 22 of proc(5).
    ticks = int(stat.rpartition(")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK")


def same_process(pid: int, started: float | None) -> bool:
    """Return whether the process that had this pid at that time is still alive (a zombie is not)."""
    if started is None or process_started(pid) != started:
        return False
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
