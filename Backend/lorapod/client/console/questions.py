"""The questions that a worker answers: each costs GPU time if no worker is up, so each is a person's decision."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lorapod.client.console.known_processes import KnownProcess
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.worker_asks import Question, WorkerAsk
from lorapod.client.errors import JobFailed
from lorapod.client.report_page.reading import choose

#: Processes that a list asks for, and of how many of them it fetches the curve and the newest image.
LISTED: Final = 100
_LOOKED_INTO: Final = 12
LOG_LINES: Final = 200
#: Most images of one process that are fetched.
MOST_PICTURES: Final = 240
#: Points that a worker is asked for, for each curve.
_ASKED_POINTS: Final = 60_000
_AT_ONCE: Final = 4


def list_of_processes(parts: ConsoleParts) -> Question:
    """Return the question which processes there are; of the newest trainings it fetches a curve and an image too."""

    async def ask(state: WorkerAsk) -> None:
        answer = await parts.calls.call("processes", on_job=state.on_job, limit=LISTED)
        listed = answer["processes"]
        await asyncio.to_thread(_learn_all, parts, listed)
        trainings = [one["process_id"] for one in listed if one["type"] == "train"][:_LOOKED_INTO]
        state.total = len(trainings)
        for process_id in trainings:
            await _training(parts, state, process_id)
            await _fetch(parts, state, _newest_sample(parts.processes.get(process_id)), count=False)
            state.done += 1

    return ask


def training(parts: ConsoleParts, process_id: str) -> Question:
    """Return the question how a training is: its status, its curves and its samples."""

    async def ask(state: WorkerAsk) -> None:
        process = await _training(parts, state, process_id)
        chosen = choose(process.get("samples") or (), MOST_PICTURES)
        sheet = (process.get("dataset") or {}).get("contact_sheet")
        # The newest first: that is what a person waits for.
        await _fetch(parts, state, [*(one["path"] for one in reversed(chosen)), *filter(None, (sheet,))])

    return ask


def comparison(parts: ConsoleParts, process_id: str) -> Question:
    """Return the question how a comparison is: its cells and their images."""

    async def ask(state: WorkerAsk) -> None:
        process = await parts.calls.call("process_status", on_job=state.on_job, process_id=process_id)
        await asyncio.to_thread(parts.processes.learn, process, whole=True)
        cells = [cell["path"] for cell in process.get("cells") or ()]
        await _fetch(parts, state, cells[:MOST_PICTURES])

    return ask


def steering(parts: ConsoleParts, process_id: str, action: str, fields: Mapping[str, Any]) -> Question:
    """Return the request to steer a process, followed by the question how it is."""

    async def ask(state: WorkerAsk) -> None:
        await parts.calls.call(action, on_job=state.on_job, process_id=process_id, **fields)
        await _training(parts, state, process_id)

    return ask


async def _training(parts: ConsoleParts, state: WorkerAsk, process_id: str) -> Mapping[str, Any]:
    process = await parts.calls.call(
        "process_status", on_job=state.on_job, process_id=process_id, log_tail=LOG_LINES
    )
    before = await asyncio.to_thread(parts.processes.get, process_id)
    await asyncio.to_thread(parts.processes.learn, process, whole=True)
    step = (process.get("progress") or {}).get("step") or 0
    afresh = before is None or _run_of(before.process) != _run_of(process)
    known = None if afresh else await asyncio.to_thread(parts.curves.last_step, process_id)
    if process["type"] == "train" and step > (known or 0):
        stride = max(1, math.ceil(step / _ASKED_POINTS))
        answer = await parts.calls.call(
            "metrics", process_id=process_id, since_step=known, stride=stride if stride > 1 else None
        )
        await asyncio.to_thread(_learn_curves, parts, process_id, answer["series"], afresh=afresh)
    return process


def _run_of(process: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what changes when a training goes on from an earlier step, whose curve is then another one."""
    return process.get("resumed_from_step"), process.get("started_at")


def _learn_all(parts: ConsoleParts, listed: Sequence[Mapping[str, Any]]) -> None:
    for one in listed:
        parts.processes.learn(one, whole=False)


def _learn_curves(parts: ConsoleParts, process_id: str, series: Mapping[str, Any], *, afresh: bool) -> None:
    parts.curves.add(process_id, series, afresh=afresh)
    parts.processes.learn_spark(process_id, parts.curves.spark(process_id))


def _newest_sample(known: KnownProcess | None) -> list[str]:
    samples = [] if known is None else known.process.get("samples") or []
    newest = max((sample["step"] for sample in samples), default=None)
    return [sample["path"] for sample in samples if sample["step"] == newest][:1]


async def _fetch(parts: ConsoleParts, state: WorkerAsk, paths: Sequence[str], *, count: bool = True) -> None:
    """Fetch the images that are not here; one that the worker does not give is left out."""
    missing = await asyncio.to_thread(parts.pictures.missing, list(paths))
    if count:
        state.total = len(missing)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(path: str) -> None:
        async with gate:
            try:
                data = await parts.calls.file(path)
            except JobFailed:
                pass
            else:
                await asyncio.to_thread(parts.pictures.keep, path, data)
            if count:
                state.done += 1

    async with asyncio.TaskGroup() as group:
        for path in missing:
            group.create_task(one(path))
