"""What real ComfyUI servers do at bad moments, made certain on the stand-in; no job hangs, none is lost silently."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from tests.integration.engines.conftest import Bench, OpenBench
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import ComfyUIStandIn, running_comfyui
from tests.servers.http_thread import serving

from lorapod.engines.comfyui import events, server_probe, watch
from lorapod.engines.port import GenerationStopped
from lorapod.errors import UpstreamError, WorkerTimeout

DEADLINE_S = 30.0


@pytest.fixture
def bench(stand_in: ComfyUIStandIn, open_bench: OpenBench) -> Bench:
    return open_bench(stand_in.url, stand_in.root)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing longer than a test should."""
    monkeypatch.setattr(watch, "AWAY_S", 0.5)
    monkeypatch.setattr(watch, "SILENCE_S", 0.3)
    monkeypatch.setattr(watch, "POLL_S", 0.2)
    monkeypatch.setattr(watch, "CANCEL_S", 1.0)
    monkeypatch.setattr(watch, "LOOK_S", 0.3)
    monkeypatch.setattr(server_probe, "ANSWER_S", 0.3)


def until_running(server: ComfyUIStandIn) -> None:
    """Wait until a prompt is at work."""
    until_s = time.monotonic() + DEADLINE_S
    while server.running is None:
        assert time.monotonic() < until_s, "no prompt ever ran"
        time.sleep(0.005)


@contextmanager
def meanwhile(server: ComfyUIStandIn, act: object) -> Iterator[None]:
    """Call `act` in a thread of its own once a prompt runs."""

    def run() -> None:
        until_running(server)
        assert callable(act)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(DEADLINE_S)


def test_the_last_event_may_come_before_the_history_has_the_prompt(
    bench: Bench, stand_in: ComfyUIStandIn
) -> None:
    stand_in.history_late_s = 0.4

    assert bench.make(workflow=graphs.picture()).files


