"""The calls to one endpoint, as coroutines: submit jobs, read their states and results, send and fetch files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from lorapod.client.errors import JobNotFound, UnexpectedAnswer, WaitTimeout
from lorapod.client.job import QueueJob
from lorapod.client.retrying import RetryPolicy
from lorapod.client.routing import EndpointRoutes
from lorapod.client.runtime import Runtime
from lorapod.client.transport import Transport

#: Largest bodies that RunPod's queue takes.
RUN_BODY_MAX_BYTES = 10_000_000
RUNSYNC_BODY_MAX_BYTES = 20_000_000

#: How long `/runsync` may wait before it answers.
RUNSYNC_WAIT_MIN_S = 1.0
RUNSYNC_WAIT_MAX_S = 300.0
RUNSYNC_WAIT_S = 90.0

#: The wait between two polls of a job grows from the first to the longest.
_POLL_FIRST_S = 0.1
_POLL_LONGEST_S = 3.0

#: Actions that take an `idempotency_key`. A `resume` needs none: it never runs a process twice.
KEYED = frozenset(
    {
        *("train", "train_with_yaml", "generate", "download_model", "caption_dataset", "compare"),
        *("merge_loras", "resize_lora", "convert_lora"),
    }
)

#: Actions that would do their work twice: not sent again if no one knows whether the first attempt arrived.
_ONCE = KEYED | {"resume", "edit_model", "edit_dataset"}

#: The environment variable that points to other queues than RunPod's; the SDK reads it too.
BASE_URL_VARIABLE: Final = "RUNPOD_ENDPOINT_BASE_URL"
DEFAULT_BASE_URL: Final = "https://api.runpod.ai/v2"

#: Called with a job's newest progress update: a process as `process_status` shows it, without its files.
OnUpdate = Callable[[dict[str, Any]], None]


def runpod_url(endpoint_id: str) -> str:
    """Return the URL of a RunPod endpoint's queue."""
    base = os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    return f"{base.rstrip('/')}/{endpoint_id}"


class QueueCalls:
    """The queue API of one endpoint and of its front door, over a `Runtime`."""

    def __init__(
        self,
        runtime: Runtime,
        url: str,
        api_key: str | None,
        *,
        front_door: str | None,
        retries: RetryPolicy | None,
        s3_config: Mapping[str, str] | None = None,
    ) -> None:
        """Connect at the first request; the arguments are those of `Client`.

        Raises:
            WrongUrl: a URL is not an HTTP URL, or holds a password.
        """
        self.runtime = runtime
        self._s3_config = dict(s3_config) if s3_config else None
        policy = retries or RetryPolicy()
        main, door = (
            None if each is None else Transport(each, api_key, runtime=runtime, retries=policy)
            for each in (url, front_door)
        )
        assert main is not None
        self._routes = EndpointRoutes(main, door)

    @property
    def url(self) -> str:
        """The endpoint's URL; it holds no key."""
        return self._routes.main.url

    @property
    def has_front_door(self) -> bool:
        """Whether requests that need no GPU go to a CPU endpoint."""
        return self._routes.front_door is not None

    def needs_no_worker(self, action: str, fields: Mapping[str, Any]) -> bool:  # noqa: ARG002 -- see VolumeCalls
        """Return whether `call` answers this without a job on the endpoint: never here."""
        return False

    async def close(self) -> None:
        """Close the connections."""
        await self.runtime.close()

    async def run(self, request: Mapping[str, Any], *, policy: Mapping[str, Any] | None = None) -> QueueJob:
        """Submit a job; see `Client.run`."""
        body = self._body(request, policy)
        repeatable = _repeatable(request)
        return await self._routes.submit(
            request, lambda to: to.post("/run", body, limit_bytes=RUN_BODY_MAX_BYTES, repeatable=repeatable)
        )

    async def runsync(
        self,
        request: Mapping[str, Any],
        *,
        policy: Mapping[str, Any] | None = None,
        wait_s: float = RUNSYNC_WAIT_S,
    ) -> QueueJob:
        """Submit a job and wait for it; see `Client.runsync`."""
        held_s = min(max(wait_s, RUNSYNC_WAIT_MIN_S), RUNSYNC_WAIT_MAX_S)
        body = self._body(request, policy)
        return await self._routes.submit(
            request,
            lambda to: to.post(
                "/runsync",
                body,
                limit_bytes=RUNSYNC_BODY_MAX_BYTES,
                params={"wait": str(int(held_s * 1000))},
                wait_s=held_s,
                repeatable=_repeatable(request),
            ),
        )

    async def status(self, job_id: str) -> QueueJob:
        """Return a job as it is now."""
        return await self._routes.about(job_id, lambda at: at.get(f"/status/{job_id}"))

    async def cancel(self, job_id: str) -> QueueJob:
        """Cancel a job."""
        return await self._routes.about(job_id, lambda at: at.post(f"/cancel/{job_id}", {}, repeatable=True))

    async def health(self) -> dict[str, Any]:
        """Return the counts of the endpoint's jobs and workers."""
        return await self._routes.main.get("/health")

    async def call(
        self,
        action: str,
        /,
        *,
        timeout_s: float | None = None,
        policy: Mapping[str, Any] | None = None,
        on_update: OnUpdate | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Return the worker's answer to one action; see `Client.call`."""
        request = {"type": action} | {name: value for name, value in fields.items() if value is not None}
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        # While the endpoint holds the request, it tells of no update.
        held_s = RUNSYNC_WAIT_MIN_S if on_update is not None else RUNSYNC_WAIT_S
        job = await self.runsync(request, policy=policy, wait_s=held_s if timeout_s is None else timeout_s)
        interval_s, last = _POLL_FIRST_S, None
        while not job.status.ended:
            if on_update is not None and isinstance(job.output, dict) and job.output != last:
                last = job.output
                on_update(job.output)
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(
                    f"{action}: no answer after {timeout_s:g} s; job {job.job_id} continues.",
                    job_id=job.job_id,
                )
            await self.runtime.sleep(interval_s)
            interval_s = min(interval_s * 1.5, _POLL_LONGEST_S)
            job = await self._still_kept(job)
        answer = job.result()
        if not isinstance(answer, dict):
            raise UnexpectedAnswer(f"{action}: the worker answered something other than a JSON object.")
        return answer

    async def _still_kept(self, job: QueueJob) -> QueueJob:
        try:
            return await self.status(job.job_id)
        except JobNotFound as error:
            raise JobNotFound(
                f"Job {job.job_id} has ended, and its result is no longer kept.",
                hint="Results of runsync are kept for a minute.",
            ) from error

    def _body(self, request: Mapping[str, Any], policy: Mapping[str, Any] | None) -> dict[str, Any]:
        optional = {"policy": dict(policy) if policy else None, "s3Config": self._s3_config}
        return {"input": dict(request)} | {name: value for name, value in optional.items() if value}


def _repeatable(request: Mapping[str, Any]) -> bool:
    return request.get("type") not in _ONCE or "idempotency_key" in request
