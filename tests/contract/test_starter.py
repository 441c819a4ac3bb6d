"""What every starter promises: the cold one, and the pool that forks from a resident process."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lorapod.processes.child import Child, Exit
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.starting import ColdStarter, Starter
from lorapod.processes.template.pool import TemplatePool
from lorapod.testing.trainer import ScriptTrainer

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
DEADLINE_S = 20.0
WARM = ScriptTrainer.warm

#: Everything that a program can easily see of how it was started.
REPORT = """
import json, os, signal, sys, threading
from pathlib import Path
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
descriptors = {}
for link in Path("/proc/self/fd").iterdir():
    if link.is_symlink():
        descriptors[link.name] = str(link.readlink()).partition(":")[0]
print(json.dumps({
    "argv": sys.argv, "original": sys.orig_argv, "first path": sys.path[0], "paths": sys.path,
    "flags": repr(sys.flags), "executable": sys.executable, "name": __name__, "file": globals().get("__file__"),
    "package": __package__, "main": sys.modules["__main__"].__dict__ is globals(), "folder": os.getcwd(),
    "environment": dict(os.environ), "leads session": os.getsid(0) == os.getpid(),
    "leads group": os.getpgid(0) == os.getpid(), "input": sys.stdin.read(), "descriptors": descriptors,
    "blocked": status["SigBlk"], "ignored": status["SigIgn"], "caught": status["SigCgt"],
    "handlers": [repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "threads": threading.active_count(), "tasks": status["Threads"], "mask": os.umask(0o22), "nice": os.nice(0),
    "streams": [(s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty(), s.seekable())
                for s in (sys.stdout, sys.stderr)],
    "main thread": threading.current_thread() is threading.main_thread(), "limits": status["CapEff"],
}))
"""


def warm_pool() -> TemplatePool:
    pool = TemplatePool()
    pool.await_ready(WARM, ENVIRONMENT, lambda: False)
    assert pool.template_pids()
    return pool


@pytest.fixture(params=["cold", "warm"])
def starter(request: pytest.FixtureRequest) -> Iterator[Starter]:
    opened: Starter = warm_pool() if request.param == "warm" else ColdStarter()
    yield opened
    opened.close()


class Started:
    """One child and what it said."""

    def __init__(self, starter: Starter, arguments: list[str], folder: Path, *, fence_s: float = 600) -> None:
        self.ended = False
        self.script = arguments[0]
        spec = LaunchSpec(argv=(*WARM.python, *arguments), cwd=folder, environment={"OWN": "1"})
        self.child: Child = starter.start_child(spec, ENVIRONMENT, warm=WARM, fence_s=fence_s)
        if isinstance(starter, TemplatePool):
            assert psutil.Process(self.child.pid).ppid() in starter.template_pids()

    def read(self, stream: int) -> str:
        """All that comes until the stream is closed."""
        text = b""
        while chunk := os.read(self.child.streams[stream].fileno(), 65536):
            text += chunk
        return text.decode()

    def line(self) -> str:
        """The first line of stdout."""
        text = b""
        while not text.endswith(b"\n"):
            text += os.read(self.child.streams[0].fileno(), 1)
        return text.decode()

    def exited(self) -> bool:
        return bool(select.select([self.child.exit_descriptor], [], [], DEADLINE_S)[0])

    def end(self) -> Exit:
        """As a supervisor sees a child to its end."""
        assert self.exited()
        self.child.end_group()
        self.ended = True
        return self.child.reap()


Start = Callable[..., Started]


@pytest.fixture
def start(starter: Starter, tmp_path: Path) -> Iterator[Start]:
    started: list[Started] = []

    def begin(program: str, *arguments: str, fence_s: float = 600) -> Started:
        script = tmp_path / "program.py"
        script.write_text(program)
        started.append(Started(starter, [str(script), *arguments], tmp_path, fence_s=fence_s))
        return started[-1]

    yield begin
    for each in started:
        if not each.ended:
            each.child.signal(signal.SIGKILL)
            each.end()


def gone(pid: int) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("open_starter", [ColdStarter, warm_pool])
def test_a_child_is_interrupted_though_its_worker_ignores_the_signal(
    open_starter: Callable[[], Starter], tmp_path: Path
) -> None:
    """A shell has what it starts in the background ignore SIGINT, and so the worker and all that it starts."""
    (tmp_path / "program.py").write_text(
        "import time\ntry:\n print('up', flush=True)\n time.sleep(60)\nexcept KeyboardInterrupt:\n raise SystemExit(7)\n"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        starter = open_starter()
        started = Started(starter, [str(tmp_path / "program.py")], tmp_path)
        try:
            assert started.line() == "up\n"
            started.child.signal(signal.SIGINT)
            assert started.exited()
            assert started.end().exit_code == 7
        finally:
            if not started.ended:
                started.child.signal(signal.SIGKILL)
                started.end()
            starter.close()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_warm_start_looks_to_its_program_like_a_cold_one(tmp_path: Path) -> None:
    (tmp_path / "report.py").write_text(REPORT)
    (tmp_path / "here").mkdir()
    for arguments in (["../report.py", "a b", "-m"], [str(tmp_path / "report.py")]):
        reports: list[dict[str, Any]] = []
        for starter in (ColdStarter(), warm_pool()):
            started = Started(starter, arguments, tmp_path / "here")
            report, errors = started.read(0), started.read(1)
            assert started.end() == Exit(exit_code=0), errors
            assert not errors
            reports.append(json.loads(report))
            starter.close()
        assert reports[0] == reports[1]
        assert reports[0]["environment"].items() >= {**ENVIRONMENT, "OWN": "1"}.items()


def test_a_module_looks_the_same_too(tmp_path: Path) -> None:
    package = tmp_path / "reporting"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(REPORT)
    reports: list[dict[str, Any]] = []
    for starter in (ColdStarter(), warm_pool()):
        started = Started(starter, ["-m", "reporting", "x"], tmp_path)
        reports.append(json.loads(started.read(0)))
        assert started.end() == Exit(exit_code=0)
        starter.close()
    assert reports[0] == reports[1]
    assert reports[0]["package"] == "reporting"


@pytest.mark.parametrize(
    ("program", "meaning"),
    [
        ("", Exit(exit_code=0)),
        ("import sys; sys.exit(3)", Exit(exit_code=3)),
        ("import sys; sys.exit('why')", Exit(exit_code=1)),
        ("raise ValueError('why')", Exit(exit_code=1)),
        ("raise SystemExit", Exit(exit_code=0)),
        ("raise KeyboardInterrupt('why')", Exit(signal=signal.SIGINT)),
        ("import os; os._exit(7)", Exit(exit_code=7)),
        ("import os; os.abort()", Exit(signal=signal.SIGABRT)),
        ("import os; os.kill(os.getpid(), 9)", Exit(signal=signal.SIGKILL)),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", Exit(signal=signal.SIGTERM)),
    ],
)
def test_the_exit_is_told_exactly(start: Start, program: str, meaning: Exit) -> None:
    started = start(program)
    assert ("why" in started.read(1)) is ("why" in program)
    assert started.end() == meaning


def test_sigint_is_an_exception_in_the_program(start: Start) -> None:
    started = start(
        "import time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('out')"
    )
    assert started.line() == "up\n"
    started.child.signal(signal.SIGINT)
    assert started.read(0) == "out\n"
    assert started.end() == Exit(exit_code=0)


def test_what_a_program_does_at_its_end_is_done(start: Start) -> None:
    started = start(
        "import atexit, threading, time\n"
        "atexit.register(print, 'exit')\n"
        "def late():\n    time.sleep(0.1)\n    print('thread', __name__)\n"
        "threading.Thread(target=late).start()\nprint('main')"
    )
    assert started.read(0) == "main\nthread __main__\nexit\n"
    assert started.end() == Exit(exit_code=0)


def test_the_group_ends_with_the_child(start: Start) -> None:
    started = start(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)"
    )
    grandchild = int(started.line())
    assert started.end() == Exit(exit_code=0)
    assert gone(grandchild)


def test_output_comes_while_the_program_runs(start: Start) -> None:
    started = start(
        "import sys\nprint('a')\nsys.stderr.write('b')\nsys.stdin.close()\nimport time; time.sleep(60)"
    )
    assert started.line() == "a\n"
    assert os.read(started.child.streams[1].fileno(), 100) == b"b"
    started.child.signal(signal.SIGKILL)
    assert started.end() == Exit(signal=signal.SIGKILL)


def test_the_guard_ends_it_when_the_heart_stands_still(start: Start) -> None:
    started = start("import time; time.sleep(60)", fence_s=0.5)
    started.child.guard_line.tell(time.monotonic())
    end = started.end()
    assert end.signal == signal.SIGKILL
    # It says that it was the guard, and why.
    assert end.fenced_after_s is not None
    assert end.fenced_after_s >= 0.5


def test_a_guard_that_stood_still_itself_kills_nothing_while_the_heart_beats(start: Start) -> None:
    fence_s = 0.5
    started = start("import time; print('up', flush=True); time.sleep(60)", fence_s=fence_s)
    started.child.guard_line.tell(time.monotonic())
    started.line()
    (guard,) = guards_of(started)
    os.kill(guard, signal.SIGSTOP)
    until = time.monotonic() + 3 * fence_s
    while time.monotonic() < until:
        started.child.guard_line.tell(time.monotonic())
        assert not select.select([started.child.exit_descriptor], [], [], fence_s / 5)[0]
    started.child.guard_line.tell(time.monotonic())
    os.kill(guard, signal.SIGCONT)
    # It has judged what it missed once it takes its leave.
    started.child.guard_line.tell(math.inf)
    assert gone(guard)
    assert not select.select([started.child.exit_descriptor], [], [], 0)[0]


def guards_of(started: Started) -> list[int]:
    """Guards carry the command line of what they guard behind their own, or its group if it is a fork."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "guard.py" in (line := " ".join(process.info["cmdline"] or ()))
        and (str(started.script) in line or f"--watch {started.child.pid} " in line)
    ]


