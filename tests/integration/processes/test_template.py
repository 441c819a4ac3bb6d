"""The pool of warm trainers, with resident processes that die, freeze, fail and go out of date."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lorapod.deadline import Deadline
from lorapod.processes.child import Child, Exit
from lorapod.processes.launch import LaunchSpec, WarmSpec
from lorapod.processes.starting import ColdStarter
from lorapod.processes.template import pool
from lorapod.processes.template.pool import MOST_DEATHS, TemplatePool
from lorapod.settings import Settings
from lorapod.testing.manager import ended, open_manager, train_on
from lorapod.worker import Worker

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": "0"}
DEADLINE_S = 20.0


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Bench:
    """A trainer in a folder of its own, and a pool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool = TemplatePool()
        self.children: list[Child] = []
        self.preload = folder / "preload.py"
        self.preload.write_text("")
        self.program = folder / "program.py"
        self.program.write_text("import time; time.sleep(60)")
        self.warm = WarmSpec(
            python=(sys.executable, "-S"),
            cwd=folder,
            preload=self.preload,
            sources=(self.preload, folder / "source"),
        )

    def settle(self, **changes: str) -> None:
        self.pool.await_ready(self.warm, {**ENVIRONMENT, **changes}, lambda: False)

    def launch(self, *arguments: str, fence_s: float = 600, **changes: str) -> Child:
        spec = LaunchSpec(argv=(*self.warm.python, str(self.program), *arguments), cwd=self.folder)
        environment = {**ENVIRONMENT, **changes}
        child = self.pool.start_child(spec, environment, warm=self.warm, fence_s=fence_s)
        self.children.append(child)
        return child

    def end(self, child: Child) -> tuple[str, Exit]:
        assert select.select([child.exit_descriptor], [], [], DEADLINE_S)[0]
        text = b""
        while chunk := os.read(child.streams[0].fileno(), 65536):
            text += chunk
        child.end_group()
        self.children.remove(child)
        return text.decode(), child.reap()

    def parent(self, child: Child) -> int:
        return psutil.Process(child.pid).ppid()

    @property
    def resident(self) -> int | None:
        pids = self.pool.template_pids()
        assert len(pids) < 2
        return pids[0] if pids else None

    def close(self) -> None:
        for child in list(self.children):
            child.signal(signal.SIGKILL)
            self.end(child)
        resident = self.resident
        self.pool.close()
        assert resident is None or gone(resident)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "source").mkdir()
    opened = Bench(tmp_path)
    yield opened
    opened.close()


def test_a_launch_that_was_not_settled_is_cold(bench: Bench) -> None:
    assert bench.parent(bench.launch()) == os.getpid()


def test_a_settled_launch_is_warm_and_the_resident_process_stays(bench: Bench) -> None:
    bench.settle()
    resident = bench.resident
    for _ in range(2):
        bench.settle()
        assert bench.parent(bench.launch()) == resident


def test_many_at_once(bench: Bench) -> None:
    bench.program.write_text("import sys; print(sys.argv[1]); sys.exit(int(sys.argv[1]))")
    bench.settle()
    told: dict[int, tuple[str, Exit]] = {}

    def run(number: int) -> None:
        told[number] = bench.end(bench.launch(str(number)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {number: (f"{number}\n", Exit(exit_code=number)) for number in range(8)}


def test_a_resident_process_that_was_killed_is_replaced_and_its_forks_go_on(bench: Bench) -> None:
    bench.settle()
    first, running = bench.resident, bench.launch()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: gone(first), "the resident process ends")
    assert bench.parent(bench.launch()) == os.getpid()
    bench.settle()
    assert bench.parent(bench.launch()) == bench.resident != first
    assert not gone(running.pid)
    running.signal(signal.SIGTERM)
    # Its parent is gone, so nobody saw the signal; that it ended is seen all the same.
    assert bench.end(running) == ("", Exit())


def test_one_that_dies_again_and_again_is_given_up(bench: Bench) -> None:
    for _ in range(MOST_DEATHS):
        bench.settle()
        resident = bench.resident
        assert resident is not None
        os.kill(resident, signal.SIGKILL)
        wait_for(lambda pid=resident: gone(pid), "the resident process ends")  # type: ignore[misc]
    bench.settle()
    assert bench.resident is None
    assert bench.parent(bench.launch()) == os.getpid()


def test_one_that_freezes_costs_a_moment_and_runs_nothing_later(bench: Bench) -> None:
    ran = bench.folder / "ran"
    bench.program.write_text(f"open({str(ran)!r}, 'a').write('x')")
    bench.settle()
    resident = bench.resident
    assert resident is not None
    os.kill(resident, signal.SIGSTOP)
    child = bench.launch(fence_s=1.0)
    child.guard_line.tell(time.monotonic())
    assert bench.end(child) == ("", Exit(exit_code=0))
    wait_for(lambda: gone(resident), "the frozen process is ended")
    assert ran.read_text() == "x"


@pytest.mark.parametrize("changed", ["preload.py", "source/new.py"])
def test_a_changed_source_replaces_it_once_its_forks_have_ended(bench: Bench, changed: str) -> None:
    bench.settle()
    first, running = bench.resident, bench.launch()
    assert first is not None
    (bench.folder / changed).write_text("value = 1")
    assert bench.parent(bench.launch()) == os.getpid()
    bench.settle()
    assert bench.parent(bench.launch()) == bench.resident != first
    assert not gone(first)
    running.signal(signal.SIGTERM)
    assert bench.end(running) == ("", Exit(signal=signal.SIGTERM))
    assert gone(first)


def test_another_environment_replaces_it_another_gpu_does_not(bench: Bench) -> None:
    bench.settle()
    first = bench.resident
    bench.settle(CUDA_VISIBLE_DEVICES="1")
    assert bench.resident == first
    bench.program.write_text("import os; print(os.environ['CUDA_VISIBLE_DEVICES'])")
    child = bench.launch(CUDA_VISIBLE_DEVICES="1")
    assert bench.end(child)[0] == "1\n"
    for changes in ({"CUDA_VISIBLE_DEVICES": ""}, {"MODELS_PATH": "/m"}):
        before = bench.resident
        bench.settle(**changes)
        assert bench.resident not in {before, None}


@pytest.mark.parametrize(
    ("preload", "reason"),
    [
        ("import there_is_no_such_module", "No module named 'there_is_no_such_module'"),
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "threads",
        ),
        ("import os, sys\nsys.stderr.write('no more')\nos._exit(4)", "no more"),
    ],
)
def test_imports_that_fail_are_told_once_and_not_tried_again(
    bench: Bench, caplog: pytest.LogCaptureFixture, preload: str, reason: str
) -> None:
    bench.preload.write_text(f"open('tries', 'a').write('x')\n{preload}")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            bench.settle()
            assert bench.parent(bench.launch()) == os.getpid()
    assert (bench.folder / "tries").read_text() == "x"
    (told,) = caplog.records
    assert reason in vars(told)["stderr"]
    bench.preload.write_text("'repaired'")
    bench.settle()
    assert bench.parent(bench.launch()) == bench.resident


