"""A stand-in for ComfyUI, as the real servers behave, their traps included; each trap can be made certain.

It behaves as the newest release; `version = OLD_VERSION` brings back what the oldest one that is served does otherwise.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.servers.comfyui_nodes import NODES, missing, object_info, problem_with, raised
from tests.servers.comfyui_work import PromptWork, is_link
from tests.servers.http_thread import serving

MOST_BYTES = 100 << 20
VERSION = "0.38.1"
#: Takes any text as a `prompt_id`; since 0.25.0 it must be a UUID.
OLD_VERSION = "0.3.64"
_UUID_DETAILS = "prompt_id must be a UUID in canonical lowercase form with hyphens"


def is_canonical_uuid(value: object) -> bool:
    try:
        return str(uuid.UUID(str(value))) == value
    except ValueError:
        return False


class ComfyUIStandIn(PromptWork):
    """One server."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        for name in ("input", "output", "temp", "models/loras"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.version = VERSION
        #: What it was started with, and its devices: a processor unless a test says otherwise.
        self.argv = ["main.py", "--cpu"]
        self.devices: list[dict[str, Any]] = [{"name": "cpu", "type": "cpu"}]
        self.port = 0
        self.requests: list[tuple[str, str, Any]] = []
        #: So many interrupts are forgotten, as one is that comes just before a prompt begins.
        self.forget_interrupts = 0
        #: There is no socket at all, as behind some proxies.
        self.refuse_sockets = False
        #: So many downloads break off half way.
        self.break_views = 0
        #: What is asked from now on is never answered.
        self.frozen = False
        self.freed = 0
        #: The ids of every socket there was.
        self.clients: set[str] = set()
        self._number = 0
        self._shut_down = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MOST_BYTES, middlewares=[self._seen])
        for method, path, handler in (
            ("GET", "/ws", self._socket),
            ("GET", "/system_stats", self._stats),
            ("GET", "/queue", self._queue),
            ("GET", "/history/{id}", self._history),
            ("GET", "/view", self._view),
            ("GET", "/models/{folder}", self._models),
            ("GET", "/object_info/{class}", self._object_info),
            ("POST", "/prompt", self._prompt),
            ("POST", "/queue", self._delete_queued),
            ("POST", "/interrupt", self._interrupt),
            ("POST", "/history", self._delete_history),
            ("POST", "/free", self._free),
            ("POST", "/upload/image", self._upload),
        ):
            application.router.add_route(method, path, handler)
        application.cleanup_ctx.append(self.work)
        application.on_shutdown.append(self._end)
        return application

    async def _end(self, _application: web.Application) -> None:
        self._shut_down.set()

    @web.middleware
    async def _seen(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.text() if request.content_type == "application/json" else None
        self.requests.append((request.method, request.path, body))
        if self.frozen:
            await self._shut_down.wait()
        response: web.StreamResponse = await handler(request)
        return response

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if self.refuse_sockets:
            raise web.HTTPNotFound
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query.get("clientId") or uuid.uuid4().hex
        self.sockets[client] = socket
        self.clients.add(client)
        await self.send(client, "status", {"status": {"exec_info": {}}, "sid": client})
        if (
            self.last_node is not None
            and self.running is not None
            and self.running[3].get("client_id") == client
        ):
            # Without the prompt's id.
            await self.send(client, "executing", {"node": self.last_node})
        try:
            async for _ in socket:
                pass
        finally:
            # Also where a newer socket has taken the id over: it goes silent.
            self.sockets.pop(client, None)
        return socket

    async def _stats(self, _request: web.Request) -> web.Response:
        system = {"os": "posix", "comfyui_version": self.version, "argv": self.argv}
        return web.json_response({"system": system, "devices": self.devices})

    async def _queue(self, _request: web.Request) -> web.Response:
        running = [] if self.running is None else [list(self.running)]
        return web.json_response(
            {"queue_running": running, "queue_pending": [list(item) for item in self.queue]}
        )

    async def _history(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        return web.json_response({identity: self.history[identity]} if identity in self.history else {})

    async def _models(self, request: web.Request) -> web.Response:
        folder = self.root / "models" / request.match_info["folder"]
        found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        return web.json_response(sorted(found))

    async def _object_info(self, request: web.Request) -> web.Response:
        return web.json_response(object_info(request.match_info["class"], self.folders))

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        graph, prompt_id = body.get("prompt"), body.get("prompt_id") or str(uuid.uuid4())
        if self.version != OLD_VERSION and not is_canonical_uuid(prompt_id):
            return self._refusal("invalid_prompt_id", "prompt_id must be a valid UUID", _UUID_DETAILS, {})
        for node, known in graph.items():
            if (kind := known.get("class_type")) not in NODES:
                message, type_ = f"Cannot execute because node {kind} does not exist.", "invalid_prompt"
                if self.version != OLD_VERSION:
                    message, type_ = f"Node '{kind}' not found.", "missing_node_type"
                return self._refusal(type_, message, f"Node ID '#{node}'", {})
        outputs = [node for node in graph if NODES[graph[node]["class_type"]].output_node]
        if not outputs:
            return self._refusal("prompt_no_outputs", "Prompt has no outputs", "", {})
        errors: dict[str, Any] = {}
        good = [output for output in outputs if self._is_sound(graph, output, errors)]
        if not good:
            message = "Prompt outputs failed validation"
            return self._refusal("prompt_outputs_failed_validation", message, "", errors)
        extra = {**body.get("extra_data", {}), "client_id": body.get("client_id")}
        self._number += 1
        self.queue.append((self._number, prompt_id, graph, extra, good))
        return web.json_response({"prompt_id": prompt_id, "number": self._number, "node_errors": errors})

    def _is_sound(self, graph: Any, output: str, errors: dict[str, Any]) -> bool:
        try:
            return self._is_valid(graph, output, output, errors)
        except KeyError as error:
            # A link to a node that is not there.
            problem = raised(str(error))
            class_type = graph[output]["class_type"]
            errors[output] = {"errors": [problem], "dependent_outputs": [output], "class_type": class_type}
            return False
        except RecursionError:
            # Nodes that are linked in a circle: ComfyUI does not say which.
            return False

    def _is_valid(self, graph: Any, node: str, output: str, errors: dict[str, Any]) -> bool:
        kind, inputs = NODES[graph[node]["class_type"]], graph[node]["inputs"]
        problems = [missing(name) for name in kind.required if name not in inputs]
        for name, least in kind.required.items():
            if name in inputs and not is_link(inputs[name]):
                problem = problem_with(name, inputs[name], least, self.folders)
                problems += [] if problem is None else [problem]
        if problems:
            entry = {"errors": problems, "dependent_outputs": [], "class_type": graph[node]["class_type"]}
            errors.setdefault(node, entry)["dependent_outputs"].append(output)
        sources = [value[0] for value in inputs.values() if is_link(value)]
        valid = [self._is_valid(graph, source, output, errors) for source in sources]
        return all(valid) and not problems

    @staticmethod
    def _refusal(kind: str, message: str, details: str, node_errors: dict[str, Any]) -> web.Response:
        error = {"type": kind, "message": message, "details": details, "extra_info": {}}
        return web.json_response({"error": error, "node_errors": node_errors}, status=400)

    async def _delete_queued(self, request: web.Request) -> web.Response:
        gone = (await request.json()).get("delete", ())
        self.queue = [item for item in self.queue if item[1] not in gone]
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        wanted = (await request.json()).get("prompt_id")
        if self.running is not None and wanted in {None, self.running[1]}:
            if self.forget_interrupts:
                self.forget_interrupts -= 1
            else:
                self.interrupted = True
        return web.Response()

    async def _delete_history(self, request: web.Request) -> web.Response:
        for identity in (await request.json()).get("delete", ()):
            self.history.pop(identity, None)
        return web.Response()

    async def _free(self, _request: web.Request) -> web.Response:
        self.freed += 1
        self.cache.clear()
        return web.Response()

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image, subfolder = form["image"], str(form.get("subfolder", ""))
        assert isinstance(image, web.FileField)
        path = self.root / "input" / subfolder / image.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.file.read())
        return web.json_response({"name": path.name, "subfolder": subfolder, "type": "input"})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        folder = self.folders.of(request.query.get("type", "output"))
        if folder is None or ".." in request.query["filename"]:
            return web.Response(status=400)
        path = folder / request.query.get("subfolder", "") / request.query["filename"]
        if not path.is_file():
            return web.Response(status=404)
        if self.break_views:
            self.break_views -= 1
            response = web.StreamResponse()
            response.content_length = path.stat().st_size
            await response.prepare(request)
            await response.write(path.read_bytes()[:10])
            assert request.transport is not None
            request.transport.close()
            return response
        return web.FileResponse(path)


@contextmanager
def running_comfyui(root: Path) -> Iterator[ComfyUIStandIn]:
    """A server with its folders in `root`."""
    server = ComfyUIStandIn(root)
    with serving(server.application) as port:
        server.port = port
        yield server
