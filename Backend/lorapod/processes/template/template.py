"""The worker's side of one template process."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lorapod.processes import guard
from lorapod.processes.child import Child, GuardLine, process_started, signal_group
from lorapod.processes.forks import no_fork
from lorapod.processes.launch import LaunchSpec, WarmSpec
from lorapod.processes.template import process
from lorapod.processes.template.link import Imported, TemplateLink, follow_imports

logger = logging.getLogger(__name__)

#: Longest time for a fork, in seconds. A healthy one takes 0.05 s, most of it the start of its guard.
EXCHANGE_S = 5.0

#: Longest time for the imports, in seconds. From a cold network volume they take a minute.
IMPORT_LIMIT_S = 120.0

#: The fence of a process that holds no training: it may survive a frozen worker.
_NEVER_S = 1e9

#: Time between the end of its socket and its exit.
_EXIT_S = 1.0

#: How many bytes of the imports' stderr go into this worker's log.
_REPORTED_BYTES = 4000

#: Time between two calls of `given_up`.
_LOOK_S = 0.05

_GUARD = (sys.executable, "-I", "-S", guard.__file__)


class TemplateGone(Exception):
    """The template process died, or does not answer; nothing was started."""


class Template:
    """One template process. Safe for any thread; only `await_ready` waits for long."""

    def __init__(self, warm: WarmSpec, environment: Mapping[str, str]) -> None:
        """Start the process with `environment`, and a thread that follows its imports.

        Raises:
            OSError: its interpreter or its folder does not exist, or the machine has no room for it.
        """
        self._warm = warm
        self._given = environment
        self._imported: Imported | None = None
        #: Whether its imports failed by themselves, so that another try would fail too.
        self.failed = False
        self._imports_over = threading.Event()
        self._retired = self._closed = False
        self._forks: set[int] = set()
        self._lock = threading.Lock()
        self._link = TemplateLink()
        self._guard_line = GuardLine()
        try:
            self._popen = self._start()
        except BaseException:
            self._guard_line.dismiss()
            self._link.close()
            raise
        finally:
            self._guard_line.handed_over()
            self._link.handed_over()
        self._follower = threading.Thread(target=self._follow, name=f"template-{self.pid}", daemon=True)
        self._follower.start()

    @property
    def pid(self) -> int:
        """Return its process id, which is also that of its group."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Return whether its process runs."""
        return self._popen.poll() is None

    @property
    def ready(self) -> bool:
        """Return whether it can be forked."""
        return self._imported is not None and self._imported.ready and self.alive

    def await_ready(self, given_up: Callable[[], bool]) -> None:
        """Wait until its imports are done or have failed, or `given_up` returns True."""
        while not self._imports_over.wait(_LOOK_S) and not given_up():
            pass

    def start_child(
        self, spec: LaunchSpec, arguments: Sequence[str], environment: Mapping[str, str], *, fence_s: float
    ) -> Child:
        """Fork a child; see `lorapod.processes.child.start_child`.

        Args:
            spec: what to run.
            arguments: its `argv` without the interpreter and its options.
            environment: what it inherits.
            fence_s: as there.

        Raises:
            TemplateGone: the process did not answer; nothing was started.
            OSError: the folder does not exist, or the machine has no room.
        """
        assert self._imported is not None
        added = {name: value for name, value in self._imported.environment.items() if name not in self._given}
        request = {
            "argv": spec.argv,
            "arguments": arguments,
            "cwd": str(spec.cwd),
            "environment": {**added, **environment, **spec.environment},
            "guard": [*_GUARD, "--watch"],
            "fence_s": fence_s,
        }
        line = GuardLine()
        stdout, stdout_end = _pipe_holding(self._imported.stdout)
        stderr, stderr_end = _pipe_holding(self._imported.stderr)
        go_end, go = os.pipe2(os.O_CLOEXEC)
        try:
            handed = [stdout_end, stderr_end, *line.ends, go_end]
            # The child's guard counts from a heartbeat before this call.
            pid, exit_descriptor = self._fork(request, handed, timeout_s=min(EXCHANGE_S, fence_s / 2))
            os.write(go, b"\0")
        except BaseException:
            line.dismiss()
            os.close(stdout)
            os.close(stderr)
            raise
        finally:
            line.handed_over()
            for descriptor in (stdout_end, stderr_end, go_end, go):
                os.close(descriptor)
        return Child(
            pid=pid,
            started=process_started(pid),
            exit_descriptor=exit_descriptor,
            streams=(os.fdopen(stdout, "rb", buffering=0), os.fdopen(stderr, "rb", buffering=0)),
            guard_line=line,
            wait=lambda: self._reap(pid, exit_descriptor),
        )

    def retire(self) -> None:
        """Fork no more, and end as soon as every fork has been reaped."""
        with self._lock:
            self._retired = True
            self._close_if_done()

    def kill(self) -> None:
        """End now; the forks continue, but how they exit is not seen."""
        self._end_process()
        self.retire()

    def _start(self) -> subprocess.Popen[bytes]:
        # With a guard, as every child: if the worker dies, its imports must end too.
        link = self._link.theirs.fileno()
        with no_fork():
            return subprocess.Popen(
                [
                    *(*_GUARD, *map(str, self._guard_line.ends), str(_NEVER_S)),
                    *(*self._warm.python, process.__file__, str(link), str(self._warm.preload)),
                ],
                cwd=self._warm.cwd,
                env=self._given,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=[*self._guard_line.ends, link],
                start_new_session=True,
            )

    def _follow(self) -> None:
        imported = follow_imports(self._popen, self._link, limit_s=IMPORT_LIMIT_S)
        if not imported.ready and not self._retired:
            self.failed = self._gave_up()
            logger.warning(
                "trainer cannot be kept warm",
                extra={
                    "preload": str(self._warm.preload),
                    "exit_code": self._popen.returncode,
                    "stderr": imported.stderr[-_REPORTED_BYTES:].decode(errors="replace").strip(),
                },
            )
        self._imported = imported
        self._imports_over.set()

    def _gave_up(self) -> bool:
        """Return True if the imports ended by themselves or were too slow, False if something killed them."""
        try:
            return self._popen.wait(_EXIT_S) >= 0
        except subprocess.TimeoutExpired:
            self._end_process()
            self._popen.wait()
            return True

    def _fork(
        self, request: Mapping[str, Any], descriptors: Sequence[int], *, timeout_s: float
    ) -> tuple[int, int]:
        with self._lock:
            if self._retired:
                raise TemplateGone("it is retired")
            answer, received = self._ask(request, descriptors, timeout_s=timeout_s)
            if "errno" in answer:
                raise OSError(answer["errno"], answer["error"])
            self._forks.add(answer["pid"])
        (exit_descriptor,) = received
        return answer["pid"], exit_descriptor

    def _reap(self, pid: int, exit_descriptor: int) -> int | None:
        exited = select.poll()
        exited.register(exit_descriptor, select.POLLIN)
        exited.poll()
        with self._lock:
            try:
                returncode: int | None = self._ask({"reap": pid}, timeout_s=EXCHANGE_S)[0]["returncode"]
            except TemplateGone:
                return None
            finally:
                self._forks.discard(pid)
                self._close_if_done()
        return returncode

    def _ask(
        self, question: Mapping[str, Any], descriptors: Sequence[int] = (), *, timeout_s: float
    ) -> tuple[Mapping[str, Any], Sequence[int]]:
        """Do it while `_lock` is held."""
        try:
            return self._link.ask(question, descriptors, timeout_s=timeout_s)
        except OSError as error:
            self._end_process()
            raise TemplateGone(str(error)) from error

    def _end_process(self) -> None:
        if self.alive:
            signal_group(self.pid, signal.SIGKILL)

    def _close_if_done(self) -> None:
        """Do it while `_lock` is held."""
        if not self._retired or self._forks or self._closed:
            return
        self._closed = True
        self._end_process()
        self._popen.wait()
        self._follower.join()
        self._guard_line.dismiss()
        self._link.close()
        for stream in (self._popen.stdout, self._popen.stderr):
            assert stream is not None
            stream.close()


def _pipe_holding(text: bytes) -> tuple[int, int]:
    """Return a pipe's read end and write end, with `text` in it: a cold start would print it while it imports."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    os.write(write_end, text)
    return read_end, write_end
