"""The client's side of a training: start it, follow it, download its results."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.client import download
from lorapod.client.errors import EndpointError, ProcessEnded, WaitTimeout
from lorapod.client.job import QueueJob
from lorapod.client.process_nouns import noun_of, noun_of_request
from lorapod.client.queue import KEYED, QueueClient
from lorapod.client.retrying import RetryPolicy, retry

#: How long an attached training may keep its RunPod job open; RunPod's own default of 600 s would cut it off.
EXECUTION_TIMEOUT_S = 86_400.0

#: How long to wait for a worker that starts the training.
START_TIMEOUT_S = 900.0

#: Between two polls of a process.
INTERVAL_S = 3.0

#: How long `wait` tolerates that no answer comes (the worker restarts, the endpoint is away).
NO_ANSWER_MAX_S = 600.0

_START_POLL_FIRST_S = 0.2
_START_POLL_LONGEST_S = 3.0
_LONGEST_RETRY_WAIT_S = 30.0

#: How long RunPod lets a job wait and run, in total.
_TTL_MAX_S = 7 * 86_400.0
_TTL_DEFAULT_S = 86_400.0

_SUCCEEDED = "completed"
#: The statuses of processes that have ended.
ENDED = frozenset({_SUCCEEDED, "failed", "cancelled", "interrupted"})

OnProcess = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that runs on a worker."""

    process_id: str
    #: The RunPod job that started it; cancelling it stops an attached training.
    job_id: str
    #: Whether that job stays open until the training ends.
    attached: bool
    #: The worker's answer, or the first progress update of an attached job.
    started: Mapping[str, Any]
    client: QueueClient

    def status(self, *, log_tail: int | None = None) -> dict[str, Any]:
        """Return its status."""
        return self.client.call("process_status", process_id=self.process_id, log_tail=log_tail)

    def wait(
        self,
        *,
        on_progress: OnProcess | None = None,
        interval_s: float = INTERVAL_S,
        timeout_s: float | None = None,
        check: bool = True,
    ) -> dict[str, Any]:
        """Wait for its end; see `wait`."""
        return wait(
            self.client,
            self.process_id,
            on_progress=on_progress,
            interval_s=interval_s,
            timeout_s=timeout_s,
            check=check,
        )

    def cancel(self, *, save: bool | None = None) -> dict[str, Any]:
        """Stop it, by default after a checkpoint, if the trainer can."""
        return self.client.call("cancel", process_id=self.process_id, save=save)

    def logs(self, *, offset: int = 0) -> str:
        """Return its log from `offset` (bytes) to its present end."""
        return logs(self.client, self.process_id, offset=offset)

    def metrics(
        self, *, keys: list[str] | None = None, since_step: int | None = None
    ) -> dict[str, list[tuple[int, float]]]:
        """Return its metrics: for each key its `(step, value)` pairs in order."""
        return metrics(self.client, self.process_id, keys=keys, since_step=since_step)

    def download(self, to: str | Path = ".", *, on_progress: download.OnDownload | None = None) -> Path:
        """Download its final artifact."""
        return download.download(self.client, self.process_id, download.place(to), on_progress=on_progress)


def start(
    client: QueueClient,
    fields: Mapping[str, Any],
    *,
    execution_timeout_s: float = EXECUTION_TIMEOUT_S,
    start_timeout_s: float = START_TIMEOUT_S,
) -> Training:
    """Start a training; return it once its process id is known, whether its job stays open or not.

    Args:
        client: the client of the endpoint.
        fields: of the `train` action, or of another one that starts a process, with its `type`. If the action takes
            an `idempotency_key` and none is given, one is made, so that a request sent twice trains once.
        execution_timeout_s: how long the job may stay open, if the worker keeps it open.
        start_timeout_s: how long to wait for a worker.

    Raises:
        JobFailed: the worker refused the request.
        WaitTimeout: no worker started it in time; `job_id` is the job to look at or to cancel.
    """
    request, policy = start_request(fields, execution_timeout_s, start_timeout_s)
    job = client.run(request, policy=policy)
    deadline = time.monotonic() + start_timeout_s
    interval_s = _START_POLL_FIRST_S
    while True:
        if job.status.ended:
            return _training(client, job, job.result(), attached=False)
        if names_process(job.output):
            return _training(client, job, job.output, attached=True)
        if time.monotonic() >= deadline:
            raise WaitTimeout(
                f"No worker started the {noun_of_request(request)} within {start_timeout_s:g} s; job {job.job_id} is "
                f"{job.status}.",
                job_id=job.job_id,
            )
        time.sleep(interval_s)
        interval_s = min(interval_s * 1.5, _START_POLL_LONGEST_S)
        job = client.status(job.job_id)


