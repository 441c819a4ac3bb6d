"""What is asked of a worker or of the volume, and goes into the cache.

Questions to a worker cost GPU time if none is up, so each is a person's decision; looks at the volume cost nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lorapod.client.console.at_once import at_once
from lorapod.client.console.known_processes import KnownProcess
from lorapod.client.console.open_questions import OpenQuestion, Question
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.sources import ProcessSource, Series, WorkerSource
from lorapod.client.report_page.reading import choose

#: Processes that a list has, and of how many trainings of them it gets the curve and the newest image.
LISTED: Final = 100
_LOOKED_INTO: Final = 12
LOG_LINES: Final = 200
#: Most images of one process that are fetched.
MOST_PICTURES: Final = 240
_AT_ONCE: Final = 4
#: Between two looks at the volume for the same page.
LOOK_EVERY_S: Final = 10.0


class ProcessReader:
    """Reads from one source into the cache."""

    def __init__(self, parts: ConsoleParts, source: ProcessSource, state: OpenQuestion) -> None:
        """Read for one question."""
        self._parts = parts
        self._source = source
        self._state = state

    async def listing(self) -> None:
        """Read which processes there are; of the newest trainings that have changed, the curve and an image too."""
        listed = await self._source.processes(LISTED)
        known = await asyncio.to_thread(self._learn_all, listed)
        newest = [one for one in listed if one["type"] == "train"][:_LOOKED_INTO]
        changed = [one["process_id"] for one in newest if _has_changed(known.get(one["process_id"]), one)]
        self._state.total = len(changed)
        for process_id in changed:
            await self._process(process_id)
            await self._fetch(_newest_sample(self._parts.processes.get(process_id)), counted=False)
            self._state.done += 1

    async def training(self, process_id: str) -> None:
        """Read a training: its status, its curves, its GPU and its samples, the newest first."""
        process = await self._process(process_id)
        if process["status"] == "running" and process.get("worker_id"):
            gpus = await self._source.gpus(process["worker_id"])
            await asyncio.to_thread(self._parts.processes.learn_gpus, process_id, gpus)
        chosen = choose(process.get("samples") or (), MOST_PICTURES)
        sheet = (process.get("dataset") or {}).get("contact_sheet")
        await self._fetch([*(one["path"] for one in reversed(chosen)), *filter(None, (sheet,))])

    async def comparison(self, process_id: str) -> None:
        """Read a comparison: its cells and their images."""
        process = await self._process(process_id)
        await self._fetch([cell["path"] for cell in process.get("cells") or ()][:MOST_PICTURES])

    async def _process(self, process_id: str) -> Mapping[str, Any]:
        process = await self._source.process(process_id, LOG_LINES)
        before = await asyncio.to_thread(self._parts.processes.get, process_id)
        await asyncio.to_thread(self._parts.processes.learn, process, whole=True)
        step = (process.get("progress") or {}).get("step") or 0
        afresh = before is None or _run_of(before.process) != _run_of(process)
        last = None if afresh else await asyncio.to_thread(self._parts.curves.last_step, process_id)
        # Steps count from 0 in the curves, so the last one of a run is one less than its progress.
        if process["type"] == "train" and step > (0 if last is None else last + 1):
            stride = max(1, math.ceil(step / self._source.most_points))
            series = await self._source.curves(process_id, last, stride)
            await asyncio.to_thread(self._learn_curves, process_id, series, afresh=afresh)
        return process

    def _learn_all(self, listed: Sequence[Mapping[str, Any]]) -> Mapping[str, KnownProcess]:
        """Keep what a list tells; return what was known before."""
        before = {one["process_id"]: self._parts.processes.get(one["process_id"]) for one in listed}
        for one in listed:
            self._parts.processes.learn(one, whole=False)
        self._parts.processes.forget_missing(
            before, complete=len(listed) < LISTED, before=self._state.began_at
        )
        return {process_id: known for process_id, known in before.items() if known is not None}

    def _learn_curves(self, process_id: str, series: Series, *, afresh: bool) -> None:
        self._parts.curves.add(process_id, series, afresh=afresh)
        self._parts.processes.learn_spark(process_id, self._parts.curves.spark(process_id))

    async def _fetch(self, paths: Sequence[str], *, counted: bool = True) -> None:
        """Fetch the images that are not here; one that is not given is left out."""
        missing = await asyncio.to_thread(self._parts.pictures.missing, list(paths))
        if counted:
            self._state.total = len(missing)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(path: str) -> None:
            async with gate:
                data = await self._source.file(path)
                if data is not None:
                    await asyncio.to_thread(self._parts.pictures.keep, path, data)
                self._state.done += counted

        await at_once(one(path) for path in missing)


def list_of_processes(parts: ConsoleParts) -> Question:
    """Return the question to a worker which processes there are."""

    async def ask(state: OpenQuestion) -> None:
        await _worker(parts, state).listing()

    return ask


def process(parts: ConsoleParts, process_id: str) -> Question:
    """Return the question to a worker how a process is."""

    async def ask(state: OpenQuestion) -> None:
        await _read_one(_worker(parts, state), process_id)

    return ask


def steering(parts: ConsoleParts, process_id: str, action: str, fields: Mapping[str, Any]) -> Question:
    """Return the request to a worker to steer a process, followed by the question how it is."""

    async def ask(state: OpenQuestion) -> None:
        await parts.calls.call(action, on_job=state.on_job, process_id=process_id, **fields)
        await _worker(parts, state).training(process_id)

    return ask


def starting(parts: ConsoleParts, action: str, fields: Mapping[str, Any]) -> Question:
    """Return the request to a worker to start a process, followed by the question how it is; `made` is its id."""

    async def ask(state: OpenQuestion) -> None:
        made = await parts.calls.start(action, on_job=state.on_job, **fields)
        await _read_one(_worker(parts, state), made)
        state.made = made

    return ask


def look_at_list(parts: ConsoleParts, subject: str) -> None:
    """Have the volume looked at for the list of processes, unless that was done a moment ago."""

    async def look(state: OpenQuestion) -> None:
        assert parts.volume is not None
        await ProcessReader(parts, parts.volume, state).listing()

    _look(parts, subject, look)


def look_at_process(parts: ConsoleParts, process_id: str) -> None:
    """Have the volume looked at for one process, unless that was done a moment ago."""

    async def look(state: OpenQuestion) -> None:
        assert parts.volume is not None
        await _read_one(ProcessReader(parts, parts.volume, state), process_id)

    _look(parts, process_id, look)


def _look(parts: ConsoleParts, subject: str, question: Question) -> None:
    if parts.volume is not None and parts.looks.age_s(subject) >= LOOK_EVERY_S:
        parts.looks.start(subject, question)


def _worker(parts: ConsoleParts, state: OpenQuestion) -> ProcessReader:
    return ProcessReader(parts, WorkerSource(parts.calls, state.on_job), state)


async def _read_one(reader: ProcessReader, process_id: str) -> None:
    if process_id.startswith("compare_"):
        await reader.comparison(process_id)
    else:
        await reader.training(process_id)


def _run_of(process: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what changes when a training goes on from an earlier step, whose curve is then another one."""
    return process.get("resumed_from_step"), process.get("started_at")


def _has_changed(known: KnownProcess | None, listed: Mapping[str, Any]) -> bool:
    """Return whether a list tells something new of a training that is not wholly known yet, or went on."""
    if known is None or not known.whole:
        return True
    return any(known.process.get(name) != listed.get(name) for name in ("status", "progress"))


def _newest_sample(known: KnownProcess | None) -> list[str]:
    samples = [] if known is None else known.process.get("samples") or []
    newest = max((sample["step"] for sample in samples), default=None)
    return [sample["path"] for sample in samples if sample["step"] == newest][:1]
