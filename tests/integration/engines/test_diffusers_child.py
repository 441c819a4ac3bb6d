"""The engine and its child, which here is a script that misbehaves on demand."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.engines import script_diffusers_child

from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.port import Generation, GenerationResult, GenerationStopped, LoraUse
from lorapod.errors import GpuUnavailable, InternalError, NotFound, OutOfMemory, WorkerTimeout
from lorapod.processes.child import Child, Exit
from lorapod.processes.launch import LaunchSpec, WarmSpec
from lorapod.processes.resident import conversation
from lorapod.processes.starting import ColdStarter
from lorapod.settings import Settings
from lorapod.testing.clock import FakeClock
from lorapod.testing.engine import RecordedRun
from lorapod.workspace import Workspace

SOON_S = 20.0
IDLE_S = 300.0
ENVIRONMENT = {"PATH": os.environ["PATH"]}


class ScriptStarter(ColdStarter):
    """Starts the script where the engine asks for its child."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start_child(
        self, spec: LaunchSpec, environment: Mapping[str, str], *, warm: WarmSpec | None, fence_s: float
    ) -> Child:
        script = Path(script_diffusers_child.__file__)
        argv = (sys.executable, str(script), spec.argv[-1])
        child = super().start_child(replace(spec, argv=argv), environment, warm=warm, fence_s=fence_s)
        self.children.append(child)
        return child


