"""The client's side of the LoRA tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.client import starting, watching
from lorapod.client.worker_calls import WorkerCalls
from lorapod.wire.process import ProcessView


async def make(calls: WorkerCalls, action: str, fields: Mapping[str, Any]) -> ProcessView:
    """Start a process that makes a LoRA, and wait for its end.

    Raises:
        ProcessEnded: it failed.
    """
    started = await starting.start(calls, {**fields, "type": action})
    return await watching.watch(calls, started.process_id)
