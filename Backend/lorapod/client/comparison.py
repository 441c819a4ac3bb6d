"""The client's side of a comparison: its request, and the grid on this machine."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.client import download
from lorapod.client.queue import OnUpdate, QueueClient

#: How long a comparison may run, its wait for the GPU included.
EXECUTION_TIMEOUT_S = 6 * 3600.0


def compare(
    client: QueueClient,
    sources: Sequence[str],
    *,
    execution_timeout_s: float,
    on_progress: OnUpdate | None,
    fields: Mapping[str, Any],
) -> dict[str, Any]:
    """Have a worker compare trainings and LoRA files; return its answer at the end.

    Raises:
        JobFailed: the worker refused it; or another `LorapodError`.
    """
    asked = {
        "process_ids": [source for source in sources if not _is_path(source)],
        "loras": [{"path": source} for source in sources if _is_path(source)],
        **fields,
    }
    return client.call(
        "compare",
        policy={"executionTimeout": int(execution_timeout_s * 1000)},
        on_update=on_progress,
        # With a key, a request may be sent again even if the first attempt may have arrived.
        **{
            "idempotency_key": uuid.uuid4().hex,
            **{key: value for key, value in asked.items() if value is not None and value != []},
        },
        wait=True,
    )


def save_grid(client: QueueClient, answer: Mapping[str, Any], to: Path) -> Path | None:
    """Download the grid of a comparison to the file `to`; return None if it has none.

    Raises:
        TransferFailed: it could not be downloaded.
        OSError: it cannot be written.
    """
    path = answer.get("grid_path")
    if path is None:
        return None
    to.parent.mkdir(parents=True, exist_ok=True)
    return download.download(client, path, to)


def _is_path(source: str) -> bool:
    return "/" in source or "." in source
