"""A stand-in for RunPod's management API: it keeps endpoints and volumes as RunPod does, behind the referee.

It also answers what else `doctor` asks: two URLs of an endpoint's queue, and one of the HuggingFace Hub.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from tests.servers import http_thread
from tests.servers.platform_billing import BillingStandIn
from tests.servers.platform_catalog import CPUS, DATA_CENTERS, GPUS
from tests.servers.platform_parts import problem, queue_state
from tests.servers.platform_referee import Handler, Referee

KEY = "rpa_made_up_key_0123456789"


@dataclass(frozen=True, kw_only=True)
class PlatformFault:
    """What becomes of the next request that it fits."""

    status: int = 500
    method: str | None = None
    #: What the path ends with.
    path: str = ""
    detail: str = "made up"
    errors: list[str] | None = None
    retry_after: str | None = None
    #: Break the connection: `before` the request is served, or `after`.
    cut: str | None = None

    def fits(self, request: web.Request) -> bool:
        return self.method in {None, request.method} and request.path.endswith(self.path)


@dataclass
class PlatformStandIn:
    """The account: what it has, and what was asked for."""

    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    workers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    releases: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: Lines by worker.
    logs: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    gpus: list[dict[str, Any]] = field(default_factory=lambda: json.loads(json.dumps(GPUS)))
    cpus: list[dict[str, Any]] = field(default_factory=lambda: json.loads(json.dumps(CPUS)))
    data_centers: list[dict[str, Any]] = field(default_factory=lambda: json.loads(json.dumps(DATA_CENTERS)))
    billing: BillingStandIn = field(default_factory=BillingStandIn)
    #: What an endpoint's queue says of itself, by endpoint.
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: What its workers answer, by action.
    answers: dict[str, Any] = field(default_factory=dict)
    #: What the HuggingFace Hub answers to the question whether a token may read a model.
    hub_status: int = 200
    faults: list[PlatformFault] = field(default_factory=list)
    #: Method, path and body of each request, in order.
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    referee: Referee = field(default_factory=Referee)
    url: str = ""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def changes(self) -> list[tuple[str, str, Any]]:
        """The requests that were to change something."""
        return [request for request in self.requests if request[0] != "GET"]

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._record, self.referee.middleware(), self._misbehave])
        app.add_routes(
            [
                web.get("/v2/serverless", self._list_endpoints),
                web.post("/v2/serverless", self._create_endpoint),
                web.get("/v2/serverless/{id}", self._get_endpoint),
                web.patch("/v2/serverless/{id}", self._update_endpoint),
                web.delete("/v2/serverless/{id}", self._delete_endpoint),
                web.get("/v2/serverless/{id}/workers", self._list_workers),
                web.get("/v2/serverless/{id}/releases", self._list_releases),
                web.get("/v2/serverless/{id}/workers/{worker}/logs", self._stream_log),
                web.get("/v2/network-volumes", self._list_volumes),
                web.post("/v2/network-volumes", self._create_volume),
                web.get("/v2/catalog/gpus", self._list_gpus),
                web.get("/v2/catalog/cpus", self._list_cpus),
                web.get("/v2/catalog/datacenters", self._list_data_centers),
                *self.billing.routes(),
                web.get("/queue/{id}/health", self._queue_health),
                web.post("/queue/{id}/runsync", self._run),
                web.get("/hub/api/models/{owner}/{name}/auth-check", self._check_access),
            ]
        )
        return app

    def add_volume(self, **fields: Any) -> dict[str, Any]:
        volume = {"id": f"vol{next(self._ids)}", "type": "STANDARD", **fields}
        self.volumes[volume["id"]] = volume
        return volume

    def add_endpoint(self, **fields: Any) -> dict[str, Any]:
        endpoint_id = str(fields.pop("id", None) or f"ep{next(self._ids)}")
        queue = f"{self.url}/queue/{endpoint_id}"
        urls = {
            **{name: f"{queue}/{name}" for name in ("run", "retry", "cancel", "stream", "status")},
            "runSync": f"{queue}/runsync",
            "purgeQueue": f"{queue}/purge-queue",
            "health": f"{queue}/health",
        }
        endpoint = {
            "id": endpoint_id,
            "type": "QUEUE",
            "requestUrls": urls,
            "args": "",
            "disk": 20,
            "ports": [],
            "env": {},
            "registry": None,
            "dataCenterIds": [],
            "networkVolumes": [],
            "timeout": 300_000,
            "flashboot": "OFF",
            "createdAt": "2026-11-01T12:00:00Z",
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
            **fields,
            "workers": {"min": 0, "max": 3, "idleTimeout": 10, **fields.get("workers", {})},
        }
        if (gpu := fields.get("gpu")) is not None:
            endpoint["gpu"] = {"count": 1, "allowedCudaVersions": [], "minCudaVersion": None, **gpu}
        if (cpu := fields.get("cpu")) is not None:
            endpoint["cpu"] = [{"memory": 4, **one} for one in cpu]
        self.endpoints[endpoint_id] = endpoint
        self.queues[endpoint_id] = queue_state()
        return endpoint

    @web.middleware
    async def _record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        text = await request.text()
        self.requests.append((request.method, request.path_qs, json.loads(text) if text else None))
        return await handler(request)

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = next((fault for fault in self.faults if fault.fits(request)), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.cut == "after":
                await handler(request)
            if fault.cut is not None:
                assert request.transport is not None
                request.transport.close()
                raise asyncio.CancelledError
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return problem(fault.status, fault.detail, errors=fault.errors, headers=headers)
        is_hub = request.path.startswith("/hub/")
        if not is_hub and request.headers.get("Authorization") != f"Bearer {KEY}":
            return problem(401, "missing or wrong bearer token")
        return await handler(request)

    async def _list_endpoints(self, _: web.Request) -> web.Response:
        return web.json_response({"endpoints": list(self.endpoints.values())})

    async def _create_endpoint(self, request: web.Request) -> web.Response:
        body = await request.json()
        if ("gpu" in body) == ("cpu" in body):
            return problem(400, "specify exactly one of gpu or cpu")
        if (lost := self._lost_volume(body)) is not None:
            return problem(404, f"network volume {lost} not found")
        return web.json_response(self.add_endpoint(**body), status=201)

    async def _get_endpoint(self, request: web.Request) -> web.Response:
        endpoint = self.endpoints.get(request.match_info["id"])
        return problem(404, "endpoint not found") if endpoint is None else web.json_response(endpoint)

    async def _update_endpoint(self, request: web.Request) -> web.Response:
        endpoint = self.endpoints.get(request.match_info["id"])
        if endpoint is None:
            return problem(404, "endpoint not found")
        body = await request.json()
        if (lost := self._lost_volume(body)) is not None:
            return problem(404, f"network volume {lost} not found")
        for name, value in body.items():
            if name == "gpu":
                kept = dict(endpoint["gpu"])
                if "pools" in value:
                    kept.pop("excludedTypes", None)
                floor = value.get("minCudaVersion", kept["minCudaVersion"]) or None
                endpoint["gpu"] = {**kept, **value, "minCudaVersion": floor}
                if endpoint["gpu"]["allowedCudaVersions"] and floor:
                    return problem(400, "allowedCudaVersions and minCudaVersion exclude each other")
            elif name == "cpu":
                endpoint["cpu"] = [{"memory": 4, **one} for one in value]
            elif name == "workers":
                endpoint["workers"] = {**endpoint["workers"], **value}
            else:
                endpoint[name] = value
        return web.json_response(endpoint)

    async def _delete_endpoint(self, request: web.Request) -> web.Response:
        if self.endpoints.pop(request.match_info["id"], None) is None:
            return problem(404, "endpoint not found")
        return web.Response(status=204)

    async def _list_workers(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self.endpoints:
            return problem(404, "endpoint not found")
        workers = self.workers.get(request.match_info["id"], [])
        states = ("running", "idle", "initializing", "throttled", "unhealthy")
        summary = {state: sum(worker["status"] == state.upper() for worker in workers) for state in states}
        return web.json_response(
            {"workers": workers, "summary": {**summary, "total": len(workers)}, "endpointVersion": 4}
        )

    async def _list_releases(self, request: web.Request) -> web.Response:
        rollout = {"inProgress": False, "workersOnLatest": 0, "workersTotal": 0, "percentOnLatest": 0}
        releases = self.releases.get(request.match_info["id"], [])
        return web.json_response({"rollout": rollout, "releases": releases})

    async def _stream_log(self, request: web.Request) -> web.StreamResponse:
        """Sends the last lines, and then keeps the stream open, as RunPod does."""
        lines = self.logs.get(request.match_info["worker"])
        if lines is None:
            return problem(404, "worker not found")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for line in lines[-int(request.query.get("tail", "100")) :]:
            await response.write(f"id: {line['ts']}\ndata: {json.dumps(line)}\n\n".encode())
        await asyncio.Event().wait()
        return response

    async def _list_volumes(self, _: web.Request) -> web.Response:
        return web.json_response({"networkVolumes": list(self.volumes.values())})

    async def _create_volume(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["dataCenter"] not in {place["id"] for place in self.data_centers}:
            return problem(400, f"unknown data center {body['dataCenter']}")
        return web.json_response(self.add_volume(**body), status=201)

    async def _list_gpus(self, _: web.Request) -> web.Response:
        return web.json_response({"gpus": self.gpus})

    async def _list_cpus(self, _: web.Request) -> web.Response:
        return web.json_response({"cpus": self.cpus})

    async def _list_data_centers(self, _: web.Request) -> web.Response:
        return web.json_response({"dataCenters": self.data_centers})

    async def _queue_health(self, request: web.Request) -> web.Response:
        return web.json_response(self.queues[request.match_info["id"]])

    async def _run(self, request: web.Request) -> web.Response:
        action = (await request.json())["input"]["type"]
        if action not in self.answers:
            return web.json_response({"id": "job-1", "status": "FAILED", "error": f"no {action}"})
        return web.json_response({"id": "job-1", "status": "COMPLETED", "output": self.answers[action]})

    async def _check_access(self, _: web.Request) -> web.Response:
        return web.Response(status=self.hub_status)

    def _lost_volume(self, body: dict[str, Any]) -> str | None:
        return next((name for name in body.get("networkVolumes", []) if name not in self.volumes), None)


@contextmanager
def standing_in() -> Iterator[PlatformStandIn]:
    """Serve an empty account; at the end nothing may have broken the specification."""
    stand_in = PlatformStandIn()
    with http_thread.serving(stand_in.application) as port:
        stand_in.url = f"http://127.0.0.1:{port}"
        yield stand_in
    assert not stand_in.referee.breaches, stand_in.referee.breaches