def test_an_error_is_told_whole_though_its_history_comes_late(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    stand_in.history_late_s = 0.4

    with pytest.raises(UpstreamError, match="unterminated subpattern"):
        bench.make(workflow=graphs.failing())


def test_a_history_that_never_comes_is_an_error_and_no_wait_forever(
    stand_in: ComfyUIStandIn, open_bench: OpenBench
) -> None:
    bench = open_bench(stand_in.url, stand_in.root, comfy_history_attempts=2)
    began_s = time.monotonic()

    def lose() -> None:
        stand_in.history = _Forgetful()

    lose()
    with pytest.raises(UpstreamError, match="its history does not have it"):
        bench.make(workflow=graphs.picture())
    assert time.monotonic() - began_s < DEADLINE_S


class _Forgetful(dict[str, object]):
    """A history that keeps nothing."""

    def __setitem__(self, key: str, value: object) -> None:
        del key, value


def seen(bench: Bench) -> list[str | None]:
    """The nodes that were told of, in their order."""
    told = [progress.node_id for progress in bench.runs[-1].reported]
    return [node for number, node in enumerate(told) if node is not None and node not in told[:number]]


def test_a_socket_that_is_dropped_hangs_no_job(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    """Nothing is sent again on another socket: the history is asked."""
    stand_in.drop_sockets = True

    assert bench.make(workflow=graphs.slow(nodes=4)).files


def test_a_socket_that_is_dropped_in_the_middle_is_opened_again(
    bench: Bench, stand_in: ComfyUIStandIn
) -> None:
    stand_in.drop_at = {"2"}

    assert bench.make(workflow=graphs.slow(nodes=4)).files

    assert seen(bench) == ["0", "1", "2", "3", "4", "save"]
    assert len(stand_in.clients) == 1
    assert len([path for _, path, _ in stand_in.requests if path == "/ws"]) == 2
    assert bench.runs[-1].reported[-1].percent == 100


def test_a_job_that_ends_while_its_socket_is_away_has_ended(
    bench: Bench, stand_in: ComfyUIStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "AGAIN_FIRST_S", DEADLINE_S)
    stand_in.drop_at = {"save"}
    began_s = time.monotonic()

    assert bench.make(workflow=graphs.slow(nodes=1)).files

    assert time.monotonic() - began_s < DEADLINE_S
    assert seen(bench) == ["0", "1", "save"]
    assert bench.runs[-1].reported[-1].nodes_done == 3


def test_a_socket_that_stays_open_and_silent_hangs_no_job(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    stand_in.silent_sockets = True

    assert bench.make(workflow=graphs.picture()).files


def test_a_socket_that_falls_silent_in_the_middle_is_replaced(
    bench: Bench, stand_in: ComfyUIStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a new socket does when an older one of its id ends after it was opened."""
    monkeypatch.setattr(events, "QUIET_S", 0.1)
    stand_in.mute_at = {"2"}

    assert bench.make(workflow=graphs.slow(nodes=6)).files

    assert {"4", "5", "6"} <= set(seen(bench))


def test_a_server_without_a_socket_is_asked_all_the_same(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    stand_in.refuse_sockets = True

    assert bench.make(workflow=graphs.picture()).files


def test_every_prompt_has_a_client_id_of_its_own(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    bench.make(workflow=graphs.picture(), num_images=3)

    sockets = [path for _, path, _ in stand_in.requests if path == "/ws"]
    assert len(sockets) == 3
    assert len(stand_in.clients) == 3


def test_an_interrupt_that_is_forgotten_is_said_again(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    stand_in.forget_interrupts = 1
    run = bench.run()

    with meanwhile(stand_in, run.stop.set), pytest.raises(GenerationStopped):
        bench.engine.generate(bench.generation(workflow=graphs.slow()), run)

    assert stand_in.running is None


def test_a_prompt_that_waits_is_taken_out_of_the_queue(
    stand_in: ComfyUIStandIn, open_bench: OpenBench
) -> None:
    first, second = (open_bench(stand_in.url, stand_in.root) for _ in range(2))
    runs = first.run(), second.run()

    def generate() -> None:
        with pytest.raises(GenerationStopped):
            first.engine.generate(first.generation(workflow=graphs.slow()), runs[0])

    thread = threading.Thread(target=generate)
    thread.start()
    until_running(stand_in)
    threading.Timer(0.3, runs[1].stop.set).start()

    with pytest.raises(GenerationStopped):
        second.engine.generate(second.generation(workflow=graphs.picture()), runs[1])

    assert stand_in.running is not None, "the other one was interrupted too"
    runs[0].stop.set()
    thread.join(DEADLINE_S)


def test_somebody_else_interrupting_it_is_no_failure(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    def interrupt() -> None:
        stand_in.interrupted = True

    with meanwhile(stand_in, interrupt), pytest.raises(GenerationStopped):
        bench.make(workflow=graphs.slow())


@pytest.mark.usefixtures("hasty")
def test_a_server_that_was_started_anew_gets_the_prompt_again(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    stand_in.silent_sockets = True
    with meanwhile(stand_in, stand_in.forget):
        made = bench.make(workflow=graphs.slow(nodes=6))

    assert made.files
    assert len([path for _, path, _ in stand_in.requests if path == "/prompt"]) == 2
    assert "once more" in " ".join(bench.runs[0].lines)


@pytest.mark.usefixtures("hasty")
def test_a_server_that_goes_away_for_good_is_an_error(tmp_path: Path, open_bench: OpenBench) -> None:
    with running_comfyui(tmp_path / "comfyui") as server:
        bench = open_bench(server.url, server.root)
        failures: list[BaseException] = []

        def generate() -> None:
            try:
                bench.make(workflow=graphs.slow())
            except UpstreamError as error:
                failures.append(error)

        thread = threading.Thread(target=generate)
        thread.start()
        until_running(server)
    thread.join(DEADLINE_S)

    assert not thread.is_alive()
    assert "ComfyUI" in str(failures[0])


@pytest.mark.usefixtures("hasty")
def test_a_server_that_freezes_does_not_hold_a_job_beyond_its_time(
    stand_in: ComfyUIStandIn, open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorapod.engines.comfyui.client.ANSWER_S", 0.3)
    monkeypatch.setattr(watch, "AWAY_S", 60.0)
    bench = open_bench(stand_in.url, stand_in.root, generation_timeout=1.0)

    def freeze() -> None:
        stand_in.frozen = True

    with (
        meanwhile(stand_in, freeze),
        pytest.raises(WorkerTimeout, match="did not stop when it was cancelled"),
    ):
        bench.make(workflow=graphs.slow())


def test_a_stop_ends_a_job_on_a_server_that_froze(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    """Within the time that every engine has, though an answer would be waited for longer."""
    run = bench.run()

    def freeze_and_stop() -> None:
        stand_in.frozen = True
        run.stop.set()

    with meanwhile(stand_in, freeze_and_stop):
        began_s = time.monotonic()
        with pytest.raises(GenerationStopped):
            bench.engine.generate(bench.generation(workflow=graphs.slow()), run)
    assert time.monotonic() - began_s < 20


def test_a_download_that_breaks_off_is_begun_again(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    stand_in.break_views = 2

    made = bench.make(workflow=graphs.picture())

    assert len(made.files) == 1
    assert [path.name for path in made.files[0].path.parent.iterdir()] == ["ComfyUI_00001_.png"]


def test_downloads_that_always_break_off_leave_no_half_file(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    stand_in.break_views = 1000
    generation = bench.generation(workflow=graphs.picture())

    with pytest.raises(UpstreamError):
        bench.engine.generate(generation, bench.run())

    assert list(generation.folder.iterdir()) == []


def test_something_else_at_the_address_is_named(tmp_path: Path, open_bench: OpenBench) -> None:
    with serving(web.Application) as port:
        bench = open_bench(f"http://127.0.0.1:{port}", tmp_path)

        assert not bench.engine.probe().available
        with pytest.raises(UpstreamError, match="is not ComfyUI"):
            bench.make(workflow=graphs.picture())


def test_a_server_that_only_listens_is_slow_and_not_dead(tmp_path: Path, open_bench: OpenBench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        bench = open_bench(url, tmp_path, startup_timeout=0.5)

        assert bench.engine.probe().available
        assert "busy" in bench.engine.probe().detail
        with pytest.raises(WorkerTimeout, match=r"does not answer after"):
            bench.make(workflow=graphs.picture())


def test_no_server_at_all_is_not_available(tmp_path: Path, open_bench: OpenBench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    bench = open_bench(url, tmp_path)

    assert not bench.engine.probe().available
    with pytest.raises(UpstreamError, match="COMFYUI_PATH"):
        bench.make(workflow=graphs.picture())


def test_giving_the_gpu_up_asks_the_server_to(bench: Bench, stand_in: ComfyUIStandIn) -> None:
    bench.engine.release()
    bench.make(workflow=graphs.picture())
    assert bench.engine.probe().resident

    bench.engine.release()
    bench.engine.release()

    assert stand_in.freed == 1
    assert not bench.engine.probe().resident
