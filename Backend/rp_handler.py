"""The entry of a RunPod serverless worker: event in, answer out."""

from __future__ import annotations

from functools import cache
from typing import Any

from lorapod.serverless import job_of, serve, start_worker
from lorapod.settings import Settings
from lorapod.worker import Worker


@cache
def worker() -> Worker:
    """This process's worker, built and started at the first call."""
    return start_worker(Settings())


async def async_handler(event: Any) -> dict[str, Any]:
    """Answer one RunPod job.

    Args:
        event: `{"id": …, "input": {"type": …, …}}`.

    Returns:
        One flat JSON object; with `error` in it the SDK marks the job FAILED.
    """
    return await worker().answer(event, job_of(event, worker().services.settings))


def main() -> None:
    """Serve RunPod jobs until the platform stops the worker."""
    serve(async_handler, worker, Settings())


if __name__ == "__main__":
    main()
