"""What the ComfyUI stand-in does with a prompt: queue, nodes, cache, events and history."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.servers.comfyui_nodes import EXTRA_PNGINFO, NODES, Folders


def is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


class NodeError(Exception):
    """A node raised; the event's fields are its argument."""


class PromptWork:
    """Runs prompts one by one; what it holds dies with `forget`, as it does when the real server is started anew."""

    def __init__(self, root: Path) -> None:
        self.folders = Folders(root)
        #: Seconds between a prompt's last event and its entry in the history.
        self.history_late_s = 0.0
        #: Close the socket of a prompt's client when one of these nodes begins to run, or when any does.
        self.drop_at: set[str] = set()
        self.drop_sockets = False
        #: Open sockets of these nodes' prompts get nothing more from that node on, as after a ghost's end.
        self.mute_at: set[str] = set()
        #: Sockets stay open, and nothing is sent on them.
        self.silent_sockets = False
        self._extra: dict[str, Any] = {}
        self.history: dict[str, Any] = {}
        self.queue: list[tuple[Any, ...]] = []
        self.running: tuple[Any, ...] | None = None
        self.cache: dict[str, tuple[Any, Any]] = {}
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.interrupted = False
        #: The node at work; a client that connects anew is told of it.
        self.last_node: str | None = None

    def fill_disk(self) -> None:
        """Leave no room in the output folder."""
        self.folders = replace(self.folders, full=True)

    def forget(self) -> None:
        """Know nothing any more, as after a death."""
        self.queue.clear()
        self.history.clear()
        self.cache.clear()
        self.running = None
        self.interrupted = True

    async def work(self, _application: web.Application) -> Any:
        worker = asyncio.create_task(self._run_queue())
        yield
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    async def _run_queue(self) -> None:
        while True:
            if not self.queue:
                await asyncio.sleep(0.001)
                continue
            self.queue.sort(key=lambda item: item[0])
            self.running = self.queue.pop(0)
            await self._execute(*self.running)

    async def _execute(self, number: int, prompt_id: str, graph: Any, extra: Any, outputs: list[str]) -> None:
        self.interrupted = False
        self._extra = extra
        client, began = extra.get("client_id"), {"prompt_id": prompt_id}
        messages: list[list[Any]] = []

        async def note(kind: str, data: dict[str, Any]) -> None:
            messages.append([kind, data])
            await self.send(client, kind, data)

        await note("execution_start", began)
        signatures = {node: self._signature(graph, node) for node in graph}
        self.cache = {key: kept for key, kept in self.cache.items() if key in signatures.values()}
        cached = [node for node in graph if signatures[node] in self.cache]
        await note("execution_cached", {**began, "nodes": cached})
        shown: dict[str, Any] = {}
        try:
            for output in outputs:
                await self._run_node(graph, output, signatures, client, prompt_id)
        except InterruptedError:
            await note("execution_interrupted", {**began, "executed": []})
        except NodeError as error:
            await note("execution_error", {**began, **error.args[0]})
        else:
            await note("execution_success", began)
        for node in graph:
            if (kept := self.cache.get(signatures[node])) is not None and kept[1] is not None:
                shown[node] = kept[1]
        self.last_node = None
        if self.history_late_s:
            await asyncio.sleep(self.history_late_s)
        ok = messages[-1][0] == "execution_success"
        status = {"status_str": "success" if ok else "error", "completed": ok, "messages": messages}
        kept_extra = {key: value for key, value in extra.items() if key != "api_key_comfy_org"}
        prompt = [number, prompt_id, graph, kept_extra, outputs]
        if self.running is not None and self.running[1] == prompt_id:
            self.history[prompt_id] = {"prompt": prompt, "outputs": shown, "status": status, "meta": {}}
            self.running = None
        await self.send(client, "executing", {"node": None, **began})

    async def _run_node(self, graph: Any, node: str, signatures: Any, client: Any, prompt_id: str) -> Any:
        if (kept := self.cache.get(signatures[node])) is not None:
            return kept[0]
        inputs = {}
        for name, value in graph[node]["inputs"].items():
            if is_link(value):
                made = await self._run_node(graph, value[0], signatures, client, prompt_id)
                inputs[name] = made[value[1]]
            else:
                inputs[name] = value
        inputs[EXTRA_PNGINFO] = self._extra.get(EXTRA_PNGINFO)
        if self.interrupted:
            raise InterruptedError
        event = {"node": node, "display_node": node, "prompt_id": prompt_id}
        state = {"value": 0, "max": 1, "state": "running", "node_id": node, "real_node_id": node}
        await self.send(client, "progress_state", {"prompt_id": prompt_id, "nodes": {node: state}})
        await self.send(client, "executing", event)
        self.last_node = node
        if (self.drop_sockets or node in self.drop_at) and client in self.sockets:
            await self.sockets.pop(client).close()
        if node in self.mute_at:
            self.sockets.pop(client, None)
        try:
            made, ui = await asyncio.to_thread(NODES[graph[node]["class_type"]].run, inputs, self.folders)
        except Exception as error:
            raise NodeError(
                {
                    "node_id": node,
                    "node_type": graph[node]["class_type"],
                    "exception_message": f"{error}\n",
                    "exception_type": f"{type(error).__module__}.{type(error).__name__}",
                    "traceback": ['  File "/secret/place.py", line 1, in run\n'],
                    "current_inputs": {"image": ["tensor([[[[0., 0., 0.]]]])"]},
                }
            ) from error
        self.cache[signatures[node]] = (made, ui)
        done = {**state, "value": 1, "state": "finished"}
        await self.send(client, "progress_state", {"prompt_id": prompt_id, "nodes": {node: done}})
        if ui is not None:
            await self.send(client, "executed", {**event, "output": ui})
        return made

    def _signature(self, graph: Any, node: str) -> str:
        inputs = {
            name: [self._signature(graph, value[0]), value[1]]
            if is_link(value) and value[0] in graph
            else value
            for name, value in graph[node]["inputs"].items()
        }
        text = json.dumps([graph[node]["class_type"], inputs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    async def send(self, client: Any, kind: str, data: Any) -> None:
        socket = self.sockets.get(client)
        if socket is not None and not self.silent_sockets:
            with suppress(ConnectionError):
                await socket.send_json({"type": kind, "data": data})
