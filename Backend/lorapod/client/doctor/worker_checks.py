"""Workers that run, and workers that do not start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorapod import __version__
from lorapod.client.doctor.causes import known_cause, starts_again_and_again
from lorapod.client.doctor.examination import Examination
from lorapod.client.doctor.finding import Finding, note, ok, problem
from lorapod.platform.models import EndpointWorker, WorkerCondition

#: Lines of a log that are shown.
_SHOWN_LINES = 5
#: A worker that has been starting for longer than this has a problem.
_LONG_START_S = 1800

_GB = 1_000_000_000
_NEARLY_FULL = 0.9

#: Checks of a worker that mean nothing on a machine without a GPU.
_GPU_CHECKS = ("gpu", "trainer:", "engine:")

_MENDS: Mapping[str, str] = {
    "gpu": "End the worker in RunPod's console: another one starts elsewhere. On a machine without a GPU: ALLOW_CPU=true",
    "cached_model": "Set it in RunPod's console: the endpoint, Manage, Edit Endpoint, Model",
    "disk": "lorapod du shows what takes the space; lorapod rm deletes what is not needed",
}


def worker_findings(seen: Examination) -> Iterator[Finding]:
    """Look at each worker, by the platform's word and by its log."""
    if seen.workers is None:
        return
    if not seen.workers:
        yield ok("workers", "No worker runs now; RunPod starts one for the next job.")
        return
    for worker in seen.workers:
        yield _worker(worker, seen.logs.get(worker.id, ()))
        if worker.is_stale:
            yield note(
                "workers",
                f"{worker.id} runs an older configuration ({worker.image or 'unknown image'}); RunPod replaces it once "
                "its job has ended.",
            )


def _worker(worker: EndpointWorker, lines: tuple[str, ...]) -> Finding:
    where = ", ".join(part for part in (worker.gpu_type_id, worker.data_center_id) if part)
    name = f"{worker.id} ({where})" if where else worker.id
    last = lines[-_SHOWN_LINES:]
    match worker.status:
        case WorkerCondition.RUNNING | WorkerCondition.IDLE:
            return ok("workers", f"{name} is {worker.status.lower()}.")
        case WorkerCondition.THROTTLED:
            return note("workers", f"{worker.id} waits for a free machine.")
        case _:
            pass
    if (cause := known_cause(lines)) is not None:
        known, line = cause
        shown = last if line in last else (line, *last)
        return problem("workers", f"{name} does not start. {known.message}.", mend=known.mend, lines=shown)
    if starts_again_and_again(lines):
        return problem(
            "workers",
            f"{name} starts again and again: it ends during its start.",
            mend="Its last lines say why; `lorapod deploy` changes image and settings.",
            lines=last,
        )
    slow = (worker.uptime_seconds or 0) > _LONG_START_S
    if worker.status is WorkerCondition.UNHEALTHY or slow:
        state = "is unhealthy" if not slow else f"has been starting for {worker.uptime_seconds} s"
        return problem(
            "workers",
            f"{name} {state}.",
            mend="Its last lines say why, or end it in RunPod's console: another one starts elsewhere.",
            lines=last,
        )
    return note("workers", f"{name} is starting.", lines=last)


def health_findings(
    health: Mapping[str, Any], *, volume_gb: int | None, has_gpu: bool = True
) -> Iterator[Finding]:
    """Look at what a worker says of itself.

    Args:
        health: its answer to `health`.
        volume_gb: size of the volume, if it is known.
        has_gpu: whether the endpoint has GPUs; without, it neither trains nor generates.
    """
    version = health.get("version")
    if version == __version__:
        yield ok("version", f"Worker and client are both lorapod {version}.")
    else:
        yield note(
            "version",
            f"The worker is lorapod {version}, this client {__version__}.",
            mend="Build and push the image of this version, then lorapod deploy --image NAME; or update lorapod-client.",
        )
    bad = [
        check
        for check in health.get("checks") or ()
        if not check.get("ok") and (has_gpu or not str(check.get("name")).startswith(_GPU_CHECKS))
    ]
    for check in bad:
        mend = _MENDS.get(str(check.get("name")), "lorapod health shows all checks of the worker")
        yield problem("worker", f"{check.get('name')}: {check.get('detail')}", mend=mend)
    if not bad:
        yield ok("worker", f"{health.get('worker_id')} says that it is well.")
    yield from _fullness(health, volume_gb)


def _fullness(health: Mapping[str, Any], volume_gb: int | None) -> Iterator[Finding]:
    usage = health.get("disk_usage")
    if volume_gb is None or not usage:
        return
    used_gb = sum(part["size_bytes"] for part in usage["parts"]) / _GB
    shown = f"{used_gb:.1f} of {volume_gb} GB of the volume are used."
    if used_gb > _NEARLY_FULL * volume_gb:
        yield problem("volume", shown, mend="lorapod du shows by what; lorapod rm deletes what is not needed")
    else:
        yield ok("volume", shown)
