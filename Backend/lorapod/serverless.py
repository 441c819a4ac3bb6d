"""A worker behind the RunPod SDK's loop; every entry uses it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

from lorapod.actions.action import RunPodJob
from lorapod.journal import write_journal
from lorapod.safety.redaction import Redactor
from lorapod.sdk import import_runpod
from lorapod.settings import Settings
from lorapod.telemetry.fitness import check_fitness
from lorapod.worker import Worker

Handler = Callable[[Any], Awaitable[dict[str, Any]]]


def start_worker(settings: Settings) -> Worker:
    """Build a worker and start its background threads.

    Raises:
        OSError: the workspace cannot be written, or the state store refuses this worker.
        ValueError: a setting is malformed.
    """
    built = Worker.create(settings)
    built.start()
    return built


def job_of(event: Any, settings: Settings) -> RunPodJob:
    """Return the RunPod job of an event; outside RunPod, its progress updates are dropped."""
    job_id = str(event.get("id", "")) if isinstance(event, Mapping) else ""
    if not settings.serverless:
        return RunPodJob(job_id=job_id)

    def progress(update: Mapping[str, Any]) -> None:
        import_runpod().serverless.progress_update(event, dict(update))

    return RunPodJob(job_id=job_id, progress=progress)


def serve(handler: Handler, worker: Callable[[], Worker], settings: Settings) -> None:
    """Serve RunPod jobs until the platform stops the worker.

    Args:
        handler: answers one event.
        worker: returns the worker, which is built at the first call.
        settings: the worker's.
    """
    write_journal(settings.log_level, Redactor(settings.secret_values()))
    # From here on the secrets of jobs are masked, too.
    write_journal(settings.log_level, worker().services.redactor)
    runpod = import_runpod()

    def gpus_work() -> None:
        check_fitness(worker().services.telemetry)

    runpod.serverless.register_fitness_check(gpus_work)

    close = _closing_once(lambda: worker().close())

    @cache
    def stop_with_the_sdk() -> None:
        _close_at_sigterm(close)

    def concurrency(_current: int) -> int:
        # The SDK asks before each take of jobs, after it has set its own signal handlers.
        stop_with_the_sdk()
        return settings.jobs_at_once

    runpod.serverless.start({"handler": handler, "concurrency_modifier": concurrency})
    close()


def _closing_once(close: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls `close` once, however many threads call it; each waits until that is done."""
    lock, once = threading.Lock(), cache(close)

    def closing() -> None:
        with lock:
            once()

    return closing


def _close_at_sigterm(close: Callable[[], None]) -> None:
    """Make SIGTERM stop the processes, too: the SDK's own handler only waits for the jobs in flight."""
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        if callable(before):
            before(number, frame)
        threading.Thread(target=close, name="shutdown").start()

    signal.signal(signal.SIGTERM, stop)
