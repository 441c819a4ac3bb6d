"""The routes for workers: RunPod's worker protocol, as the SDK speaks it (runpod 1.12.0).

Each worker has a token in its URLs, so that only workers of this endpoint are accepted, and not the
heartbeat that a dead worker may leave running.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web

from lorapod.endpoint import bodies, rawjson
from lorapod.endpoint.channel import WorkerChannel
from lorapod.endpoint.jobs import EndpointJob
from lorapod.endpoint.limits import EndpointLimits
from lorapod.endpoint.pool import WorkerPool
from lorapod.endpoint.registry import JobRegistry, UnknownJob

log = logging.getLogger(__name__)

#: How the SDK's progress updates begin; its results never begin so.
_PROGRESS_HEAD = b'{"status": "IN_PROGRESS"'


def worker_environment(
    base_url: str, *, worker_id: str, token: str, endpoint_id: str, ping_interval_s: int
) -> Mapping[str, str]:
    """Return the variables that name the endpoint to the SDK; `base_url` has no trailing slash."""
    base = f"{base_url}/worker/{token}"
    return {
        "RUNPOD_ENDPOINT_ID": endpoint_id,
        "RUNPOD_POD_ID": worker_id,
        "RUNPOD_POD_HOSTNAME": worker_id,
        "RUNPOD_AI_API_KEY": token,  # without one the SDK sends no heartbeat
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=local",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=local",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=local",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID",
        "RUNPOD_PING_INTERVAL": str(ping_interval_s * 1000),
    }


class WorkerRoutes:
    """The handlers behind `/worker/<token>/…`."""

    def __init__(self, *, registry: JobRegistry, pool: WorkerPool, limits: EndpointLimits) -> None:
        """Serve the jobs of `registry` to the workers of `pool`."""
        self._registry = registry
        self._pool = pool
        self._limits = limits

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for the application."""
        base = "/worker/{token}"
        return [
            web.get(base + "/job-take/{worker}", self.job_take),
            web.get(base + "/job-take-batch/{worker}", self.job_take_batch),
            web.get(base + "/job-stop/{worker}", self.job_stop),
            web.post(base + "/job-done/{worker}/{job}", self.job_done),
            web.post(base + "/job-stream/{worker}/{job}", self.job_stream),
            web.get(base + "/ping/{worker}", self.ping),
        ]

    async def job_take(self, request: web.Request) -> web.StreamResponse:
        """Answer a long poll with one job, or 204."""
        jobs = await self._take(request, 1)
        return await self._hand_over(request, jobs, jobs[0].for_worker() if jobs else [])

    async def job_take_batch(self, request: web.Request) -> web.StreamResponse:
        """Answer a long poll with a list of up to `batch_size` jobs, or 204."""
        try:
            batch_size = max(1, int(request.query.get("batch_size", "1")))
        except ValueError:
            return bodies.refusal(400, "batch_size is not a number")
        jobs = await self._take(request, batch_size)
        pieces: list[rawjson.RawJson] = []
        for job in jobs:
            pieces += (b"," if pieces else b"[", *job.for_worker())
        return await self._hand_over(request, jobs, [*pieces, b"]"])

    async def job_stop(self, request: web.Request) -> web.StreamResponse:
        """Answer a long poll with the ids of jobs to stop, or 204."""
        channel = self._channel(request)
        try:
            async with channel.poll():
                job_ids = await channel.stops()
        except TimeoutError:
            if not channel.draining:
                return web.Response(status=204)
            # The last answer to a worker that is being stopped: after SIGTERM the SDK polls no more. After an
            # empty answer it would sleep 1 s before it exits; an id that no job has avoids that.
            job_ids = channel.pending_stops() or ["-"]
        response = await bodies.answer(request, [rawjson.dump({"jobsToStop": job_ids})])
        channel.stops_sent(job_ids)
        return response

    async def job_done(self, request: web.Request) -> web.StreamResponse:
        """Accept a result, an error or a progress update; a result that is refused (400) fails the job."""
        channel, job_id = self._channel(request), request.match_info["job"]
        try:
            body = await bodies.read(request, self._limits.result_body_bytes)
        except bodies.BodyTooLarge as error:
            return self._refuse_result(channel, job_id, f"the result was refused: {error}", error.head)
        try:
            members = rawjson.split_object(body)
        except rawjson.InvalidJson as error:
            return self._refuse_result(channel, job_id, f"the result was refused: {error}", body[:64])
        heard = self._finish(channel, job_id, members)
        if "stopPod" in members and rawjson.load(members["stopPod"]) is True:
            self._pool.retire(channel.worker_id)
        return bodies.plain({"accepted": heard})

    async def job_stream(self, request: web.Request) -> web.StreamResponse:
        """Accept one piece of a generator's output."""
        channel = self._channel(request)
        try:
            piece = await bodies.read(request, self._limits.stream_body_bytes)
            rawjson.split_object(piece)
            heard = self._registry.stream(channel.worker_id, request.match_info["job"], piece)
        except (bodies.BodyTooLarge, rawjson.InvalidJson) as error:
            return bodies.refusal(400, f"the piece of the stream was refused: {error}")
        except UnknownJob:
            heard = False
        return bodies.plain({"accepted": heard})

    async def ping(self, request: web.Request) -> web.StreamResponse:
        """Accept a heartbeat, with the ids of the jobs that the worker knows."""
        channel = self._channel(request)
        reported = frozenset(filter(None, request.query.get("job_id", "").split(",")))
        for job in channel.pinged(reported, self._registry.running(channel.worker_id)):
            self._registry.attempt_lost(job, f"worker {channel.worker_id} no longer knows the job")
        return web.Response(status=200)

    async def _take(self, request: web.Request, limit: int) -> list[EndpointJob]:
        channel = self._channel(request)
        channel.polled()
        try:
            async with channel.poll():
                if channel.draining:
                    await channel.drained()
                return await self._registry.take(channel.worker_id, limit)
        except TimeoutError:
            return []

    async def _hand_over(
        self, request: web.Request, jobs: list[EndpointJob], pieces: list[rawjson.RawJson]
    ) -> web.StreamResponse:
        if not jobs:
            return web.Response(status=204)
        delivered = False
        try:
            response = await bodies.answer(request, pieces)
            # A worker that died while it waited was removed before it had these jobs.
            lives = self._pool.channel_of(request.match_info["worker"]) is not None
            delivered = lives and request.transport is not None and not request.transport.is_closing()
            return response
        finally:
            if not delivered:  # the connection broke during the answer: no worker has the jobs
                self._registry.give_back(jobs)

    def _channel(self, request: web.Request) -> WorkerChannel:
        channel = self._pool.channel(request.match_info["worker"], request.match_info["token"])
        if channel is None:
            raise web.HTTPNotFound(text="no such worker")
        return channel

    def _finish(self, channel: WorkerChannel, job_id: str, members: dict[str, rawjson.RawJson]) -> bool:
        output = members.get("output")
        try:
            if "status" in members and rawjson.load(members["status"]) == "IN_PROGRESS":
                return self._registry.progress(channel.worker_id, job_id, output or b"null")
            error = rawjson.load(members["error"]) if "error" in members else None
            channel.winding_down.discard(job_id)
            return self._registry.finish(
                channel.worker_id, job_id, output=output, error=_sentence(error) if error else None
            )
        except UnknownJob:
            return False

    def _refuse_result(
        self, channel: WorkerChannel, job_id: str, sentence: str, head: bytes
    ) -> web.StreamResponse:
        log.warning("%s", sentence, extra={"job_id": job_id, "worker_id": channel.worker_id})
        if not head.startswith(_PROGRESS_HEAD):
            self._finish(channel, job_id, {"error": rawjson.dump(sentence)})
        return bodies.refusal(400, sentence)


def _sentence(error: object) -> str:
    return error if isinstance(error, str) else rawjson.dump(error).decode()