class Bench:
    """An engine on a workspace of its own."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.workspace = Workspace.create(root / "workspace")
        for name in ("model", "other", "hang", "die"):
            folder = self.workspace.models / name
            folder.mkdir()
            (folder / "model_index.json").write_text("{}")
            (folder / "weights.safetensors").write_bytes(b"")
        self.clock = FakeClock()
        self.starter = ScriptStarter()
        self.engine = DiffusersEngine(
            settings=Settings(workspace_path=self.workspace.root, engine_idle_s=IDLE_S, **settings),
            workspace=self.workspace,
            clock=self.clock,
            starter=self.starter,
        )

    def generation(self, prompt: str, *, model: str = "model") -> Generation:
        folder = self.workspace.output / "generate_0123456789ab"
        folder.mkdir(exist_ok=True)
        return Generation(
            process_id=folder.name, prompt=prompt, seed=1, model=model, folder=folder, scratch=folder
        )

    def generate(
        self, prompt: str, run: RecordedRun | None = None, *, model: str = "model", **environment: str
    ) -> GenerationResult:
        run = run or RecordedRun()
        run.environment = {**ENVIRONMENT, **environment}
        return self.engine.generate(self.generation(prompt, model=model), run)

    @property
    def pid(self) -> int:
        return self.starter.children[-1].pid


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = Bench(tmp_path)
    yield opened
    opened.engine.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def failing(
    bench: Bench, error: type[Exception], prompt: str, run: RecordedRun | None = None, **fields: Any
) -> threading.Thread:
    """Generates in a thread of its own, which sees to it that it fails so."""

    def generate() -> None:
        with pytest.raises(error):
            bench.generate(prompt, run, **fields)

    thread = threading.Thread(target=generate)
    thread.start()
    return thread


def test_one_child_serves_generations_and_models(bench: Bench) -> None:
    first = RecordedRun()
    made = bench.generate("a box", first)
    bench.generate("a box")
    bench.generate("a box", model="other")

    assert len(bench.starter.children) == 1
    assert made.warnings == ("It is a script.",)
    assert [file.seed for file in made.files] == [1]
    assert made.files[0].path.read_text() == str(bench.pid)
    steps = [(told.step, told.total_steps, told.image) for told in first.reported if told.step]
    assert steps == [(1, 3, 1), (2, 3, 1), (3, 3, 1)]
    assert "it runs" in first.lines
    assert bench.engine.probe().resident
    assert str(bench.engine.probe().model).endswith("other")


def test_a_model_is_loaded_again_only_when_its_files_have_changed(bench: Bench) -> None:
    def loads() -> int:
        run = RecordedRun()
        bench.generate("a box", run)
        return sum("loaded" in line for line in run.lines)

    assert (loads(), loads()) == (1, 0)
    (bench.workspace.models / "model" / "weights.safetensors").write_bytes(b"others")
    assert (loads(), loads()) == (1, 0)


def test_a_killed_child_fails_its_generation_and_the_next_has_a_new_one(bench: Bench) -> None:
    run = RecordedRun()
    with pytest.raises(OutOfMemory, match="killed from outside") as failure:
        bench.generate("die", run)

    assert failure.value.hint
    assert "about to die" in run.lines
    assert not bench.engine.probe().resident
    assert bench.generate("a box").files
    assert len(bench.starter.children) == 2


def test_a_child_killed_between_generations_is_replaced(bench: Bench) -> None:
    bench.generate("a box")
    os.kill(bench.pid, signal.SIGKILL)
    until(lambda: not bench.engine.probe().resident)

    assert bench.generate("a box").files


@pytest.mark.parametrize(
    ("prompt", "said"), [("abort", "SIGABRT"), ("exit", "exit code 3"), ("garble", "is not understood")]
)
def test_however_it_ends_there_is_a_sentence(bench: Bench, prompt: str, said: str) -> None:
    with pytest.raises(InternalError, match=said):
        bench.generate(prompt)
    assert bench.generate("a box").files


def test_one_that_dies_while_it_loads(bench: Bench) -> None:
    with pytest.raises(OutOfMemory):
        bench.generate("a box", model="die")
    assert bench.generate("a box").files


def test_one_that_dies_at_its_start(bench: Bench) -> None:
    with pytest.raises(InternalError, match="exit code 3"):
        bench.generate("a box", START="exit")
    assert bench.generate("a box").files


def test_a_hanging_generation_is_ended_in_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, generation_timeout=50)
    thread = failing(bench, WorkerTimeout, "hang")
    until(lambda: bench.engine.probe().model)
    pid = bench.pid
    bench.clock.advance(49)
    assert thread.is_alive()
    bench.clock.advance(2)
    thread.join(SOON_S)

    assert not psutil.pid_exists(pid)
    assert bench.generate("a box").files
    bench.engine.close()


@pytest.mark.parametrize("fields", [{"model": "hang"}, {"START": "hang"}])
def test_a_hanging_start_or_load_is_ended_in_time(tmp_path: Path, fields: dict[str, Any]) -> None:
    bench = Bench(tmp_path, startup_timeout=50)
    thread = failing(bench, WorkerTimeout, "a box", **fields)
    until(lambda: bench.engine.probe().resident)
    # As long as it has not come to where it hangs, its time has not begun.
    while thread.is_alive():
        bench.clock.advance(51)
        thread.join(0.2)

    assert bench.generate("a box").files
    bench.engine.close()


def test_a_generation_is_cancelled_at_its_next_step_and_the_child_stays(bench: Bench) -> None:
    run = RecordedRun()
    thread = failing(bench, GenerationStopped, "endless", run)
    until(lambda: any(told.step for told in run.reported))
    run.stop.set()
    thread.join(SOON_S)

    assert bench.engine.probe().resident
    assert bench.generate("a box").files
    assert len(bench.starter.children) == 1


def test_one_that_takes_no_notice_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "CANCEL_S", 5.0)
    run = RecordedRun()
    thread = failing(bench, GenerationStopped, "endless deaf", run)
    until(lambda: any(told.step for told in run.reported))
    pid = bench.pid
    run.stop.set()
    while thread.is_alive():
        bench.clock.advance(6)
        thread.join(0.2)

    assert not psutil.pid_exists(pid)
    assert bench.generate("a box").files


def test_a_load_is_stopped_by_ending_the_child(bench: Bench) -> None:
    run = RecordedRun()
    thread = failing(bench, GenerationStopped, "a box", run, model="hang")
    until(lambda: any(told.detail for told in run.reported))
    run.stop.set()
    thread.join(SOON_S)

    assert not thread.is_alive()
    assert bench.generate("a box").files


def test_it_unloads_when_it_is_idle(bench: Bench) -> None:
    bench.generate("a box")
    pid = bench.pid
    bench.clock.advance(IDLE_S - 1)
    bench.generate("a box")
    bench.clock.advance(IDLE_S - 1)
    time.sleep(1.5)  # longer than it takes to look
    assert bench.engine.probe().resident

    bench.clock.advance(2)
    until(lambda: not bench.engine.probe().resident)
    assert not psutil.pid_exists(pid)
    assert bench.engine.probe().model is None
    assert bench.generate("a box").files


def killed(pid: int) -> bool:
    """Whether a process has ended and was not reaped yet."""
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", ["idle", "killed", "ended"])
def test_a_generation_waits_for_a_child_that_is_dying_and_starts_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A GPU's memory takes seconds to come back; until then the child is not seen to have ended."""
    bench.generate("a box")
    dying, gone = bench.pid, threading.Event()
    reap = Child.reap

    def reap_late(child: Child) -> Exit:
        gone.wait(SOON_S)
        return reap(child)

    monkeypatch.setattr(Child, "reap", reap_late)
    if how == "idle":
        bench.clock.advance(IDLE_S + 1)
    else:
        os.kill(dying, signal.SIGKILL if how == "killed" else signal.SIGTERM)
    until(lambda: killed(dying))
    run = RecordedRun()
    made: list[GenerationResult] = []
    thread = threading.Thread(target=lambda: made.append(bench.generate("a box", run)))
    thread.start()
    thread.join(0.5)

    assert thread.is_alive()
    assert len(bench.starter.children) == 1
    gone.set()
    thread.join(SOON_S)
    assert made
    assert made[0].files[0].path.read_text() == str(bench.pid) != str(dying)


