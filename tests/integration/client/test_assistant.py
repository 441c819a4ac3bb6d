"""`lorapod mcp` as an assistant starts it: the protocol's own client, stdin and stdout, a real worker behind."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, types
from PIL import Image
from tests.integration.endpoint_caller import eventually
from tests.integration.served_worker import ROOT, worker_config

from lorapod.actions.registry import ACTIONS
from lorapod.client import Client as EndpointClient
from lorapod.client.serving import serving
from lorapod.endpoint import LocalEndpoint

KEY = "rpa_key-that-no-assistant-may-see"
COMMAND = "from lorapod.client.cli import main; main()"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEndpoint]:
    with serving(worker_config(tmp_path_factory.mktemp("workspace"), api_key=KEY)) as endpoint:
        yield endpoint


@asynccontextmanager
async def assistant(url: str, *options: str, **environment: str) -> AsyncIterator[Client]:
    env = {
        "LORAPOD_URL": url,
        "LORAPOD_API_KEY": KEY,
        "PYTHONPATH": str(ROOT / "Backend"),
        **environment,
    }
    server = StdioServerParameters(command=sys.executable, args=["-c", COMMAND, "mcp", *options], env=env)
    async with Client(server, read_timeout_seconds=60) as client:
        yield client


def text_of(result: types.CallToolResult) -> Any:
    first = result.content[0]
    assert isinstance(first, types.TextContent)
    return json.loads(first.text)


def picture() -> str:
    png = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(png, "png")
    return base64.b64encode(png.getvalue()).decode()


async def test_an_assistant_trains_generates_and_looks(endpoint: LocalEndpoint, tmp_path: Path) -> None:
    said: list[types.CallToolResult] = []
    steps: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None = None, message: str | None = None) -> None:
        steps.append((progress, total, message))

    async with assistant(endpoint.url) as client:

        async def call(name: str, /, **arguments: Any) -> types.CallToolResult:
            said.append(await client.call_tool(name, arguments, progress_callback=note))
            return said[-1]

        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == set(ACTIONS)

        files = [{"filename": "one.png", "content": picture()}]
        uploaded = text_of(await call("upload_training_data", training_name="pictures", files=files))
        assert uploaded["images"] == 1
        fields = {"trainer": "script", "dataset": {"training_name": "pictures"}}
        begun = text_of(await call("train", **fields, config={"name": "first", "steps": 20}))
        assert begun["status"] not in {"completed", "failed"}, "it does not wait for the end"
        fields["config"] = {"name": "second", "steps": 20}
        ended = text_of(await call("train", **fields, wait=True))
        assert ended["status"] == "completed"
        assert text_of(await call("process_status", process_id=begun["process_id"]))["status"] == "completed"

        drawn = await call("generate", prompt="a cat", seed=3)
        (image,) = [each for each in drawn.content if isinstance(each, types.ImageContent)]
        assert Image.open(io.BytesIO(base64.b64decode(image.data))).size == (16, 16)
        assert image.mime_type == "image/png"
        assert text_of(drawn)["images"][0]["data"] == "image 1 below"

        refused = await call("train", preset="sdxl", stesp=10)
        assert refused.is_error
        assert text_of(refused)["code"] == "invalid_input"
        assert "did you mean 'steps'?" in json.dumps(text_of(refused))
        lost = text_of(await call("process_status", process_id="train_000000000000"))
        assert lost["code"] == "not_found"
    shares = [progress for progress, _, _ in steps]
    assert shares == sorted(set(shares)), "progress only grows"
    assert steps[-1][:2] == (100.0, 100.0)
    assert KEY not in str(said) + str(tools)


async def test_it_ends_with_its_assistant_though_no_worker_has_answered(tmp_path: Path) -> None:
    never_polls = [sys.executable, "-c", "import time; time.sleep(600)"]
    with (
        serving(worker_config(tmp_path, api_key=KEY, command=never_polls)) as away,
        EndpointClient(away.url, KEY) as looks,
    ):
        environment = {**os.environ, "LORAPOD_URL": away.url, "LORAPOD_API_KEY": KEY}
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-c", COMMAND, "mcp", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment
        )
        assert server.stdin is not None
        assert server.stdout is not None
        hello = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "x", "version": "1"},
        }
        for message in (
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": {"name": "processes", "arguments": {}}},
        ):
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await server.stdin.drain()
        assert json.loads(await server.stdout.readline())["id"] == 1

        async def waits() -> bool:
            return bool((await asyncio.to_thread(looks.health))["jobs"]["inQueue"])

        await eventually(waits, "a job in the queue")
        server.stdin.close()
        try:
            assert await asyncio.wait_for(server.wait(), 30) == 0
        finally:
            if server.returncode is None:
                server.kill()
