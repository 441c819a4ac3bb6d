"""The server as the protocol's own client sees it, without a process between them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import mcp
import pytest
from mcp import types
from tests.unit.client.conftest import KEY

from lorapod.actions.registry import ACTIONS
from lorapod.client import Client, RetryPolicy
from lorapod.client.assistant import calling
from lorapod.client.assistant.server import AssistantServer
from lorapod.testing.fake_queue import FakeQueue


@pytest.fixture
def endpoint(queue: FakeQueue) -> Iterator[Client]:
    once = RetryPolicy(attempts=1)
    with Client("https://runpod.test/v2/fake", KEY, retries=once, http=queue) as client:
        yield client


def text_of(result: types.CallToolResult) -> Any:
    (first,) = result.content
    assert isinstance(first, types.TextContent)
    return json.loads(first.text)


async def test_every_action_is_a_tool_with_its_hints(endpoint: Client) -> None:
    async with mcp.Client(AssistantServer(endpoint).server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    assert set(tools) == set(ACTIONS)
    for name, tool in tools.items():
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (ACTIONS[name].time_limit is not None)
        assert tool.annotations.destructive_hint is ACTIONS[name].destroys
        assert str(tool.description).startswith(ACTIONS[name].summary)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_assistants_of_either_protocol_get_progress_and_images(
    endpoint: Client, queue: FakeQueue, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "_POLL_FIRST_S", 0.001)
    png = base64.b64encode(b"made up").decode()
    images = [{"filename": "a.png", "content_type": "image/png", "data": png}]
    queue.slow = True
    queue.states = [
        *({"status": "IN_PROGRESS", "output": {"progress": {"percent": share}}} for share in (20.0, 70.0)),
        {"status": "COMPLETED", "output": {"process_id": "generate_0123456789ab", "images": images}},
    ]
    told: list[float] = []

    async def note(progress: float, total: float | None = None, message: str | None = None) -> None:
        del total, message
        told.append(progress)

    async with mcp.Client(AssistantServer(endpoint).server, mode=mode) as client:
        drawn = await client.call_tool("generate", {"prompt": "a cat"}, progress_callback=note)

    assert told == [20.0, 70.0]
    text, image = drawn.content
    assert isinstance(text, types.TextContent)
    assert png not in text.text
    assert isinstance(image, types.ImageContent)
    assert (image.data, image.mime_type) == (png, "image/png")


async def test_a_defect_of_an_argument_is_the_worker_s_to_tell(endpoint: Client, queue: FakeQueue) -> None:
    queue.actions["logs"] = lambda wish: {"got": wish}
    async with mcp.Client(AssistantServer(endpoint).server) as client:
        answer = await client.call_tool("logs", {"process_id": ["no text"], "offset": None})

    assert text_of(answer) == {"got": {"type": "logs", "process_id": ["no text"]}}


async def test_the_list_of_tools_asks_no_worker(endpoint: Client, queue: FakeQueue) -> None:
    async with mcp.Client(AssistantServer(endpoint).server) as client:
        await client.list_tools()

    assert queue.requests == []


async def test_read_only_offers_nothing_that_changes_something(endpoint: Client, queue: FakeQueue) -> None:
    async with mcp.Client(AssistantServer(endpoint, read_only=True).server) as client:
        tools = (await client.list_tools()).tools
        refused = await client.call_tool("delete", {"training_name": "pictures"})

    assert tools
    assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
    assert refused.is_error
    assert text_of(refused)["code"] == "unknown_type"
    assert queue.requests == []


async def test_a_key_that_a_worker_repeats_is_not_answered(endpoint: Client, queue: FakeQueue) -> None:
    queue.actions["logs"] = lambda _: {"text": f"keys {KEY} rps_made_up", "eof": True}
    queue.actions["ping"] = lambda _: {"error": f"no {KEY}", "code": "internal"}
    async with mcp.Client(AssistantServer(endpoint, secrets=[KEY, "", "rps_made_up"]).server) as client:
        answer = await client.call_tool("logs", {"process_id": "train_0123456789ab"})
        error = await client.call_tool("ping", {})
        queue.trouble = [httpx.Response(401, json={"error": f"bad key {KEY}"})]
        refused = await client.call_tool("ping", {})

    assert text_of(answer)["text"] == "keys *** ***"
    assert text_of(error) == {"error": "no ***", "code": "internal"}
    assert refused.is_error
    assert "does not accept the key" in text_of(refused)["error"]
    assert KEY not in str(refused)
