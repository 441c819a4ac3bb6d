"""The entry of a RunPod serverless worker.

RunPod's SDK calls `async_handler` with each job. The worker's router finds the action that the job's `input` names, checks
the request, runs the action, and the answer goes back to RunPod as one flat JSON object.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from lorapod.serverless import job_of, serve, start_worker
from lorapod.settings import Settings
from lorapod.worker import Worker


async def async_handler(event: Any) -> dict[str, Any]:
    """Answer one RunPod job.

    Args:
        event: `{"id": …, "input": {"type": …, …}}`.

    Returns:
        The action's answer; if it has the field `error`, the SDK marks the job FAILED.
    """
    job = job_of(event, worker().services.settings)
    return await worker().answer(event, job)


@cache
def worker() -> Worker:
    """Return this process's worker, built and started at the first call."""
    return start_worker(Settings())


def main() -> None:
    """Serve RunPod jobs until the platform stops the worker."""
    serve(async_handler, worker, Settings())


if __name__ == "__main__":
    main()
