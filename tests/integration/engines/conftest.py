from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.servers.comfyui import ComfyUIStandIn, running_comfyui
from tests.servers.comfyui_process import install
from tests.servers.comfyui_real import real_installation, running_real

from lorapod.engines.comfyui.adapter import ComfyUIEngine
from lorapod.engines.port import Generation, GenerationResult
from lorapod.settings import Settings
from lorapod.testing.engine import RecordedRun
from lorapod.workspace import Workspace

#: What a ComfyUI that is started inherits.
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A ComfyUI that runs, and where its folders are."""

    url: str
    #: Its input, output and temp folders are here.
    base: Path
    #: What COMFYUI_PATH says.
    root: Path
    stand_in: ComfyUIStandIn | None = None


@dataclass(kw_only=True)
class Bench:
    """An engine on a workspace, and what it is given."""

    engine: ComfyUIEngine
    workspace: Workspace
    scratch: Path
    runs: list[RecordedRun] = field(default_factory=list)

    def generation(self, **fields: Any) -> Generation:
        """A generation whose folders are there."""
        process_id = f"generate_{secrets.token_hex(6)}"
        folder, scratch = self.workspace.output_folder(process_id), self.scratch / process_id
        for path in (folder, scratch):
            path.mkdir(parents=True)
        given: dict[str, Any] = {"process_id": process_id, "seed": 7, "folder": folder, "scratch": scratch}
        given["seed_given"] = "seed" in fields
        return Generation(**{**given, **fields})

    def run(self) -> RecordedRun:
        """What a generation is told of, kept in `runs`."""
        self.runs.append(RecordedRun(environment=ENVIRONMENT))
        return self.runs[-1]

    def make(self, **fields: Any) -> GenerationResult:
        """Prepare and generate."""
        generation = self.generation(**fields)
        warnings = self.engine.prepare(generation)
        assert list(warnings) == []
        return self.engine.generate(generation, self.run())


OpenBench = Callable[..., Bench]


@pytest.fixture
def open_bench(tmp_path: Path) -> Iterator[OpenBench]:
    """Opens engines on one workspace; closes them."""
    opened: list[ComfyUIEngine] = []
    workspace = Workspace.create(tmp_path / "workspace")

    def open_one(url: str, root: Path, **settings: Any) -> Bench:
        # The environment may name a real ComfyUI, for the tests that want it.
        plain: dict[str, Any] = {"comfyui_python": Path("/nowhere"), "comfyui_args": ""}
        plain |= {"comfyui_url": url, "comfyui_path": root, "comfy_history_delay_seconds": 0.1}
        given = Settings(**{**plain, **settings})
        opened.append(ComfyUIEngine(settings=given, workspace=workspace))
        return Bench(engine=opened[-1], workspace=workspace, scratch=tmp_path / f"scratch-{len(opened)}")

    yield open_one
    for engine in opened:
        engine.close()


@pytest.fixture(scope="session")
def real_comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One real server for all tests; none of them harms it."""
    installation, missing = real_installation()
    if installation is None:
        pytest.skip(missing)
    base = tmp_path_factory.mktemp("comfyui")
    with running_real(installation, base) as url:
        yield Target(url=url, base=base, root=installation.root)


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[ComfyUIStandIn]:
    """A stand-in with its folders in the installation that COMFYUI_PATH names."""
    root = tmp_path / "comfyui"
    install(root)
    with running_comfyui(root) as server:
        yield server


@pytest.fixture(params=["stand-in", "real"])
def target(request: pytest.FixtureRequest) -> Target:
    """A server that runs: the stand-in, and the real one where there is one."""
    if request.param == "real":
        real: Target = request.getfixturevalue("real_comfyui")
        return real
    server: ComfyUIStandIn = request.getfixturevalue("stand_in")
    return Target(url=server.url, base=server.root, root=server.root, stand_in=server)


@pytest.fixture
def bench(target: Target, open_bench: OpenBench) -> Bench:
    """An engine on the server that runs."""
    return open_bench(target.url, target.root)
