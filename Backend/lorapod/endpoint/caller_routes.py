"""The routes for callers: RunPod's queue API, under `/v2/<endpoint id>` and at the root."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import ValidationError

from lorapod.endpoint import bodies, rawjson
from lorapod.endpoint.jobs import EndpointJob
from lorapod.endpoint.limits import SYNC_WAIT_MAX_MS, SYNC_WAIT_MIN_MS, EndpointLimits, Policy
from lorapod.endpoint.pool import WorkerPool
from lorapod.endpoint.registry import JobRegistry, Submission, UnknownJob

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadRequest(Exception):
    """The request is not valid; the message says why."""


class CallerRoutes:
    """The handlers of the queue API."""

    def __init__(
        self,
        *,
        registry: JobRegistry,
        pool: WorkerPool,
        limits: EndpointLimits,
        endpoint_id: str,
        api_key: str | None,
    ) -> None:
        """Serve `registry`; if there is an `api_key`, only to callers that send it."""
        self._registry = registry
        self._pool = pool
        self._limits = limits
        self._endpoint_id = endpoint_id
        self._api_key = api_key

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for the application."""
        return [
            route
            for base in (f"/v2/{self._endpoint_id}", "")
            for route in (
                web.post(f"{base}/run", self._guard(self.run)),
                web.post(f"{base}/runsync", self._guard(self.runsync)),
                web.get(f"{base}/status/{{job}}", self._guard(self.status), allow_head=False),
                web.post(f"{base}/status/{{job}}", self._guard(self.status)),
                web.post(f"{base}/cancel/{{job}}", self._guard(self.cancel)),
                web.get(f"{base}/stream/{{job}}", self._guard(self.stream), allow_head=False),
                web.post(f"{base}/stream/{{job}}", self._guard(self.stream)),
                web.get(f"{base}/health", self._guard(self.health)),
                web.post(f"{base}/purge-queue", self._guard(self.purge_queue)),
            )
        ]

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Queue a job and answer with its id."""
        job = await self._submit(request, self._limits.run_body_bytes, sync=False)
        return bodies.plain({"id": job.id, "status": job.state})

    async def runsync(self, request: web.Request) -> web.StreamResponse:
        """Queue a job and wait for its end, at most `wait` milliseconds."""
        wait_s = self._wait_s(request)
        job = await self._submit(request, self._limits.runsync_body_bytes, sync=True)
        job = await self._registry.wait_end(job.id, wait_s)
        if job.is_final:
            return await bodies.answer(request, job.for_caller())
        return bodies.plain({"id": job.id, "status": job.state})

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Answer with the state of a job and its result or newest progress update."""
        return await bodies.answer(request, self._job(request).for_caller())

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Cancel a job; a job that has ended does not change."""
        job = self._registry.cancel(self._job(request).id)
        return bodies.plain({"id": job.id, "status": job.state})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with the pieces of a generator's output that no caller has read yet."""
        job = self._job(request)
        pieces: list[rawjson.RawJson] = []
        for piece in self._registry.drain_stream(job.id):
            pieces += (b"," if pieces else b"[", piece)
        members: dict[str, rawjson.RawJson] = {
            "id": rawjson.dump(job.id),
            "status": rawjson.dump(job.state),
            "stream": b"".join([*pieces, b"]"]) if pieces else b"[]",
        }
        if job.error is not None:
            members["error"] = rawjson.dump(job.error)
        return await bodies.answer(request, rawjson.join_object(members))

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Answer with the counts of jobs and workers."""
        del request
        counters = self._registry.counters
        jobs = {
            "completed": counters.completed,
            "failed": counters.failed,
            "inProgress": len(self._registry.running()),
            "inQueue": len(self._registry.queued()),
            "retried": counters.retried,
        }
        return bodies.plain({"jobs": jobs, "workers": self._pool.health()})

    async def purge_queue(self, request: web.Request) -> web.StreamResponse:
        """Cancel every job in the queue."""
        del request
        return bodies.plain({"removed": self._registry.purge(), "status": "completed"})

    def _guard(self, handler: _Handler) -> _Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._allowed(request):
                return bodies.refusal(401, "send the endpoint's API key as 'Authorization: Bearer <key>'")
            try:
                return await handler(request)
            except bodies.BodyTooLarge as error:
                return bodies.refusal(413, f"{error}; send large files in parts or by URL")
            except (BadRequest, rawjson.InvalidJson) as error:
                return bodies.refusal(400, str(error))
            except UnknownJob as error:
                kept_min = self._limits.run_kept_s / 60
                return bodies.refusal(
                    404,
                    f"there is no job {error}: results are kept {kept_min:g} min after /run "
                    f"and {self._limits.runsync_kept_s:g} s after /runsync",
                )

        return guarded

    def _allowed(self, request: web.Request) -> bool:
        if self._api_key is None:
            return True
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self._api_key.encode())

    def _job(self, request: web.Request) -> EndpointJob:
        return self._registry.get(request.match_info["job"])

    def _wait_s(self, request: web.Request) -> float:
        text = request.query.get("wait")
        if text is None:
            return self._limits.sync_wait_s
        if not text.isascii() or not text.isdigit() or not SYNC_WAIT_MIN_MS <= int(text) <= SYNC_WAIT_MAX_MS:
            raise BadRequest(
                f"wait must be {SYNC_WAIT_MIN_MS} to {SYNC_WAIT_MAX_MS} milliseconds, not {text!r}"
            )
        return int(text) / 1000

    async def _submit(self, request: web.Request, limit_bytes: int, *, sync: bool) -> EndpointJob:
        members = rawjson.split_object(await bodies.read(request, limit_bytes))
        if "input" not in members or not rawjson.is_object(members["input"]):
            raise BadRequest("the body must have an object as its 'input': {\"input\": {…}}")
        if "s3Config" in members and not rawjson.is_object(members["s3Config"]):
            raise BadRequest("s3Config must be an object")
        submission = Submission(
            input=members["input"],
            policy=_policy(members.get("policy", b"{}")),
            webhook=_webhook(members.get("webhook", b"null")),
            s3_config=members.get("s3Config"),
            sync=sync,
        )
        return self._registry.submit(submission)


def _policy(raw: rawjson.RawJson) -> Policy:
    try:
        return Policy.model_validate_json(bytes(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in ("policy", *first["loc"]))
        raise BadRequest(f"{place}: {first['msg']}") from error


def _webhook(raw: rawjson.RawJson) -> str | None:
    url = rawjson.load(raw)
    if url is None or url == "":
        return None
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        raise BadRequest("webhook must be an http or https URL; it gets the result of the job")
    return url
