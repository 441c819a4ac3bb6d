"""The entry of a RunPod serverless worker: event in, answer out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from lorapod.actions.action import Job
from lorapod.journal import write_journal
from lorapod.safety.redaction import Redactor
from lorapod.sdk import import_runpod
from lorapod.settings import Settings
from lorapod.worker import Worker


@cache
def worker() -> Worker:
    """This process's worker, built and started at the first call."""
    built = Worker.create(Settings())
    built.start()
    return built


async def async_handler(event: Any) -> dict[str, Any]:
    """Answer one RunPod job.

    Args:
        event: `{"id": …, "input": {"type": …, …}}`.

    Returns:
        One flat JSON object; with `error` in it the SDK marks the job FAILED.
    """

    def progress(update: Mapping[str, Any]) -> None:
        import_runpod().serverless.progress_update(event, dict(update))

    attached = worker().services.settings.serverless
    job_id = str(event.get("id", "")) if isinstance(event, Mapping) else ""
    job = Job(job_id=job_id, progress=progress) if attached else Job(job_id=job_id)
    return await worker().answer(event, job)


@cache
def stop_with_the_worker() -> None:
    """Have SIGTERM stop the processes too: the SDK's own handler only waits for the jobs in flight."""
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        if callable(before):
            before(number, frame)
        threading.Thread(target=worker().close, name="shutdown").start()

    signal.signal(signal.SIGTERM, stop)


def main() -> None:
    """Serve RunPod jobs until the platform stops the worker."""
    settings = Settings()
    write_journal(settings.log_level, Redactor(settings.secret_values()))
    worker()

    runpod = import_runpod()

    def concurrency(_current: int) -> int:
        # The SDK asks before each take of jobs, after it has set its own signal handlers.
        stop_with_the_worker()
        return settings.worker_concurrency

    runpod.serverless.start({"handler": async_handler, "concurrency_modifier": concurrency})
    worker().close()


if __name__ == "__main__":
    main()
