"""The progress of a generation as its caller sees it, through the real worker loop; ComfyUI is a stand-in."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.error_log import error_log
from tests.integration.endpoint_caller import Caller
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import ComfyUIStandIn, running_comfyui
from typer.testing import CliRunner

from lorapod.client.cli import app
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

WORKER = Path(__file__).parents[2] / "Backend/rp_handler.py"
#: Of about a quarter of a second each.
NODES = 24

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUIStandIn]:
    with running_comfyui(tmp_path_factory.mktemp("comfyui")) as server:
        yield server


@pytest.fixture(scope="module")
def url(comfyui: ComfyUIStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("progress")
    config = EndpointConfig(
        command=[sys.executable, str(WORKER)],
        environment={
            "WORKSPACE_PATH": str(root / "volume"),
            "SCRATCH_PATH": str(root / "scratch"),
            "COMFYUI_URL": comfyui.url,
            "ALLOW_CPU": "true",
            "DISK_MIN_FREE_BYTES": "0",
            "MIN_FREE_MEMORY_BYTES": "0",
            "WARM_TRAINER": "false",
            # Too long for a generation: its job gets an update every five seconds.
            "PROGRESS_INTERVAL_S": "60",
        },
        log_folder=error_log.watch(root / "logs"),
    )
    with serving(config) as endpoint:
        yield endpoint.url


async def test_the_job_tells_of_nodes_at_once_and_again(url: str) -> None:
    job_input: dict[str, Any] = {"type": "generate", "workflow": graphs.slow(NODES, side=16)}
    told: dict[int, Any] = {}
    async with Caller(url) as caller:
        _, job = await caller.call("POST", "/run", {"input": job_input})
        while job["status"] not in {"COMPLETED", "FAILED"}:
            await asyncio.sleep(0.1)
            _, job = await caller.call("GET", f"/status/{job['id']}")
            update = job.get("output") or {}
            if "sequence" in update:
                told[update["sequence"]] = update

    assert job["status"] == "COMPLETED", job
    at_work = [update for update in told.values() if update["progress"].get("node")]
    assert len(at_work) >= 2
    first, *_, last = at_work
    assert (first["phase"], first["progress"]["total_nodes"]) == ("generating", NODES + 2)
    assert first["progress"]["nodes_done"] < NODES // 2 < last["progress"]["nodes_done"]
    assert first["progress"]["node"] in {"EmptyImage", "ImageSharpen"}
    assert {update["progress"]["node_id"] for update in at_work} <= job_input["workflow"].keys()
    assert last["progress"]["percent"] > 50


def test_the_command_line_shows_the_node(url: str, tmp_path: Path) -> None:
    (tmp_path / "slow.json").write_text(json.dumps(graphs.slow(12, side=24)))

    done = CliRunner().invoke(
        app,
        ["generate", "--workflow", str(tmp_path / "slow.json"), "--to", str(tmp_path / "made")],
        env={"LORAPOD_URL": url, "COLUMNS": "200"},
    )

    assert done.exit_code == 0, (done.output, done.exception)
    shown, files = done.stderr.splitlines(), done.stdout.splitlines()
    assert any("running generating" in line and "(node " in line and "/14 nodes" in line for line in shown)
    assert [Path(line).suffix for line in files] == [".png"]
