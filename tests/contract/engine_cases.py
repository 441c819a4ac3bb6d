"""The engines that the contract suite runs, each with what it can generate in a moment."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import running_comfyui
from tests.servers.comfyui_real import shared_real
from tests.servers.swarmui import SwarmStandIn
from tests.servers.toolkit_stand_in import install_stand_in
from tests.tiny_models import ENVIRONMENT, place_tiny

from lorapod.clock import SystemClock
from lorapod.engines.ai_toolkit.adapter import AIToolkitEngine
from lorapod.engines.comfyui.adapter import ComfyUIEngine
from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.port import Engine, Generation
from lorapod.engines.swarmui.adapter import SwarmUIEngine
from lorapod.engines.swarmui.options import SwarmOptions
from lorapod.processes.child import Child
from lorapod.processes.launch import LaunchSpec, WarmSpec
from lorapod.processes.template.pool import TemplatePool
from lorapod.settings import Settings
from lorapod.testing.engine import FakeEngine
from lorapod.workspace import Workspace

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
        defaults["seed_given"] = "seed" in fields
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


def _ai_toolkit(root: Path) -> Iterator[Engine]:
    # A stand-in: the real one needs an environment of two gigabytes of its own, and a model of tens.
    toolkit = install_stand_in(root.parent / "ai-toolkit")
    workspace = Workspace.create(root)
    (workspace.models / "tiny").mkdir()
    settings = Settings(workspace_path=root, ai_toolkit_path=toolkit, ai_toolkit_python=Path(sys.executable))
    engine = AIToolkitEngine(settings=settings, workspace=workspace)
    yield engine
    engine.close()


class _OneThread(TemplatePool):
    """Has every child compute in one thread: tensors this small are far slower in two."""

    def await_ready(
        self, warm: WarmSpec | None, environment: Mapping[str, str], given_up: Callable[[], bool]
    ) -> None:
        super().await_ready(warm, {**environment, **ENVIRONMENT}, given_up)

    def start_child(
        self, spec: LaunchSpec, environment: Mapping[str, str], *, warm: WarmSpec | None, fence_s: float
    ) -> Child:
        return super().start_child(spec, {**environment, **ENVIRONMENT}, warm=warm, fence_s=fence_s)


@cache
def shared_pool() -> TemplatePool:
    """One for all tests: the imports take seconds."""
    pool = _OneThread()
    atexit.register(pool.close)
    return pool


def _diffusers(root: Path) -> Iterator[Engine]:
    pytest.importorskip("diffusers", reason="needs the `builtin` extra")
    workspace = Workspace.create(root)
    place_tiny(workspace.models / "tiny")
    engine = DiffusersEngine(
        settings=Settings(workspace_path=root, hf_hub_offline=True),
        workspace=workspace,
        clock=SystemClock(),
        starter=shared_pool(),
    )
    yield engine
    engine.close()


def _comfyui(root: Path) -> Iterator[Engine]:
    """The engine on a stand-in that runs."""
    with running_comfyui(root.parent / "comfyui") as server:
        yield from _comfyui_at(server.url, root)


def _real_comfyui(root: Path) -> Iterator[Engine]:
    try:
        url = shared_real()
    except LookupError as missing:
        pytest.skip(str(missing))
    yield from _comfyui_at(url, root)


def _comfyui_at(url: str, root: Path) -> Iterator[Engine]:
    engine = ComfyUIEngine(settings=Settings(comfyui_url=url), workspace=Workspace(root=root))
    yield engine
    engine.close()


_TINY = {"prompt": "a box", "model": "tiny", "width": 64, "height": 64, "steps": 2}


def _toolkit_config(prompt: str, **asked: Any) -> dict[str, Any]:
    process = {
        "generate": {"prompts": [prompt], "width": 64, "height": 64, **asked},
        "model": {"name_or_path": "models/tiny", "arch": "zimage"},
    }
    return {"job": "generate", "config": {"name": "gen", "process": [process]}}


_COMFYUI: dict[str, Any] = {
    "quick": {"workflow": graphs.picture(), "num_images": 2},
    "long": {"workflow": graphs.slow()},
    "bad": {"workflow": {"nodes": [], "links": []}},
    "failing": {"workflow": graphs.failing()},
    # Its pictures have their workflow in them, which names the process.
    "repeatable": False,
}

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
        name="ai-toolkit",
        open=_ai_toolkit,
        quick={"config": _toolkit_config("a square")},
        long={"config": _toolkit_config("slow square")},
        bad={"config": _toolkit_config("a square", width="wide")},
        failing={"config": _toolkit_config("fail")},
    ),
    EngineCase(
        name="swarmui",
        open=_swarmui,
        quick={"prompt": "a square", "model": "tiny", "num_images": 2, "steps": 4},
        long={"prompt": "a square", "model": "tiny", "steps": 10_000},
        bad={"prompt": "a square", "params": {"session_id": "mine"}},
        failing={"prompt": "please fail", "model": "tiny"},
    ),
    EngineCase(
        name="diffusers",
        open=_diffusers,
        quick={**_TINY, "num_images": 2},
        long={**_TINY, "steps": 900, "num_images": 64},
        bad={**_TINY, "model": "../../etc"},
        failing={**_TINY, "params": {"scheduler": "none"}},
        marks=("torch",),
    ),
    EngineCase(name="comfyui", open=_comfyui, **_COMFYUI),
    EngineCase(name="real comfyui", open=_real_comfyui, marks=("slow",), **_COMFYUI),
]


@contextmanager
def opened(case: EngineCase, root: Path) -> Iterator[Engine]:
    """The engine of a case."""
    yield from case.open(root)