def test_the_guard_lets_it_live_while_the_heart_beats(start: Start) -> None:
    started = start("import time; time.sleep(1.5); print('done')", fence_s=0.6)
    for _ in range(15):
        started.child.guard_line.tell(time.monotonic())
        if select.select([started.child.exit_descriptor], [], [], 0.1)[0]:
            break
    assert started.read(0) == "done\n"
    assert started.end() == Exit(exit_code=0)


def test_no_descriptor_is_left_behind(starter: Starter, tmp_path: Path) -> None:
    (tmp_path / "nothing.py").touch()

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    Started(starter, ["nothing.py"], tmp_path).end()
    before = descriptors()
    for _ in range(3):
        Started(starter, ["nothing.py"], tmp_path).end()
    assert descriptors() <= before


def test_a_folder_that_is_gone_is_an_error(starter: Starter, tmp_path: Path) -> None:
    spec = LaunchSpec(argv=(*WARM.python, "x.py"), cwd=tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        starter.start_child(spec, ENVIRONMENT, warm=WARM, fence_s=10)


def test_a_program_that_is_gone_is_an_error(starter: Starter, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        starter.start_child(LaunchSpec(argv=("/gone",), cwd=tmp_path), ENVIRONMENT, warm=WARM, fence_s=10)


def test_two_children_draw_other_random_numbers(start: Start) -> None:
    drawn = [
        start("import random, uuid, tempfile; print(random.random(), uuid.uuid4(), tempfile.mktemp())").read(
            0
        )
        for _ in range(3)
    ]
    assert len({number for line in drawn for number in line.split()}) == 9


def test_the_interpreter_is_the_trainers(start: Start) -> None:
    assert start("import sys; print(sys.executable)").read(0).strip() == sys.executable
