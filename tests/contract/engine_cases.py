"""The engines that the contract suite runs, each with what it can generate in a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.swarmui import SwarmStandIn

from lorapod.clock import SystemClock
from lorapod.engines.port import Engine, Generation
from lorapod.engines.swarmui.adapter import SwarmOptions, SwarmUIEngine
from lorapod.testing.engine import FakeEngine

#: Opens an engine on a workspace and closes it; skips with its reason where the machine lacks something.
OpenEngine = Callable[[Path], Iterator[Engine]]


@dataclass(frozen=True, kw_only=True)
class EngineCase:
    """One engine, and generations for it."""

    name: str
    open: OpenEngine
    #: A generation that takes a moment, as fields of `Generation`.
    quick: dict[str, Any]
    #: One that would take at least ten seconds.
    long: dict[str, Any]
    #: One that `prepare` refuses.
    bad: dict[str, Any]
    #: One that fails while it is generated; empty: it cannot be had.
    failing: dict[str, Any] = field(default_factory=dict)
    #: Whether the same seed makes the same bytes.
    repeatable: bool = True
    #: Marks of the case, e.g. `torch`.
    marks: tuple[str, ...] = ()

    def generation(self, root: Path, process_id: str, fields: dict[str, Any]) -> Generation:
        """A generation whose folders are there."""
        folder, scratch = root / "output" / process_id, root.parent / "scratch" / process_id
        for path in (folder, scratch):
            path.mkdir(parents=True, exist_ok=True)
        defaults: dict[str, Any] = {"process_id": process_id, "seed": 7, "folder": folder, "scratch": scratch}
        return Generation(**{**defaults, **fields})


def _fake(_root: Path) -> Iterator[Engine]:
    engine = FakeEngine()
    yield engine
    engine.close()


def _swarmui(_root: Path) -> Iterator[Engine]:
    # A stand-in: the real one needs .NET and a GPU.
    server = SwarmStandIn()
    server.work.step_s = 0.01
    with server.running():
        engine = SwarmUIEngine(SwarmOptions(address=server.url, keep_free_bytes=0), clock=SystemClock())
        yield engine
        engine.close()


CASES = [
    EngineCase(
        name="fake",
        open=_fake,
        quick={"prompt": "a square", "num_images": 2},
        long={"prompt": "a square", "steps": 1000, "params": {"step_s": 0.5}},
        bad={"prompt": "a square", "width": 17},
        failing={"prompt": "a square", "params": {"fail": "The colour is out of stock."}},
    ),
    EngineCase(
        name="swarmui",
        open=_swarmui,
        quick={"prompt": "a square", "model": "tiny", "num_images": 2, "steps": 4},
        long={"prompt": "a square", "model": "tiny", "steps": 10_000},
        bad={"prompt": "a square", "params": {"session_id": "mine"}},
        failing={"prompt": "please fail", "model": "tiny"},
    ),
]


@contextmanager
def opened(case: EngineCase, root: Path) -> Iterator[Engine]:
    """The engine of a case."""
    yield from case.open(root)
