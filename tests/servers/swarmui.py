"""A stand-in for SwarmUI, which needs .NET and a GPU; it is as strict about requests as its source is.

POST only, JSON only, a body with a length and never empty, a session that it knows; errors of routes in a 200.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from tests.servers.http_thread import serving
from tests.servers.swarmui_models import SwarmModels
from tests.servers.swarmui_work import SwarmWork

Fields = dict[str, Any]

SESSIONLESS = frozenset({"GetNewSession"})
SOCKETS = frozenset({"GenerateText2ImageWS", "DoModelDownloadWS"})

UNKNOWN_SESSION = {
    "error": "Invalid session ID. You may need to refresh the page.",
    "error_id": "invalid_session_id",
}


class Answered(Exception):
    """A request that ends before its route is asked."""

    def __init__(self, status: int, error_id: str, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error_id": error_id, "error": error}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What becomes of one request of a route."""

    #: Answered as they are.
    status: int = 200
    body: bytes | None = None
    #: Nothing is answered; the connection ends.
    drop: bool = False
    #: Nothing is answered for so long.
    hang_s: float = 0.0


@dataclass
class SwarmStandIn:
    """One server; outlives its restarts, but for its sessions."""

    version: str = "0.9.7.4.GIT-2026-08-21"
    #: As `GetCurrentStatus` tells them.
    backend_status: str = "running"
    any_loading: bool = False
    work: SwarmWork = field(default_factory=SwarmWork)
    models: SwarmModels = field(default_factory=SwarmModels)
    #: Used up one a request, by route.
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    #: Refuse every websocket, as a proxy does that knows none.
    no_sockets: bool = False
    #: Every request that was well formed, in order.
    asked: list[tuple[str, Fields]] = field(default_factory=list)
    #: What `Paths.ModelRoot` says.
    model_root: str = "Models"
    freed: int = 0
    sessions_given: int = 0
    port: int = 0
    _sessions: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        self._sessions.clear()
        with serving(self.app, port=self.port) as self.port:
            yield

    def forget_sessions(self) -> None:
        """A month passes."""
        self._sessions.clear()

    def routes_asked(self) -> list[str]:
        return [route for route, _ in self.asked]

    def fields_of(self, route: str) -> list[Fields]:
        return [fields for asked, fields in self.asked if asked == route]

    def app(self) -> web.Application:
        app = web.Application(client_max_size=200 << 20)
        app.router.add_route("*", "/API/{route}", self._api)
        app.router.add_get("/View/{path:.+}", self.work.view)
        app.router.add_get("/Output/{path:.+}", self.work.view)
        return app

    async def _api(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        try:
            fields = await self._read(request)
            route = request.match_info["route"]
            session = self._session(route, fields, request)
            if route in SOCKETS:
                raise Answered(400, "bad_request_method", "API route needs websocket, request is HTTP")
            if self.faults.get(route):
                return await self._fault(request, self.faults[route].pop(0))
            answer = await self._route(route)(session, fields)
        except Answered as answered:
            return web.json_response(answered.body, status=answered.status)
        return web.json_response(answer)

    async def _read(self, request: web.Request) -> Fields:
        if request.method != "POST":
            raise web.HTTPFound("/Error/NoGetAPI")
        if request.content_type != "application/json":
            raise Answered(400, "basic_api", "Wrong content type")
        if not request.content_length:
            # Chunked, or empty.
            raise Answered(400, "basic_api", "bad content length")
        try:
            read = json.loads(await request.read())
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise Answered(400, "internal_error", "An internal error occurred")
        return read

    def _session(self, route: str, fields: Fields, request: web.Request) -> str:
        self.asked.append((route, fields))
        if route in SESSIONLESS:
            return ""
        session = fields.get("session_id", request.headers.get("X-Session-ID"))
        if session is None:
            raise Answered(400, "basic_api", "missing session id")
        if session not in self._sessions:
            raise Answered(401, UNKNOWN_SESSION["error_id"], UNKNOWN_SESSION["error"])
        return str(session)

    def _route(self, name: str) -> Callable[[str, Fields], Awaitable[Fields]]:
        routes: dict[str, Callable[[str, Fields], Awaitable[Fields]]] = {
            "GetNewSession": self._new_session,
            "GetCurrentStatus": self._status,
            "InterruptAll": self.work.interrupt,
            "GenerateText2Image": self._generate,
            "ListT2IParams": self._params,
            "TriggerRefresh": self._refresh,
            "ListServerSettings": self._settings,
            "FreeBackendMemory": self._free,
            "ListModels": self.models.list,
            "DescribeModel": self.models.describe,
            "EditModelMetadata": self.models.edit,
        }
        if name not in routes:
            raise Answered(400, "bad_route", "Unknown API route")
        return routes[name]

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.no_sockets:
            return web.Response(status=400)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        first = await socket.receive()
        if first.type is not WSMsgType.TEXT:
            return socket
        fields, route = json.loads(first.data), request.match_info["route"]
        try:
            session = self._session(route, fields, request)
            if route == "GenerateText2ImageWS":
                await self._generate_socket(socket, session, fields)
            elif route == "DoModelDownloadWS":
                await self.models.download(socket, fields)
            else:
                raise Answered(400, "bad_route", "Unknown API route.")
        except Answered as answered:
            await socket.send_json(answered.body)
        if not socket.closed:
            await socket.close()
        return socket

    async def _generate_socket(self, socket: web.WebSocketResponse, session: str, fields: Fields) -> None:
        """The messages of one request; a caller that goes away stops nothing."""
        await self.work.over_socket(socket, session, fields, self._status_now, self.models)

    async def _generate(self, session: str, fields: Fields) -> Fields:
        if (refused := _missing(fields, "images")) is not None:
            return refused
        return await self.work.over_http(session, fields, self.models)

    async def _new_session(self, _session: str, _fields: Fields) -> Fields:
        session = secrets.token_hex(20)
        self._sessions.add(session)
        self.sessions_given += 1
        return {
            "session_id": session,
            "user_id": "local",
            "output_append_user": True,
            "version": self.version,
            "server_id": "stand-in",
            "permissions": ["*"],
        }

    async def _status(self, _session: str, _fields: Fields) -> Fields:
        return self._status_now()

    def _status_now(self) -> Fields:
        live = self.work.live
        return {
            "status": {"waiting_gens": live, "loading_models": 0, "waiting_backends": 0, "live_gens": live},
            "backend_status": {
                "status": self.backend_status,
                "class": "",
                "message": "",
                "any_loading": self.any_loading,
            },
            "supported_features": ["comfyui"],
        }

    async def _params(self, _session: str, _fields: Fields) -> Fields:
        return {
            "list": [{"id": name, "name": name, "type": "text"} for name in sorted(self.work.parameters)],
            "models": self.models.names(),
        }

    async def _refresh(self, session: str, fields: Fields) -> Fields:
        self.models.refresh()
        return await self._params(session, fields)

    async def _settings(self, _session: str, _fields: Fields) -> Fields:
        def setting(value: Any) -> Fields:
            return {"type": "text", "name": "Some Setting", "value": value}

        paths = {"modelroot": setting(self.model_root), "sdlorafolder": setting("Lora")}
        return {"settings": {"paths": {"type": "group", "name": "Paths", "value": paths}}}

    async def _free(self, _session: str, _fields: Fields) -> Fields:
        self.freed += 1
        return {"result": True, "count": 1}

    @staticmethod
    async def _fault(request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.hang_s:
            await asyncio.sleep(fault.hang_s)
        if fault.drop:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=fault.status, body=fault.body or b"")


def _missing(fields: Fields, name: str) -> Fields | None:
    return None if name in fields else {"error": f"Missing required parameter '{name}'"}
