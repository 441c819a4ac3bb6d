"""Runs git, pip and installers of extensions: in its own session, with a guard, and never for ever."""

from __future__ import annotations

import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import UpstreamError, WorkerTimeout
from lorapod.processes.child import start_child
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.pump import Pump, Waker

#: It holds no lease: its guard ends it when this process has ended, not when a heartbeat is late.
_FENCE_S = 1e9
_PAUSE_S = 0.1
_KEPT_LINES = 40
_SHOWN = 300


class InstallStopped(Exception):
    """The installation was to be stopped."""


@dataclass(frozen=True, kw_only=True)
class CommandRunner:
    """Runs commands, one at a time."""

    #: What they inherit.
    environment: Mapping[str, str]
    #: When they are ended, on the monotonic clock.
    until_s: float
    stopped: Callable[[], bool] = lambda: False

    def run(self, argv: Sequence[str], *, cwd: Path, **more: str) -> Sequence[str]:
        """Run a command to its end and return its last lines.

        Args:
            argv: the program and its arguments; a bare name is looked for on the PATH.
            cwd: its working folder.
            more: added to its environment.

        Raises:
            UpstreamError: it failed; the message is the last line that says why.
            WorkerTimeout: it was not done in time, and was ended.
            InstallStopped: it was to be stopped, and was ended.
            OSError: it cannot be started.
        """
        program = shutil.which(argv[0], path=self.environment.get("PATH")) or argv[0]
        spec = LaunchSpec(argv=(program, *argv[1:]), cwd=cwd, environment=more)
        child = start_child(spec, self.environment, fence_s=_FENCE_S)
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        waker, ended = Waker(), ""
        with Pump(child, waker.descriptor) as pump:
            while not pump.exited:
                lines.extend(line.text for line in pump.lines(_PAUSE_S))
                if not ended and (ended := self._over()):
                    child.signal(signal.SIGKILL)
            until_s = time.monotonic() + _PAUSE_S
            while pump.open and time.monotonic() < until_s:
                lines.extend(line.text for line in pump.lines(_PAUSE_S / 4))
            child.end_group()
            seen = child.reap()
        waker.close()
        if ended == "stopped":
            raise InstallStopped
        if ended:
            raise WorkerTimeout(f"{Path(argv[0]).name} was not done in time")
        if seen.exit_code != 0:
            how = f"exit code {seen.exit_code}" if seen.exit_code else f"signal {seen.signal}"
            raise UpstreamError(last_words(lines) or how)
        return list(lines)

    def _over(self) -> str:
        if self.stopped():
            return "stopped"
        return "late" if time.monotonic() >= self.until_s else ""


def last_words(lines: Sequence[str] | deque[str]) -> str:
    """Return the last line that names an error, else the last one; shortened."""
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if line.lower().startswith(("error:", "fatal:"))]
    return (errors or said or [""])[-1][:_SHOWN]
