"""Generations: the request to a worker, its job until the end, and the images that it answers with."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from lorapod.client.console.open_questions import OpenQuestion, Question
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.errors import JobNotFound, LorapodError
from lorapod.client.job import QueueJob

_POLL_FIRST_S: Final = 0.2
_POLL_LONGEST_S: Final = 2.0
#: Of an answer: what the history keeps.
_KEPT: Final = ("process_id", "engine", "seed", "warnings", "timings")
_OF_A_FILE: Final = ("filename", "path", "content_type", "size_bytes", "width", "height", "seed")


def generating(parts: ConsoleParts, request: Mapping[str, Any]) -> Question:
    """Return the request to generate, which lasts until its images are here."""

    async def ask(state: OpenQuestion) -> None:
        job = await parts.calls.submit("generate", **request)
        await asyncio.to_thread(parts.generations.begin, job.job_id, request)
        await _to_its_end(parts, state, job, asks=True)

    return ask


def take_up(parts: ConsoleParts, subject: str) -> None:
    """Follow a generation that another console of this machine began: its job's status costs nothing."""
    if parts.asks.is_open(subject):
        return
    for entry in parts.generations.all():
        if entry["status"] == "running":
            parts.asks.start(subject, _taking_up(parts, entry["job_id"]))
            return


def _taking_up(parts: ConsoleParts, job_id: str) -> Question:
    async def ask(state: OpenQuestion) -> None:
        await _to_its_end(parts, state, await _job(parts, job_id), asks=False)

    return ask


async def _to_its_end(parts: ConsoleParts, state: OpenQuestion, job: QueueJob, *, asks: bool) -> None:
    """Follow a job and keep what it answers; `asks`: a worker may be asked for files that the answer has no room for."""
    state.made = job.job_id
    interval_s = _POLL_FIRST_S
    while not job.status.ended:
        state.on_job(job)
        progress = (job.output or {}).get("progress") or {} if isinstance(job.output, dict) else {}
        state.done, state.total = round(progress.get("percent") or 0), 100 if progress.get("percent") else 0
        await asyncio.sleep(interval_s)
        interval_s = min(interval_s * 1.5, _POLL_LONGEST_S)
        job = await _job(parts, job.job_id)
    try:
        answer = job.result()
    except LorapodError as error:
        await asyncio.to_thread(
            parts.generations.add, job.job_id, status="failed", problem=_problem(error), took_s=_took_s(job)
        )
        raise
    files = [await _kept(parts, one, asks=asks) for one in answer.get("images") or ()]
    others = [*(answer.get("videos") or ()), *(answer.get("other") or ())]
    told = {name: answer[name] for name in _KEPT if name in answer}
    await asyncio.to_thread(
        parts.generations.add,
        job.job_id,
        status="completed",
        images=files,
        others=[_described(one) for one in others],
        took_s=_took_s(job),
        **told,
    )


async def _job(parts: ConsoleParts, job_id: str) -> QueueJob:
    try:
        return await parts.calls.job(job_id)
    except JobNotFound as error:
        await asyncio.to_thread(parts.generations.add, job_id, status="lost", problem=_problem(error))
        raise


async def _kept(parts: ConsoleParts, output: Mapping[str, Any], *, asks: bool) -> dict[str, Any]:
    """Keep an image of an answer: its bytes in it, else the volume's file, else a worker's; return how it is shown."""
    path, data = output["path"], None
    if output.get("data"):
        try:
            data = base64.b64decode(output["data"], validate=True)
        except binascii.Error:
            data = None
    if data is None and parts.volume is not None:
        data = await parts.volume.file(path)
    if data is None and asks:
        data = await parts.calls.file(path)
    if data is not None:
        await asyncio.to_thread(parts.pictures.keep, path, data)
    return _described(output)


def _described(output: Mapping[str, Any]) -> dict[str, Any]:
    return {name: output[name] for name in _OF_A_FILE if output.get(name) is not None}


def _problem(error: LorapodError) -> dict[str, Any]:
    return {"error": error.message, "hint": error.hint}


def _took_s(job: QueueJob) -> float | None:
    """Return how long a worker was needed, its start included."""
    return None if job.execution_s is None else job.execution_s + (job.delay_s or 0.0)
