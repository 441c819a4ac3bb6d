"""The server of the Model Context Protocol, on stdin and stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from lorapod import __version__
from lorapod.client.assistant.calling import ToolCalls, error_text
from lorapod.client.assistant.content import ShownAnswer
from lorapod.client.assistant.tool_list import ActionTool, chosen_tools
from lorapod.client.client import Client
from lorapod.client.errors import LorapodError

_INSTRUCTIONS = (
    "Trains LoRAs on a RunPod endpoint. The way: upload_training_data or datasets, train (with dry_run first: it refuses "
    "mistakes without a GPU's price), process_status until it has ended, compare for the best checkpoint, generate to use it. "
    "Trainings and generations cost money by the second. Paths are relative to the workspace of the endpoint."
)

Context = ServerRequestContext[Any]


class AssistantServer:
    """Offers the actions of one endpoint."""

    def __init__(self, client: Client, *, read_only: bool = False, secrets: Sequence[str] = ()) -> None:
        """Offer every action, or those that change nothing; no answer holds one of the `secrets`."""
        self._calls = ToolCalls(client)
        self._tools = {tool.name: tool for tool in chosen_tools(read_only=read_only)}
        self._secrets = [secret for secret in secrets if secret]
        self.server: Server[Any] = Server(
            "lorapod",
            version=__version__,
            title="lorapod",
            instructions=_INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def serve(self) -> None:
        """Serve until stdin ends."""
        async with stdio_server() as (reading, writing):
            await self.server.run(reading, writing, self.server.create_initialization_options())

    async def _list(
        self, _context: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(tool) for tool in self._tools.values()])

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = self._tools.get(params.name)
        if tool is None:
            text = json.dumps({"error": f"There is no tool {params.name!r}.", "code": "unknown_type"})
            return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)

        async def report(percent: float, message: str) -> None:
            await context.session.report_progress(percent, 100.0, self._without_secret(message))

        try:
            shown = await self._calls.call(tool, params.arguments or {}, report)
        except LorapodError as error:
            text = self._without_secret(error_text(error))
            return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)
        return types.CallToolResult(content=self._content(shown))

    def _content(self, shown: ShownAnswer) -> Sequence[types.ContentBlock]:
        text = self._without_secret(json.dumps(shown.answer, ensure_ascii=False, default=str))
        images = [types.ImageContent(data=image.data, mime_type=image.content_type) for image in shown.images]
        return [types.TextContent(text=text), *images]

    def _without_secret(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _tool(tool: ActionTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.reads_only,
            destructive_hint=tool.destroys,
            idempotent_hint=tool.reads_only,
        ),
    )
