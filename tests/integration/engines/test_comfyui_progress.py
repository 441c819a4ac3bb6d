"""Progress over sockets that are lost in the middle, on the stand-in and on a real ComfyUI."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.engines.conftest import ENVIRONMENT, Bench, OpenBench, Target
from tests.servers import comfyui_graphs as graphs
from tests.servers.socket_cutter import SocketCutter, running_cutter

from lorapod.engines.comfyui import events
from lorapod.engines.port import GenerationProgress
from lorapod.testing.engine import RecordedRun

NODES = 10


@dataclass(kw_only=True)
class ActingRun(RecordedRun):
    """Does something once a node is at work."""

    acts: dict[str, Callable[[], None]] = field(default_factory=dict)

    def report(self, progress: GenerationProgress) -> None:
        super().report(progress)
        if (act := self.acts.pop(progress.node_id or "", None)) is not None:
            act()


@pytest.fixture
def cutter(target: Target) -> Iterator[SocketCutter]:
    with running_cutter(int(target.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def bench(target: Target, cutter: SocketCutter, open_bench: OpenBench, tmp_path: Path) -> Bench:
    # The server's folders do not matter here, and its address is not its own.
    return open_bench(f"http://127.0.0.1:{cutter.port}", tmp_path / "elsewhere")


def made(bench: Bench, acts: dict[str, Callable[[], None]]) -> list[GenerationProgress]:
    """What is reported of a workflow of nodes that take a while; each act is done at its node."""
    run = ActingRun(environment=ENVIRONMENT, acts=acts)
    graph = graphs.slow(NODES)
    # Nothing of it is in the server's cache.
    graph["0"]["inputs"]["color"] = time.time_ns() % 0xFFFFFF
    result = bench.engine.generate(bench.generation(workflow=graph), run)
    assert len(result.files) == 1
    assert acts == {}
    return run.reported


def nodes(told: list[GenerationProgress]) -> set[str | None]:
    return {progress.node_id for progress in told}


def test_nodes_are_told_of_with_their_place_in_the_whole(bench: Bench, cutter: SocketCutter) -> None:
    told = made(bench, {})

    assert {str(number) for number in range(1, NODES + 1)} <= nodes(told)
    counts = [progress.nodes_done for progress in told if progress.nodes_done is not None]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, NODES + 2)
    assert {progress.total_nodes for progress in told if progress.node_id} == {NODES + 2}
    assert any((progress.node_value, progress.node_max) == (0, 1) for progress in told)
    assert cutter.opened == 1


def test_a_socket_that_is_cut_is_opened_again(bench: Bench, cutter: SocketCutter) -> None:
    told = made(bench, {"2": cutter.cut, "6": cutter.cut})

    assert cutter.opened == 3
    assert {"2", "4", "5", "6", "9", str(NODES)} <= nodes(told)


def test_a_socket_that_goes_silent_with_a_ghost_is_replaced(
    bench: Bench, cutter: SocketCutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server notices the end of the old socket after the new one is open, and forgets the new one."""
    monkeypatch.setattr(events, "QUIET_S", 0.3)

    told = made(bench, {"2": cutter.leave_ghosts, "5": cutter.end_ghosts})

    assert cutter.opened >= 3
    assert str(NODES) in nodes(told)
