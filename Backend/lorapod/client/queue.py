"""The queue of one endpoint: submit jobs, read their states and results."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from lorapod.client.errors import EndpointError, JobNotFound, WaitTimeout
from lorapod.client.http import HttpSender, Timeouts
from lorapod.client.job import QueueJob
from lorapod.client.retrying import RetryPolicy
from lorapod.client.routing import EndpointRoutes
from lorapod.client.transport import Transport

#: Largest bodies that RunPod's queue takes.
RUN_BODY_MAX_BYTES = 10_000_000
RUNSYNC_BODY_MAX_BYTES = 20_000_000

#: How long `/runsync` may wait before it answers.
RUNSYNC_WAIT_MIN_S = 1.0
RUNSYNC_WAIT_MAX_S = 300.0

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

#: Actions that would do their work twice: not sent again if it is unknown whether the first attempt arrived.
_ONCE = KEYED | {"resume", "edit_model", "edit_dataset"}

#: The environment variable that points to other queues than RunPod's; the SDK reads it too.
BASE_URL_VARIABLE = "RUNPOD_ENDPOINT_BASE_URL"
DEFAULT_BASE_URL = "https://api.runpod.ai/v2"

#: Called with a job's newest progress update: a process as `process_status` shows it, without its files.
OnUpdate = Callable[[dict[str, Any]], None]


def runpod_url(endpoint_id: str) -> str:
    """Return the URL of a RunPod endpoint's queue."""
    base = os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    return f"{base.rstrip('/')}/{endpoint_id}"


class QueueClient:
    """The queue API of one endpoint, and of its front door; see `Client`."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        front_door: str | None = None,
        retries: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        s3_config: Mapping[str, str] | None = None,
        http: HttpSender | None = None,
    ) -> None:
        """Create the client. It connects at the first request.

        Args:
            url: `https://api.runpod.ai/v2/<endpoint_id>`, or `http://127.0.0.1:<port>/v2/<id>`.
            api_key: the key of RunPod; a local endpoint needs none unless it was started with one.
            front_door: URL of a CPU endpoint on the same volume; requests that need no GPU go there.
            retries: how often to repeat a request to an endpoint that is away or busy.
            timeouts: how long one exchange may take.
            s3_config: a bucket of your own, sent with every job: `endpointUrl`, `accessId`, `accessSecret`,
                `bucketName`.
            http: another way to send requests, for tests.

        Raises:
            ValueError: a URL is not an HTTP URL, or holds a password.
        """
        self._retries = retries or RetryPolicy()
        self._s3_config = dict(s3_config) if s3_config else None
        times = timeouts or Timeouts()
        main, door = (
            None
            if each is None
            else Transport(each, api_key, retries=self._retries, timeouts=times, http=http)
            for each in (url, front_door)
        )
        assert main is not None
        self._routes = EndpointRoutes(main, door)

    @classmethod
    def runpod(
        cls,
        endpoint_id: str,
        api_key: str,
        *,
        front_door: str | None = None,
        retries: RetryPolicy | None = None,
    ) -> Self:
        """Return the client of a serverless endpoint on RunPod, and of its front door, named by its id.

        Raises:
            ValueError: `RUNPOD_ENDPOINT_BASE_URL` is not an HTTP URL, or holds a password.
        """
        door = None if front_door is None else runpod_url(front_door)
        return cls(runpod_url(endpoint_id), api_key, front_door=door, retries=retries)

    @property
    def url(self) -> str:
        """The endpoint's URL; it holds no key."""
        return self._routes.main.url

    @property
    def has_front_door(self) -> bool:
        """Whether requests that need no GPU go to a CPU endpoint."""
        return self._routes.front_door is not None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._routes.close()

    def run(self, input: Mapping[str, Any], *, policy: Mapping[str, Any] | None = None) -> QueueJob:  # noqa: A002 -- the queue's own word
        """Submit a job and return at once. The endpoint keeps the result for 30 minutes.

        Args:
            input: the action's `type` and fields, 10 MB of JSON at most.
            policy: RunPod's, e.g. `{"executionTimeout": milliseconds}`.
        """
        body = self._body(input, policy)
        repeatable = _repeatable(input)
        return self._routes.submit(
            input, lambda to: to.post("/run", body, limit_bytes=RUN_BODY_MAX_BYTES, repeatable=repeatable)
        )

    def runsync(
        self,
        input: Mapping[str, Any],  # noqa: A002 -- the queue's own word
        *,
        policy: Mapping[str, Any] | None = None,
        wait_s: float = 90.0,
    ) -> QueueJob:
        """Submit a job and wait for it, at most `wait_s`; it may still be IN_PROGRESS then.

        Args:
            input: the action's `type` and fields, 20 MB of JSON at most.
            policy: RunPod's.
            wait_s: 1 to 300 seconds. The endpoint keeps the result for a minute.
        """
        held_s = min(max(wait_s, RUNSYNC_WAIT_MIN_S), RUNSYNC_WAIT_MAX_S)
        body = self._body(input, policy)
        return self._routes.submit(
            input,
            lambda to: to.post(
                "/runsync",
                body,
                limit_bytes=RUNSYNC_BODY_MAX_BYTES,
                params={"wait": str(int(held_s * 1000))},
                wait_s=held_s,
                repeatable=_repeatable(input),
            ),
        )

    def status(self, job_id: str) -> QueueJob:
        """Return the job as it is now; the `output` of one IN_PROGRESS is its newest progress update."""
        return self._routes.about(job_id, lambda at: at.get(f"/status/{job_id}"))

    def cancel(self, job_id: str) -> QueueJob:
        """Cancel a job; an attached training stops with it, after a checkpoint."""
        return self._routes.about(job_id, lambda at: at.post(f"/cancel/{job_id}", {}, repeatable=True))

    def health(self) -> dict[str, Any]:
        """Return the counts of the endpoint's jobs and workers, not of its front door's; wakes no worker."""
        return self._routes.main.get("/health")

    def call(
        self,
        action: str,
        /,
        *,
        timeout_s: float | None = None,
        policy: Mapping[str, Any] | None = None,
        on_update: OnUpdate | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Return the worker's answer to one action.

        Args:
            action: the request's `type`.
            timeout_s: how long to wait for the answer; None: until the job ends.
            policy: RunPod's, e.g. `{"executionTimeout": milliseconds}`.
            on_update: called with each new progress update of the job until it ends.
            fields: the fields of the action; those with the value None are left out.

        Raises:
            JobFailed: the worker answered with an error; or another `LorapodError`.
        """
        request = {"type": action} | {name: value for name, value in fields.items() if value is not None}
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        # While the endpoint holds the request, it tells of no update.
        held_s = RUNSYNC_WAIT_MIN_S if on_update is not None else 90.0
        job = self.runsync(request, policy=policy, wait_s=held_s if timeout_s is None else timeout_s)
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
            time.sleep(interval_s)
            interval_s = min(interval_s * 1.5, _POLL_LONGEST_S)
            job = self._still_kept(job)
        answer = job.result()
        if not isinstance(answer, dict):
            raise EndpointError(f"{action}: the worker answered something other than a JSON object.")
        return answer

    def _still_kept(self, job: QueueJob) -> QueueJob:
        try:
            return self.status(job.job_id)
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
