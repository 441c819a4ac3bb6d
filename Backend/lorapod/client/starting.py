"""Start a process: the request, and its id once a worker has it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorapod.client.calls import KEYED, QueueCalls
from lorapod.client.errors import UnexpectedAnswer, WaitTimeout
from lorapod.client.process_nouns import noun_of_request
from lorapod.client.reading import read
from lorapod.wire.started import DryRun, Started, SweepStarted

#: How long an attached training may keep its RunPod job open; RunPod's own default of 600 s would cut it off.
EXECUTION_TIMEOUT_S = 86_400.0

#: How long to wait for a worker that starts the training.
START_TIMEOUT_S = 900.0

_POLL_FIRST_S = 0.2
_POLL_LONGEST_S = 3.0

#: How long RunPod lets a job wait and run, in total.
_TTL_MAX_S = 7 * 86_400.0
_TTL_DEFAULT_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class StartedProcess:
    """A process that a worker has accepted."""

    process_id: str
    job_id: str
    #: Whether its job stays open until it ends.
    attached: bool
    #: The worker's answer, or the first progress update of an attached job.
    answer: Mapping[str, Any]

    def read(self) -> Started | None:
        """Return the answer as a model; None of an attached job, or if it is not understood: the process runs all the same."""
        if self.attached:
            return None
        try:
            return read(SweepStarted if "sweep_id" in self.answer else Started, self.answer)
        except UnexpectedAnswer:
            return None


async def start(
    calls: QueueCalls,
    fields: Mapping[str, Any],
    *,
    execution_timeout_s: float = EXECUTION_TIMEOUT_S,
    start_timeout_s: float = START_TIMEOUT_S,
) -> StartedProcess:
    """Start a process; return it once its id is known, whether its job stays open or not.

    Args:
        calls: the calls to the endpoint.
        fields: of the `train` action, or of another one that starts a process, with its `type`. If the action takes
            an `idempotency_key` and none is given, one is made, so that a request sent twice trains once.
        execution_timeout_s: how long the job may stay open, if the worker keeps it open.
        start_timeout_s: how long to wait for a worker.

    Raises:
        JobFailed: the worker refused the request.
        WaitTimeout: no worker started it in time; `job_id` is the job to look at or to cancel.
    """
    request, policy = start_request(fields, execution_timeout_s, start_timeout_s)
    job = await calls.run(request, policy=policy)
    deadline = time.monotonic() + start_timeout_s
    interval_s = _POLL_FIRST_S
    while not (job.status.ended or names_process(job.output)):
        if time.monotonic() >= deadline:
            raise WaitTimeout(
                f"No worker started the {noun_of_request(request)} within {start_timeout_s:g} s; job {job.job_id} is "
                f"{job.status}.",
                job_id=job.job_id,
            )
        await calls.runtime.sleep(interval_s)
        interval_s = min(interval_s * 1.5, _POLL_LONGEST_S)
        job = await calls.status(job.job_id)
    answer = job.result() if job.status.ended else job.output
    if not names_process(answer):
        raise UnexpectedAnswer(
            "The worker's answer has no process_id.",
            hint="For a dry run use Client.dry_run: it starts no process.",
        )
    return StartedProcess(
        process_id=answer["process_id"], job_id=job.job_id, attached=not job.status.ended, answer=answer
    )


async def dry_run(calls: QueueCalls, fields: Mapping[str, Any]) -> DryRun:
    """Have a worker check a training without starting it."""
    return read(DryRun, await calls.call("train", **{**fields, "dry_run": True}))


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
