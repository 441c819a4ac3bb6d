"""The template process: it has a trainer's modules imported, and forks for each training.

`python process.py DESCRIPTOR PRELOAD` runs under the trainer's own Python, so nothing but the standard library is
used. It runs the script PRELOAD, which does the heavy imports, and then serves requests on DESCRIPTOR, one end of a
Unix socket pair that keeps message boundaries. Each message is one JSON object:

| the worker sends | with descriptors | and receives |
|---|---|---|
| (nothing) | | `{"environment"}`, once, when it is ready: the variables that it was started with |
| `{"argv", "arguments", "cwd", "environment", "guard", "fence_s"}` | stdout, stderr, two for the guard, go | `{"pid"}` and a pidfd, or `{"errno", "error"}` |
| `{"reap": pid}` | | `{"returncode"}` as `subprocess` gives it, null if it is not a child of this process |

A fork has its own session, the given environment, folder and streams, a guard beside it (`guard` is the command that
starts one, its descriptors follow), fresh random numbers, and waits for a byte on *go* before it runs the program
that `argv` names: so a worker that gave up waiting can be sure that nothing runs. It returns from `serve` to the end
of this script, which runs the program as the interpreter would, and exits as the program does.

A fork that has ended stays a zombie until it is reaped, so that its process id names nothing else while the worker
kills what is left of its group. When the socket ends, the worker is dead or done, and this process ends.
"""

from __future__ import annotations

import builtins
import gc
import importlib.machinery
import json
import os
import runpy
import socket
import sys
import threading
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MESSAGE_BYTES = 1 << 20

#: An open file of this name shows that CUDA was initialised, which a fork cannot use.
_CUDA_DEVICE = "/dev/nvidia-uvm"

_DESCRIPTORS = 5


@dataclass(frozen=True)
class Program:
    """The program that a fork runs; `arguments` is `argv` without the interpreter and its options."""

    argv: list[str]
    #: `SCRIPT …` or `-m MODULE …`.
    arguments: list[str]

    def run(self) -> None:
        """Run it in this process as `__main__`."""
        main = types.ModuleType("__main__")
        vars(main)["__builtins__"] = builtins
        sys.modules["__main__"] = main
        sys.orig_argv[:] = self.argv
        if self.arguments[0] == "-m":
            sys.path[0] = str(Path.cwd())
            sys.argv[:] = self.arguments[1:]
            runpy.run_module(self.arguments[1], run_name="__main__", alter_sys=True)
            return
        script = str(Path.cwd() / self.arguments[0])
        sys.path[0] = str(Path(script).resolve().parent)
        sys.argv[:] = self.arguments
        main.__file__ = script
        main.__loader__ = importlib.machinery.SourceFileLoader("__main__", script)
        code = compile(Path(script).read_bytes(), script, "exec", dont_inherit=True)
        # Not runpy's `run_path`, which removes `__main__` before the interpreter's own end.
        exec(code, vars(main))  # noqa: S102 - this is what running a program means


class TemplateProcess:
    """The server of one worker's requests."""

    def __init__(self, link: socket.socket) -> None:
        """Serve on `link`."""
        self._link = link

    def serve(self) -> Program | None:
        """Serve until the worker is gone; return None then, and in each fork the program that it runs."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(
                self._link, MESSAGE_BYTES, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
            if not message:
                return None
            request = json.loads(message)
            if "reap" in request:
                self._tell({"returncode": _reap(request["reap"])})
            elif (program := self._launch(request, descriptors)) is not None:
                return program

    def _tell(self, answer: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        socket.send_fds(self._link, [json.dumps(answer).encode()], descriptors)

    def _launch(self, request: dict[str, Any], descriptors: list[int]) -> Program | None:
        reports, report = os.pipe()
        try:
            with warnings.catch_warnings():
                # Threads without Python frames (a BLAS has some) survive a fork.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError as error:
            os.close(report)
            os.close(reports)
            for descriptor in descriptors:
                os.close(descriptor)
            self._tell({"errno": error.errno, "error": str(error)})
            return None
        if pid == 0:
            os.close(reports)
            self._link.close()
            return _begin(request, descriptors, report)
        os.close(report)
        for descriptor in descriptors:
            os.close(descriptor)
        with os.fdopen(reports, "rb") as stream:
            complaint = stream.read()
        if complaint:
            os.waitpid(pid, 0)
            self._tell(json.loads(complaint))
        else:
            exited = os.pidfd_open(pid)
            self._tell({"pid": pid}, (exited,))
            os.close(exited)
        return None


def _reap(pid: int) -> int | None:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


def _begin(request: dict[str, Any], descriptors: list[int], report: int) -> Program:
    """Become what a cold start would be, report success by closing `report`, and wait for the byte on *go*."""
    stdout, stderr, beats, word, go = descriptors
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        for source, stream in ((null, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, stream)
            os.close(source)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        _start_guard(request["guard"], (beats, word), request["fence_s"])
    except OSError as error:
        os.write(report, json.dumps({"errno": error.errno, "error": str(error)}).encode())
        os._exit(1)
    os.close(report)
    told = os.read(go, 1)
    os.close(go)
    if not told:
        os._exit(1)
    _reseed()
    return Program(argv=request["argv"], arguments=request["arguments"])


def _start_guard(command: list[str], ends: tuple[int, int], fence_s: float) -> None:
    """Start a program without this process's memory; it leaves the guard behind and ends."""
    for descriptor in ends:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the interface of `os`
    watch = [*command, str(os.getpid()), *map(str, ends), str(fence_s)]
    helper = os.posix_spawn(watch[0], watch, os.environ)
    for descriptor in ends:
        os.close(descriptor)
    if os.waitpid(helper, 0)[1]:
        raise ChildProcessError(10, "the guard did not start")


def _reseed() -> None:
    """Draw the seeds again that a new process would draw at import (`random` does it itself at a fork)."""
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()
    if (torch := sys.modules.get("torch")) is not None:
        torch.default_generator.seed()


def _unfit() -> str | None:
    """Return why no training can be forked from this process, or None."""
    if (others := threading.active_count() - 1) > 0:
        names = ", ".join(thread.name for thread in threading.enumerate()[1:])
        return f"the imports left {others} threads, which a fork would lack: {names}"
    for descriptor in Path("/proc/self/fd").iterdir():
        # The descriptor of the folder itself is among them, and is closed by now.
        if descriptor.is_symlink() and str(descriptor.readlink()).startswith(_CUDA_DEVICE):
            return "the imports initialised CUDA, which a fork cannot use"
    return None


def main() -> Program | None:
    """Import, then serve; return None when the worker is gone, and the program in each fork."""
    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)
    environment = dict(os.environ)
    # Let torch look for GPUs without initialising CUDA.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    sys.path[0] = str(Path.cwd())
    runpy.run_path(sys.argv[2], run_name="preload")
    if (reason := _unfit()) is not None:
        sys.exit(reason)
    # What is imported is never garbage: keep the collector off it, so that forks share its memory.
    gc.collect()
    gc.freeze()
    link.send(json.dumps({"environment": environment}).encode())
    return TemplateProcess(link).serve()


if __name__ == "__main__":
    if (program := main()) is None:
        # Skip the exit handlers of the libraries: none of them was used.
        os._exit(0)
    program.run()
