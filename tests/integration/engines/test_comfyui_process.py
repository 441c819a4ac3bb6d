"""A ComfyUI that the engine starts itself: a stand-in that is installed, and the real one where there is one."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from tests.integration.engines.conftest import ENVIRONMENT, Bench, OpenBench
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import VERSION
from tests.servers.comfyui_extensions import Repository
from tests.servers.comfyui_process import install
from tests.servers.comfyui_real import real_arguments, real_installation
from tests.servers.ports import free_port

from lorapod.engines.comfyui import server as server_module
from lorapod.engines.port import GenerationStopped
from lorapod.errors import OutOfMemory, UpstreamError, WorkerTimeout
from lorapod.processes.slots import Slot
from lorapod.testing.engine import RecordedRun

DEADLINE_S = 60.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "comfyui"
    install(folder)
    return folder


@pytest.fixture
def bench(root: Path, open_bench: OpenBench) -> Bench:
    return open_bench(f"http://127.0.0.1:{free_port()}", root, comfyui_python=Path(sys.executable))


def behave(root: Path, **how: object) -> None:
    (root / "behaviour.json").write_text(json.dumps(how))


def servers_on(url: str, pid: int | None = None) -> list[psutil.Process]:
    """The ComfyUI servers for an address that run below a process, this one where none is named."""
    port, found = url.rpartition(":")[2], []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            words = child.cmdline()
            if "main.py" in " ".join(words) and port in words and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def servers_of(bench: Bench) -> list[psutil.Process]:
    """Those of an engine."""
    return servers_on(bench.engine._server.url)


def until_it_works(bench: Bench) -> psutil.Process:
    """Wait until a node of the job is at work; answers the server."""
    until_s = time.monotonic() + DEADLINE_S
    while not any(told.node for run in bench.runs for told in run.reported):
        assert time.monotonic() < until_s, "no node ever ran"
        time.sleep(0.01)
    [server] = servers_of(bench)
    return server


def killing(bench: Bench, number: signal.Signals) -> threading.Thread:
    """Ends the server with a signal as soon as it is at work."""
    thread = threading.Thread(target=lambda: until_it_works(bench).send_signal(number))
    thread.start()
    return thread


def test_it_is_started_when_it_is_needed_and_kept(bench: Bench) -> None:
    status = bench.engine.probe()
    assert (status.available, status.version, status.resident) == (True, VERSION, False)
    assert servers_of(bench) == []

    first = bench.make(workflow=graphs.picture())
    [server] = servers_of(bench)
    second = bench.make(workflow=graphs.picture())

    assert first.files
    assert second.files
    assert servers_of(bench) == [server]
    assert second.timings["start_s"] < first.timings["start_s"]


@pytest.mark.parametrize(("arguments", "level"), [("", "WARNING"), ("--verbose ERROR", "ERROR")])
def test_its_log_has_the_level_that_is_set(
    root: Path, open_bench: OpenBench, arguments: str, level: str
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    own = {"comfyui_python": Path(sys.executable), "comfyui_args": arguments}
    bench = open_bench(url, root, **own, comfy_log_level="warning")

    bench.make(workflow=graphs.picture())

    [server] = servers_of(bench)
    words = server.cmdline()
    assert [words[place + 1] for place, word in enumerate(words) if word == "--verbose"] == [level]


def test_it_ends_with_the_engine(bench: Bench) -> None:
    bench.make(workflow=graphs.picture())
    [server] = servers_of(bench)

    bench.engine.close()

    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def test_a_server_that_dies_at_work_is_started_again_for_the_same_job(bench: Bench) -> None:
    killer = killing(bench, signal.SIGTERM)

    made = bench.make(workflow=graphs.slow(nodes=8))

    killer.join(DEADLINE_S)
    assert made.files
    assert "once more" in " ".join(bench.runs[0].lines)


def test_a_server_that_was_killed_most_likely_ran_out_of_memory(bench: Bench) -> None:
    killer = killing(bench, signal.SIGKILL)

    with pytest.raises(OutOfMemory, match="was killed"):
        bench.make(workflow=graphs.slow(nodes=8))

    killer.join(DEADLINE_S)
    assert bench.make(workflow=graphs.picture()).files


def test_a_server_that_died_between_jobs_is_started_again(bench: Bench) -> None:
    bench.make(workflow=graphs.picture())
    [server] = servers_of(bench)
    # Not waited for here: its exit is the engine's to see.
    server.kill()

    assert bench.make(workflow=graphs.picture()).files


def test_a_server_that_ends_at_once_says_its_last_words(bench: Bench, root: Path) -> None:
    behave(root, exit="port 8188 is already in use")

    with pytest.raises(UpstreamError, match=r"exit code 1\. Its last output: port 8188 is already in use"):
        bench.make(workflow=graphs.picture())


def test_a_server_that_ends_again_and_again_is_left_alone_for_a_while(
    bench: Bench, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(root, exit="broken")
    for _ in range(server_module.CRASHES_MAX):
        with pytest.raises(UpstreamError, match="broken"):
            bench.make(workflow=graphs.picture())

    with pytest.raises(UpstreamError, match="3 times in a row"):
        bench.make(workflow=graphs.picture())

    monkeypatch.setattr(server_module, "CRASHES_REST_S", 0.0)
    behave(root)
    assert bench.make(workflow=graphs.picture()).files


def test_a_server_that_starts_slowly_is_waited_for(bench: Bench, root: Path) -> None:
    behave(root, start_s=1.0)

    assert bench.make(workflow=graphs.picture()).files
    assert bench.runs[0].reported[0].detail == "starting ComfyUI"


def test_a_server_that_starts_too_slowly_is_told_from_a_dead_one(root: Path, open_bench: OpenBench) -> None:
    behave(root, start_s=600)
    url = f"http://127.0.0.1:{free_port()}"
    bench = open_bench(url, root, comfyui_python=Path(sys.executable), startup_timeout=0.5)

    with pytest.raises(WorkerTimeout, match="still starting"):
        bench.make(workflow=graphs.picture())


def test_a_server_without_a_python_is_not_available(root: Path, open_bench: OpenBench) -> None:
    bench = open_bench(f"http://127.0.0.1:{free_port()}", root, comfyui_python=root / "nowhere")

    status = bench.engine.probe()

    assert not status.available
    assert "COMFYUI_PYTHON" in status.detail


def test_a_generation_on_another_gpu_gets_a_server_of_its_own(bench: Bench) -> None:
    bench.make(workflow=graphs.picture())
    [before] = servers_of(bench)
    run = bench.run()
    run.slot = Slot(gpu=1)

    bench.engine.generate(bench.generation(workflow=graphs.picture()), run)

    [after] = servers_of(bench)
    assert after != before
    assert "--cpu" in before.cmdline() if before.is_running() else True
    assert "--cpu" not in after.cmdline()


def test_a_server_that_does_not_give_the_gpu_up_is_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.make(workflow=graphs.picture())
    [server] = servers_of(bench)
    monkeypatch.setattr("lorapod.engines.comfyui.server_probe.ANSWER_S", 0.2)
    monkeypatch.setattr("lorapod.engines.comfyui.server_probe.RELEASE_S", 0.5)
    server.suspend()

    bench.engine.release()

    assert servers_of(bench) == []
    assert bench.make(workflow=graphs.picture()).files


def test_no_secret_of_the_worker_reaches_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET_SECRET_ACCESS_KEY", "must-not-leak")

    bench.make(workflow=graphs.picture())

    [server] = servers_of(bench)
    assert "BUCKET_SECRET_ACCESS_KEY" not in server.environ()


def test_an_engine_that_is_closed_at_work_ends_and_starts_nothing(bench: Bench) -> None:
    failures: list[BaseException] = []

    def generate() -> None:
        try:
            bench.make(workflow=graphs.slow())
        except (GenerationStopped, UpstreamError) as error:
            failures.append(error)

    thread = threading.Thread(target=generate)
    thread.start()
    until_it_works(bench)

    bench.engine.close()

    thread.join(DEADLINE_S)
    assert [type(failure) for failure in failures] == [GenerationStopped]
    assert servers_of(bench) == []


def test_a_log_that_cannot_be_written_does_not_stop_the_server(bench: Bench) -> None:
    class FullLog(RecordedRun):
        def log(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    run = FullLog(environment=ENVIRONMENT)

    assert bench.engine.generate(bench.generation(workflow=graphs.picture()), run).files


_WORKER = """
import sys, time
from pathlib import Path
from lorapod.engines.comfyui.server import ComfyServer
from lorapod.settings import Settings
from lorapod.testing.engine import RecordedRun
root, url = sys.argv[1:]
settings = Settings(comfyui_url=url, comfyui_path=root, comfyui_python=sys.executable, comfyui_args="")
ComfyServer(settings, Path(root)).ready(RecordedRun())
print("ready", flush=True)
time.sleep(600)
"""


def test_it_ends_when_its_worker_is_killed(root: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-c", _WORKER, str(root), url]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    servers = servers_on(url, worker.pid)
    assert servers

    worker.kill()
    worker.wait()
    worker.stdout.close()

    _, alive = psutil.wait_procs(servers, timeout=DEADLINE_S)
    assert alive == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_real_one_is_started_killed_and_started_again(tmp_path: Path, open_bench: OpenBench) -> None:
    installation, missing = real_installation()
    if installation is None:
        pytest.skip(missing)
    base = tmp_path / "base"
    for name in ("custom_nodes", "input", "output", "models"):
        (base / name).mkdir(parents=True)
    bench = open_bench(
        f"http://127.0.0.1:{free_port()}",
        installation.root,
        comfyui_python=installation.python,
        comfyui_args=shlex.join(["--base-directory", str(base), *real_arguments()]),
    )
    killer = killing(bench, signal.SIGTERM)

    made = bench.make(workflow=graphs.slow(nodes=15))

    killer.join(DEADLINE_S)
    assert made.files
    assert "once more" in " ".join(bench.runs[0].lines)
    bench.engine.release()
    assert not list((base / "output").glob("lorapod/*"))


def test_extensions_are_installed_before_it_starts(root: Path, tmp_path: Path, open_bench: OpenBench) -> None:
    good, bad = Repository(tmp_path / "Good"), Repository(tmp_path / "Bad")
    bench = open_bench(
        f"http://127.0.0.1:{free_port()}",
        root,
        comfyui_python=Path(sys.executable),
        comfyui_nodes=f"{good.entry} {bad.url}@{'0' * 40}",
    )
    assert bench.engine.probe().problems == {}

    made = bench.make(workflow=graphs.picture())

    assert made.files
    assert "Bad was not installed: git: fatal:" in "\n".join(bench.runs[0].lines)
    assert (root / "custom_nodes/Good/__init__.py").exists()
    [(name, problem)] = bench.engine.probe().problems.items()
    assert (name, "Bad was not installed" in problem) == ("extension:Bad", True)
    # A ComfyUI of an image runs in an environment of the volume that adds to its own.
    [server] = servers_of(bench)
    assert Path(server.cmdline()[0]).is_relative_to(bench.workspace.root)


def test_a_stop_while_extensions_are_installed_starts_nothing(
    root: Path, tmp_path: Path, open_bench: OpenBench
) -> None:
    begun = tmp_path / "begun"
    waiting = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep({DEADLINE_S})"
    nodes = Repository(tmp_path / "Nodes", **{"install.py": waiting})
    bench = open_bench(
        f"http://127.0.0.1:{free_port()}",
        root,
        comfyui_python=Path(sys.executable),
        comfyui_nodes=nodes.entry,
    )
    run = RecordedRun(environment=ENVIRONMENT)
    run.stopped = begun.exists  # type: ignore[method-assign]

    with pytest.raises(GenerationStopped):
        bench.engine.generate(bench.generation(workflow=graphs.picture()), run)

    assert servers_of(bench) == []


def test_an_extension_that_comfyui_cannot_import_is_named_until_it_can(
    root: Path, tmp_path: Path, open_bench: OpenBench
) -> None:
    nodes = Repository(tmp_path / "Nodes")
    bench = open_bench(
        f"http://127.0.0.1:{free_port()}",
        root,
        comfyui_python=Path(sys.executable),
        comfyui_nodes=nodes.entry,
    )
    behave(
        root,
        says="   0.1 seconds: /x/custom_nodes/Other\n   0.0 seconds (IMPORT FAILED): /x/custom_nodes/Nodes\n",
    )
    bench.make(workflow=graphs.picture())

    [(name, problem)] = bench.engine.probe().problems.items()
    assert name == "extension:Nodes"
    assert "ComfyUI could not import Nodes: its log says why." in problem

    bench.engine.release()
    bench.engine._server.stop()
    behave(root, says="   0.1 seconds: /x/custom_nodes/Nodes\n")
    bench.make(workflow=graphs.picture())

    assert bench.engine.probe().problems == {}