def test_a_launch_that_is_given_up_does_not_wait_for_the_imports(bench: Bench) -> None:
    bench.preload.write_text("import time; time.sleep(60)")
    bench.pool.await_ready(bench.warm, ENVIRONMENT, lambda: True)
    assert bench.parent(bench.launch()) == os.getpid()


def test_what_the_imports_print_stands_in_every_log(bench: Bench) -> None:
    bench.preload.write_text("import sys; print('imported'); sys.stderr.write('warned')")
    bench.program.write_text("print('ran')")
    bench.settle()
    for _ in range(2):
        child = bench.launch()
        assert bench.parent(child) == bench.resident
        errors = os.read(child.streams[1].fileno(), 100)
        assert (bench.end(child)[0], errors) == ("imported\nran\n", b"warned")


def test_the_imports_are_those_of_the_program(bench: Bench) -> None:
    (bench.folder / "heavy.py").write_text("import os\nwho = os.getpid()")
    bench.preload.write_text("import heavy")
    bench.program.write_text("import heavy; print(heavy.who)")
    bench.settle()
    assert bench.end(bench.launch())[0] == f"{bench.resident}\n"


@pytest.mark.parametrize("closed", [False, True])
def test_an_idle_worker_imports_a_little_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, closed: bool
) -> None:
    monkeypatch.setattr(pool, "IDLE_S", 0.3)
    bench.pool.begin_soon(bench.warm, ENVIRONMENT)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "warm-trainer")
    assert bench.resident is None
    if closed:
        bench.pool.close()
    thread.join()
    assert (bench.resident is None) is closed


def test_another_interpreter_or_option_is_cold(bench: Bench) -> None:
    bench.settle()
    for argv in (
        (sys.executable, str(bench.program)),
        (*bench.warm.python, "-c", "import time; time.sleep(60)"),
    ):
        spec = LaunchSpec(argv=argv, cwd=bench.folder)
        child = bench.pool.start_child(spec, ENVIRONMENT, warm=bench.warm, fence_s=60)
        bench.children.append(child)
        assert bench.parent(child) == os.getpid()


#: A worker that has a warm trainer and one fork, and says which.
WORKER = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_template import Bench
bench = Bench(Path(sys.argv[1]))
if sys.argv[3] == "ready":
    bench.settle()
    print(bench.resident, bench.launch().pid, flush=True)
else:
    bench.preload.write_text("import time; time.sleep(60)")
    threading.Thread(target=bench.settle, daemon=True).start()
    while not bench.resident:
        pass
    print(bench.resident, bench.resident, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("state", ["ready", "importing"])
def test_nothing_outlives_a_worker_that_is_killed(tmp_path: Path, state: str) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path), str(Path(__file__).parent), state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pids = [int(word) for word in worker.stdout.readline().split()]
        assert not any(gone(pid) for pid in pids)
        worker.kill()
    for pid in pids:
        wait_for(lambda pid=pid: gone(pid), "it ends")  # type: ignore[misc]


@pytest.mark.parametrize("warm", [True, False])
async def test_a_managers_trainings_are_forks_where_it_may(tmp_path: Path, *, warm: bool) -> None:
    manager = open_manager(tmp_path / "workspace", warm=warm)
    end = await ended(manager, train_on(manager, steps=1, behaviour="environment"))
    manager.close(Deadline.after(5))
    assert end.exit_code == 0
    log = tmp_path / "workspace" / "logs" / f"{end.process_id}.log"
    assert json.loads(log.read_text().splitlines()[1])["SCRIPT"] == "1"


@pytest.mark.parametrize(("value", "kind"), [("on", TemplatePool), ("off", ColdStarter), ("", TemplatePool)])
def test_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, kind: type) -> None:
    monkeypatch.setenv("WORKSPACE_PATH", str(tmp_path))
    monkeypatch.setenv("WARM_TRAINER", value)
    assert isinstance(Worker.create(Settings()).context.starter, kind)
