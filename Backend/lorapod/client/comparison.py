"""The client's side of a comparison: its request, and the grid on this machine."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from lorapod.client.calls import QueueCalls
from lorapod.client.following import OnProgress, on_update
from lorapod.client.reading import read
from lorapod.wire.process import ProcessView

#: How long a comparison may run, its wait for the GPU included.
EXECUTION_TIMEOUT_S = 6 * 3600.0


async def compare(
    calls: QueueCalls,
    sources: Sequence[str],
    *,
    execution_timeout_s: float,
    on_progress: OnProgress | None,
    fields: Mapping[str, Any],
) -> ProcessView:
    """Have a worker compare trainings and LoRA files; return the process at its end.

    Raises:
        JobFailed: the worker refused it; or another `LorapodError`.
    """
    asked = {
        "process_ids": [source for source in sources if not _is_path(source)],
        "loras": [{"path": source} for source in sources if _is_path(source)],
        **fields,
    }
    answer = await calls.call(
        "compare",
        policy={"executionTimeout": int(execution_timeout_s * 1000)},
        on_update=on_update(on_progress),
        # With a key, a request may be sent again even if the first attempt may have arrived.
        **{
            "idempotency_key": uuid.uuid4().hex,
            **{key: value for key, value in asked.items() if value is not None and value != []},
        },
        wait=True,
    )
    return read(ProcessView, answer)


def _is_path(source: str) -> bool:
    return "/" in source or "." in source
