"""The queue of one endpoint: submit jobs, read their states and results. Made by `make docs`: change the source, not this file."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from lorapod.client.blocking_runtime import BlockingRuntime
from lorapod.client.calls import RUNSYNC_WAIT_S, OnUpdate, runpod_url
from lorapod.client.http import HttpSender, Timeouts
from lorapod.client.job import QueueJob
from lorapod.client.retrying import RetryPolicy
from lorapod.client.runtime import finish
from lorapod.client.worker_calls import WorkerCalls


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
            WrongUrl: a URL is not an HTTP URL, or holds a password.
        """
        self._calls = WorkerCalls(
            BlockingRuntime(timeouts or Timeouts(), http=http),
            url,
            api_key,
            front_door=front_door,
            retries=retries,
            s3_config=s3_config,
        )

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
            WrongUrl: `RUNPOD_ENDPOINT_BASE_URL` is not an HTTP URL, or holds a password.
        """
        door = None if front_door is None else runpod_url(front_door)
        return cls(runpod_url(endpoint_id), api_key, front_door=door, retries=retries)

    @property
    def url(self) -> str:
        """The endpoint's URL; it holds no key."""
        return self._calls.url

    @property
    def has_front_door(self) -> bool:
        """Whether requests that need no GPU go to a CPU endpoint."""
        return self._calls.has_front_door

    def needs_no_worker(self, action: str, fields: Mapping[str, Any]) -> bool:
        """Return whether `call` answers this without a job on the endpoint, because the client reads the volume."""
        return self._calls.needs_no_worker(action, fields)

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
        """Close the connections. Calls that still wait end with `ClientClosed`; what runs on the worker continues."""
        finish(self._calls.close())

    def run(self, input: Mapping[str, Any], *, policy: Mapping[str, Any] | None = None) -> QueueJob:  # noqa: A002 -- the queue's own word
        """Submit a job and return at once. The endpoint keeps the result for 30 minutes.

        Args:
            input: the action's `type` and fields, 10 MB of JSON at most.
            policy: RunPod's, e.g. `{"executionTimeout": milliseconds}`.
        """
        return finish(self._calls.run(input, policy=policy))

    def runsync(
        self,
        input: Mapping[str, Any],  # noqa: A002 -- the queue's own word
        *,
        policy: Mapping[str, Any] | None = None,
        wait_s: float = RUNSYNC_WAIT_S,
    ) -> QueueJob:
        """Submit a job and wait for it, at most `wait_s`; it may still be IN_PROGRESS then.

        Args:
            input: the action's `type` and fields, 20 MB of JSON at most.
            policy: RunPod's.
            wait_s: 1 to 300 seconds. The endpoint keeps the result for a minute.
        """
        return finish(self._calls.runsync(input, policy=policy, wait_s=wait_s))

    def status(self, job_id: str) -> QueueJob:
        """Return the job as it is now; the `output` of one IN_PROGRESS is its newest progress update."""
        return finish(self._calls.status(job_id))

    def cancel(self, job_id: str) -> QueueJob:
        """Cancel a job; an attached training stops with it, after a checkpoint."""
        return finish(self._calls.cancel(job_id))

    def health(self) -> dict[str, Any]:
        """Return the counts of the endpoint's jobs and workers, not of its front door's; wakes no worker."""
        return finish(self._calls.health())

    def call(
        self,
        action: str,
        /,
        *,
        timeout_s: float | None = None,
        policy: Mapping[str, Any] | None = None,
        on_update: OnUpdate | None = None,
        **fields: object,
    ) -> dict[str, Any]:
        """Return the worker's answer to one action as it came, for actions and fields that have no method here.

        Args:
            action: the request's `type`.
            timeout_s: how long to wait for the answer; None: until the job ends.
            policy: RunPod's, e.g. `{"executionTimeout": milliseconds}`.
            on_update: called with each new progress update of the job until it ends.
            fields: the fields of the action, as JSON has them; those with the value None are left out.

        Raises:
            JobFailed: the worker answered with an error; or another `LorapodError`.
        """
        return finish(
            self._calls.call(action, timeout_s=timeout_s, policy=policy, on_update=on_update, **fields)
        )
