"""Parts of RunPod's answers, for the stand-in and for tests."""

from __future__ import annotations

from typing import Any

from aiohttp import web


def queue_state(*, in_queue: int = 0, in_progress: int = 0, **workers: int) -> dict[str, Any]:
    """What the queue's `/health` answers."""
    states = ("idle", "initializing", "ready", "running", "throttled", "unhealthy")
    return {
        "jobs": {
            "completed": 0,
            "failed": 0,
            "inProgress": in_progress,
            "inQueue": in_queue,
            "retried": 0,
        },
        "workers": {**dict.fromkeys(states, 0), **workers},
    }


def worker(worker_id: str = "w1", status: str = "IDLE", **fields: Any) -> dict[str, Any]:
    """One worker as the API lists it."""
    return {"id": worker_id, "status": status, "gpuCount": 1, "isStale": False, **fields}


def log_lines(*texts: str, source: str = "container") -> list[dict[str, str]]:
    """Lines of a worker's log."""
    return [
        {"source": source, "line": text, "ts": f"2026-11-28T12:00:{number:02}Z"}
        for number, text in enumerate(texts)
    ]


def problem(
    status: int, detail: str, *, errors: list[str] | None = None, headers: Any = None
) -> web.Response:
    body: dict[str, Any] = {"title": "Refused", "status": status, "detail": detail}
    if errors is not None:
        body["errors"] = errors
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")