def test_a_child_that_does_not_answer_is_replaced(bench: Bench) -> None:
    bench.generate("a box")
    silent = bench.pid
    os.kill(silent, signal.SIGSTOP)
    made: list[GenerationResult] = []
    thread = threading.Thread(target=lambda: made.append(bench.generate("a box")))
    thread.start()
    deadline = time.monotonic() + SOON_S
    while thread.is_alive() and time.monotonic() < deadline:
        bench.clock.advance(conversation.ANSWER_S)
        thread.join(0.2)

    assert made
    assert not psutil.pid_exists(silent)


def test_a_long_generation_is_not_idle(bench: Bench) -> None:
    run = RecordedRun()
    thread = failing(bench, GenerationStopped, "endless", run)
    until(lambda: any(told.step for told in run.reported))
    bench.clock.advance(IDLE_S + 1)
    told = len(run.reported)
    until(lambda: len(run.reported) > told + 150)
    run.stop.set()
    thread.join(SOON_S)

    assert bench.engine.probe().resident


def test_released_it_is_gone_at_once_and_comes_again(bench: Bench) -> None:
    bench.generate("a box")
    pid = bench.pid
    bench.engine.release()
    bench.engine.release()

    assert not psutil.pid_exists(pid)
    assert not bench.engine.probe().resident
    assert bench.generate("a box").files


def test_on_another_gpu_it_is_another_child(bench: Bench) -> None:
    bench.generate("a box", CUDA_VISIBLE_DEVICES="0")
    first = bench.pid
    bench.generate("a box", CUDA_VISIBLE_DEVICES="1")

    assert bench.pid != first
    assert not psutil.pid_exists(first)


def test_a_lora_that_is_gone_by_then_is_named(bench: Bench, tmp_path: Path) -> None:
    gone = LoraUse(path=tmp_path / "gone.safetensors", name="gone")
    generation = replace(bench.generation("a box"), loras=[gone])
    with pytest.raises(NotFound, match="The LoRA gone"):
        bench.engine.generate(generation, RecordedRun(environment=ENVIRONMENT))
    assert not bench.starter.children


def test_out_of_memory_is_told_and_the_child_stays(bench: Bench) -> None:
    with pytest.raises(OutOfMemory, match="ran out of memory") as failure:
        bench.generate("starve")

    assert failure.value.hint == "Less."
    assert bench.generate("a box").files
    assert len(bench.starter.children) == 1


def test_after_an_error_of_cuda_there_is_a_new_child(bench: Bench) -> None:
    with pytest.raises(GpuUnavailable):
        bench.generate("break")

    assert not bench.engine.probe().resident
    assert bench.generate("a box").files


def test_closed_in_the_middle_it_ends_its_child(bench: Bench) -> None:
    run = RecordedRun()
    thread = failing(bench, GenerationStopped, "endless", run)
    until(lambda: any(told.step for told in run.reported))
    pid = bench.pid
    bench.engine.close()
    thread.join(SOON_S)

    assert not thread.is_alive()
    assert not psutil.pid_exists(pid)


def test_it_dies_with_its_worker(tmp_path: Path) -> None:
    ready, told = os.pipe()
    worker = os.fork()
    if worker == 0:
        try:
            bench = Bench(tmp_path)
            bench.generate("a box")
            os.write(told, str(bench.pid).encode())
            time.sleep(600)
        finally:
            os._exit(0)
    os.close(told)
    pid = int(os.read(ready, 20))
    os.close(ready)
    assert psutil.pid_exists(pid)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