def start_request(
    fields: Mapping[str, Any],
    execution_timeout_s: float = EXECUTION_TIMEOUT_S,
    start_timeout_s: float = START_TIMEOUT_S,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the request that starts a process, and the policy of its job; see `start`."""
    request: dict[str, Any] = {"type": "train"}
    request |= {name: value for name, value in fields.items() if value is not None}
    if request["type"] in KEYED:
        request.setdefault("idempotency_key", uuid.uuid4().hex)
    ttl_s = min(max(execution_timeout_s + start_timeout_s, _TTL_DEFAULT_S), _TTL_MAX_S)
    return request, {"executionTimeout": int(execution_timeout_s * 1000), "ttl": int(ttl_s * 1000)}


def names_process(output: Any) -> bool:
    """Return whether a job's output, or its newest progress update, names the process that it started."""
    return isinstance(output, Mapping) and isinstance(output.get("process_id"), str)


def _training(client: QueueClient, job: QueueJob, answer: Any, *, attached: bool) -> Training:
    if not names_process(answer):
        raise EndpointError(
            "The worker's answer has no process_id.",
            hint="For a dry run use Client.call('train', dry_run=True, …): it starts no process.",
        )
    return Training(
        process_id=answer["process_id"], job_id=job.job_id, attached=attached, started=answer, client=client
    )


def wait(
    client: QueueClient,
    process_id: str,
    *,
    on_progress: OnProcess | None = None,
    interval_s: float = INTERVAL_S,
    timeout_s: float | None = None,
    check: bool = True,
) -> dict[str, Any]:
    """Wait until a process has ended; return its status.

    Keeps waiting while a worker restarts or the endpoint is away, up to `NO_ANSWER_MAX_S` at a time.

    Args:
        client: the client of the endpoint.
        process_id: the process.
        on_progress: called with each status, the last one included.
        interval_s: seconds between two polls.
        timeout_s: how long to wait; None: to its end.
        check: raise unless it ends `completed`.

    Raises:
        ProcessEnded: it failed, was cancelled or was interrupted (with `check`).
        WaitTimeout: it has not ended after `timeout_s`.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        process = _poll(client, process_id, interval_s)
        if on_progress:
            on_progress(process)
        if process["status"] in ENDED:
            if check and process["status"] != _SUCCEEDED:
                raise ProcessEnded(process)
            return process
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitTimeout(
                f"The {noun_of(process_id)} {process_id} is still {process['status']} after {timeout_s:g} s.",
                process_id=process_id,
            )
        time.sleep(interval_s)


def _poll(client: QueueClient, process_id: str, interval_s: float) -> dict[str, Any]:
    policy = RetryPolicy(
        attempts=None,
        patience_s=NO_ANSWER_MAX_S,
        first_wait_s=interval_s,
        longest_wait_s=_LONGEST_RETRY_WAIT_S,
    )
    return retry(lambda: client.call("process_status", process_id=process_id), policy)


def logs(client: QueueClient, process_id: str, *, offset: int = 0) -> str:
    """Return a process's log from `offset` (bytes) to its present end."""
    pieces: list[str] = []
    while True:
        piece = client.call("logs", process_id=process_id, offset=offset)
        pieces.append(piece["text"])
        if piece["eof"] or piece["next_offset"] <= offset:
            return "".join(pieces)
        offset = piece["next_offset"]


def metrics(
    client: QueueClient, process_id: str, *, keys: list[str] | None = None, since_step: int | None = None
) -> dict[str, list[tuple[int, float]]]:
    """Return a process's metrics: for each key its `(step, value)` pairs in order."""
    answer = client.call("metrics", process_id=process_id, keys=keys, since_step=since_step)
    return {
        key: [(int(step), float(value)) for step, value in pairs] for key, pairs in answer["series"].items()
    }
