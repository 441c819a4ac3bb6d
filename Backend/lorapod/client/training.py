"""A training, from the caller's side: start it, follow it, fetch what it made."""

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
from lorapod.client.queue import QueueClient
from lorapod.client.retrying import RetryPolicy, retry

#: How long an attached training may keep its RunPod job open; RunPod's own default of 600 s would cut it off.
EXECUTION_TIMEOUT_S = 86_400.0

#: How long to wait for a worker that takes the training up.
START_TIMEOUT_S = 900.0

#: Between two looks at a process.
INTERVAL_S = 3.0

#: How long a process may be out of sight (its worker restarts, the endpoint is away) before `wait` gives up.
OUT_OF_SIGHT_S = 600.0

_START_POLL_FIRST_S = 0.2
_START_POLL_LONGEST_S = 3.0
_LONGEST_RETRY_WAIT_S = 30.0

#: How long RunPod lets a job wait and run in all.
_TTL_MAX_S = 7 * 86_400.0
_TTL_DEFAULT_S = 86_400.0

#: Actions that take an `idempotency_key`; a `resume` needs none, it never runs a process twice.
_KEYED = frozenset({"train", "train_with_yaml", "generate"})

_SUCCEEDED = "completed"
_ENDED = frozenset({_SUCCEEDED, "failed", "cancelled", "interrupted"})

OnProcess = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that has a process on a worker."""

    process_id: str
    #: The RunPod job that started it; cancelling it stops an attached training.
    job_id: str
    #: Whether that job stays open until the training ends.
    attached: bool
    #: The worker's answer, or the first progress update of an attached job.
    started: Mapping[str, Any]
    client: QueueClient

    def status(self, *, log_tail: int | None = None) -> dict[str, Any]:
        """All that is known of it."""
        return self.client.call("process_status", process_id=self.process_id, log_tail=log_tail)

    def wait(
        self,
        *,
        on_progress: OnProcess | None = None,
        interval_s: float = INTERVAL_S,
        timeout_s: float | None = None,
        check: bool = True,
    ) -> dict[str, Any]:
        """Follow it to its end; see `wait`."""
        return wait(
            self.client,
            self.process_id,
            on_progress=on_progress,
            interval_s=interval_s,
            timeout_s=timeout_s,
            check=check,
        )

    def cancel(self, *, save: bool | None = None) -> dict[str, Any]:
        """Stop it, by default with a checkpoint first where the trainer can."""
        return self.client.call("cancel", process_id=self.process_id, save=save)

    def logs(self, *, offset: int = 0) -> str:
        """Its log from `offset` (bytes) to its present end."""
        return logs(self.client, self.process_id, offset=offset)

    def metrics(
        self, *, keys: list[str] | None = None, since_step: int | None = None
    ) -> dict[str, list[tuple[int, float]]]:
        """Its metrics: for each key its `(step, value)` pairs in order."""
        return metrics(self.client, self.process_id, keys=keys, since_step=since_step)

    def download(self, to: str | Path = ".", *, on_progress: download.OnDownload | None = None) -> Path:
        """Fetch its final artifact, sha256 checked."""
        return download.download(self.client, self.process_id, Path(to), on_progress=on_progress)


def start(
    client: QueueClient,
    fields: Mapping[str, Any],
    *,
    execution_timeout_s: float = EXECUTION_TIMEOUT_S,
    start_timeout_s: float = START_TIMEOUT_S,
) -> Training:
    """Start a training; answers as soon as its process id is known, whether its job stays open or not.

    Args:
        client: the endpoint's.
        fields: of the `train` action (or of another one that starts a process, with its `type`); where there is no
            `idempotency_key` and the action takes one, one is made, so that a request sent twice trains once.
        execution_timeout_s: how long the job may stay open where the worker keeps it open.
        start_timeout_s: how long to wait for a worker.

    Raises:
        JobFailed: the worker refused it.
        WaitTimeout: no worker took it up in time; `job_id` says which job to look at or to cancel.
    """
    wish: dict[str, Any] = {"type": "train"}
    wish |= {name: value for name, value in fields.items() if value is not None}
    if wish["type"] in _KEYED:
        wish.setdefault("idempotency_key", uuid.uuid4().hex)
    ttl_s = min(max(execution_timeout_s + start_timeout_s, _TTL_DEFAULT_S), _TTL_MAX_S)
    policy = {"executionTimeout": int(execution_timeout_s * 1000), "ttl": int(ttl_s * 1000)}
    job = client.run(wish, policy=policy)
    deadline = time.monotonic() + start_timeout_s
    interval_s = _START_POLL_FIRST_S
    while True:
        if job.status.ended:
            return _training(client, job, job.result(), attached=False)
        if _names_process(job.output):
            return _training(client, job, job.output, attached=True)
        if time.monotonic() >= deadline:
            raise WaitTimeout(
                f"No worker took the training up within {start_timeout_s:g} s; job {job.job_id} is {job.status}.",
                job_id=job.job_id,
            )
        time.sleep(interval_s)
        interval_s = min(interval_s * 1.5, _START_POLL_LONGEST_S)
        job = client.status(job.job_id)


def _names_process(output: Any) -> bool:
    return isinstance(output, Mapping) and isinstance(output.get("process_id"), str)


def _training(client: QueueClient, job: QueueJob, answer: Any, *, attached: bool) -> Training:
    if not _names_process(answer):
        raise EndpointError(
            "The worker's answer names no process.", hint="A dry run is a call, not a training."
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
    """Follow a process until it has ended, and answer its whole status.

    Outlives a worker that restarts and an endpoint that is away for up to `OUT_OF_SIGHT_S` at a time.

    Args:
        client: the client.
        process_id: the process.
        on_progress: called with each status, the last one included.
        interval_s: seconds between two looks.
        timeout_s: how long to follow it; None: to its end.
        check: raise where it ends otherwise than `completed`.

    Raises:
        ProcessEnded: it failed, was cancelled or interrupted (with `check`).
        WaitTimeout: it goes on beyond `timeout_s`.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        process = _look(client, process_id, interval_s)
        if on_progress:
            on_progress(process)
        if process["status"] in _ENDED:
            if check and process["status"] != _SUCCEEDED:
                raise ProcessEnded(process)
            return process
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitTimeout(
                f"{process_id} is still {process['status']} after {timeout_s:g} s.", process_id=process_id
            )
        time.sleep(interval_s)


def _look(client: QueueClient, process_id: str, interval_s: float) -> dict[str, Any]:
    policy = RetryPolicy(
        attempts=None,
        patience_s=OUT_OF_SIGHT_S,
        first_wait_s=interval_s,
        longest_wait_s=_LONGEST_RETRY_WAIT_S,
    )
    return retry(lambda: client.call("process_status", process_id=process_id), policy)


def logs(client: QueueClient, process_id: str, *, offset: int = 0) -> str:
    """A process's log from `offset` (bytes) to its present end, read piece by piece."""
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
    """A process's metrics: for each key its `(step, value)` pairs in order."""
    answer = client.call("metrics", process_id=process_id, keys=keys, since_step=since_step)
    return {
        key: [(int(step), float(value)) for step, value in pairs] for key, pairs in answer["series"].items()
    }
