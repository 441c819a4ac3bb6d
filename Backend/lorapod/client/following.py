"""Follow a process to its end, and read its log and its curves."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from lorapod.client.calls import OnUpdate, QueueCalls
from lorapod.client.errors import ProcessEnded, UnexpectedAnswer, WaitTimeout
from lorapod.client.process_nouns import noun_of
from lorapod.client.progress import ENDED, SUCCEEDED, Progress
from lorapod.client.reading import read
from lorapod.client.retrying import RetryPolicy, retry_async
from lorapod.wire.process import ProcessSummary, ProcessView

#: Between two polls of a process.
INTERVAL_S = 3.0

#: How long `wait` tolerates that no answer comes (the worker restarts, the endpoint is away).
NO_ANSWER_MAX_S = 600.0

_LONGEST_RETRY_WAIT_S = 30.0

#: Called with each look at a process that is waited for.
OnProgress = Callable[[Progress], None]

#: For each key its `(step, value)` pairs in order.
Curves = dict[str, list[tuple[int, float]]]


def on_update(on_progress: OnProgress | None) -> OnUpdate | None:
    """Return what tells `on_progress` of a job's progress updates; other outputs of a job are passed over."""
    if on_progress is None:
        return None

    def tell(update: Mapping[str, Any]) -> None:
        try:
            process = read(ProcessSummary, update)
        except UnexpectedAnswer:
            return
        on_progress(Progress(process=process, answer=update))

    return tell


async def status(calls: QueueCalls, process_id: str, *, log_tail: int | None = None) -> ProcessView:
    """Return the status of a process."""
    return (await _look(calls, process_id, log_tail=log_tail))[0]


async def _look(
    calls: QueueCalls, process_id: str, *, log_tail: int | None = None
) -> tuple[ProcessView, Mapping[str, Any]]:
    """Return the status of a process, and the answer that it was read from."""
    answer = await calls.call("process_status", process_id=process_id, log_tail=log_tail)
    return read(ProcessView, answer), answer


async def wait(
    calls: QueueCalls,
    process_id: str,
    *,
    on_look: Callable[[Progress], Awaitable[None]] | None = None,
    interval_s: float = INTERVAL_S,
    timeout_s: float | None = None,
    check: bool = True,
) -> ProcessView:
    """Wait until a process has ended; return its status.

    Keeps waiting while a worker restarts or the endpoint is away, up to `NO_ANSWER_MAX_S` at a time.

    Args:
        calls: the calls to the endpoint.
        process_id: the process.
        on_look: called with each look, the last one included.
        interval_s: seconds between two polls.
        timeout_s: how long to wait; None: to its end.
        check: raise unless it ends `completed`.

    Raises:
        ProcessEnded: it failed, was cancelled or was interrupted (with `check`).
        WaitTimeout: it has not ended after `timeout_s`.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    policy = RetryPolicy(
        attempts=None,
        patience_s=NO_ANSWER_MAX_S,
        first_wait_s=interval_s,
        longest_wait_s=_LONGEST_RETRY_WAIT_S,
    )
    while True:
        process, answer = await retry_async(lambda: _look(calls, process_id), policy, calls.runtime.sleep)
        if on_look is not None:
            await on_look(Progress(process=process, answer=answer))
        if process.status in ENDED:
            if check and process.status != SUCCEEDED:
                raise ProcessEnded(process)
            return process
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitTimeout(
                f"The {noun_of(process_id)} {process_id} is still {process.status} after {timeout_s:g} s.",
                process_id=process_id,
            )
        await calls.runtime.sleep(interval_s)


async def logs(calls: QueueCalls, process_id: str, *, offset: int = 0) -> str:
    """Return a process's log from `offset` (bytes) to its present end."""
    pieces: list[str] = []
    while True:
        piece = await calls.call("logs", process_id=process_id, offset=offset)
        pieces.append(piece["text"])
        if piece["eof"] or piece["next_offset"] <= offset:
            return "".join(pieces)
        offset = piece["next_offset"]


async def metrics(
    calls: QueueCalls, process_id: str, *, keys: Sequence[str] | None = None, since_step: int | None = None
) -> Curves:
    """Return a process's metrics: for each key its `(step, value)` pairs in order."""
    wanted = None if keys is None else list(keys)
    answer = await calls.call("metrics", process_id=process_id, keys=wanted, since_step=since_step)
    return {
        key: [(int(step), float(value)) for step, value in pairs] for key, pairs in answer["series"].items()
    }
