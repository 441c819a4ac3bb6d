"""The questions about new trainings that a worker answers: which presets it can train, what it says of a request, the start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from lorapod.client.console import training_text
from lorapod.client.console.open_questions import OpenQuestion, Question
from lorapod.client.console.parts import ConsoleParts

PRESETS: Final = "presets"
#: Of a dry run's answer: what the page shows.
_SHOWN: Final = ("accepted", "trainer", "config", "dataset", "estimate", "refused", "warnings")


def presets_here(parts: ConsoleParts) -> Question:
    """Return the question which presets the worker can train."""

    async def ask(state: OpenQuestion) -> None:
        answer = await parts.calls.call("list_presets", on_job=state.on_job)
        here = {one["name"]: one.get("reason") for one in answer["presets"]}
        await asyncio.to_thread(parts.cache.put_document, PRESETS, "here", here)

    return ask


def dry_run(parts: ConsoleParts, request: Mapping[str, Any], key: str) -> Question:
    """Return the question what a worker says of a request; `key` comes back, so that the page knows which one it was."""

    async def ask(state: OpenQuestion) -> None:
        state.answer = {"key": key}
        answer = await parts.calls.call("train", on_job=state.on_job, **{**request, "dry_run": True})
        told = {name: answer[name] for name in _SHOWN if answer.get(name) is not None}
        priced = {"trainer": answer.get("trainer"), "estimate": answer.get("estimate") or {}, "type": "train"}
        told["config_text"] = await asyncio.to_thread(training_text.written, answer.get("config") or {})
        state.answer = {"key": key, **told, "cost": parts.prices.of_training(priced)}

    return ask


def start(parts: ConsoleParts, request: Mapping[str, Any]) -> Question:
    """Return the request to start a training or a sweep."""

    async def ask(state: OpenQuestion) -> None:
        job, process = await parts.calls.begin("train", on_job=state.on_job, **request)
        process_id = process["process_id"]
        if "progress" in process:
            told = {**process, "runpod_job_id": process.get("runpod_job_id") or job.job_id}
            await asyncio.to_thread(parts.processes.learn, told, whole=False)
        else:
            status = await parts.calls.call("process_status", process_id=process_id)
            await asyncio.to_thread(parts.processes.learn, status, whole=True)
        state.answer = {"process_id": process_id, "warnings": list(process.get("warnings") or ())}

    return ask
