"""The questions about models that a worker answers: which there are, their cards, new LoRAs of old ones, their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from lorapod.client.console.following import until_its_end
from lorapod.client.console.open_questions import OpenQuestion, Question
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.questions import LOOK_EVERY_S
from lorapod.client.errors import LorapodError

#: Actions that make a new LoRA.
TOOLS: Final = frozenset({"merge_loras", "resize_lora", "convert_lora"})
#: Of an ended tool: what the page shows.
_SHOWN: Final = ("process_id", "status", "path", "rank", "size_bytes", "kept_energy", "failure", "warnings")


def list_of_models(parts: ConsoleParts) -> Question:
    """Return the question which models there are."""

    async def ask(state: OpenQuestion) -> None:
        await _read_list(parts, state)

    return ask


def look_at_list(parts: ConsoleParts, subject: str) -> None:
    """Have the volume looked at for the models, unless that was done a moment ago."""
    volume = parts.volume
    if volume is None or parts.looks.age_s(subject) < LOOK_EVERY_S:
        return

    async def look(_state: OpenQuestion) -> None:
        found = await volume.models()
        await asyncio.to_thread(parts.models.learn_files, found)

    parts.looks.start(subject, look)


def card(parts: ConsoleParts, path: str) -> Question:
    """Return the question what is known of a model."""

    async def ask(state: OpenQuestion) -> None:
        told = await parts.calls.call("describe_model", on_job=state.on_job, model=path, sha256=False)
        await asyncio.to_thread(parts.models.learn_card, told)

    return ask


def edit(parts: ConsoleParts, path: str, notes: Mapping[str, Any]) -> Question:
    """Return the request to change what people wrote about a model; an empty text or list removes a field."""

    async def ask(state: OpenQuestion) -> None:
        told = await parts.calls.call("edit_model", on_job=state.on_job, model=path, **notes)
        await asyncio.to_thread(parts.models.learn_card, told)

    return ask


def publishing(parts: ConsoleParts, path: str, fields: Mapping[str, Any]) -> Question:
    """Return the request to publish a model on the Hub, which lasts until it is there."""

    async def ask(state: OpenQuestion) -> None:
        state.answer = await parts.calls.call("publish_model", on_job=state.on_job, model=path, **fields)

    return ask


def deletion(parts: ConsoleParts, path: str) -> Question:
    """Return the request to delete a model and its card."""

    async def ask(state: OpenQuestion) -> None:
        state.answer = await parts.calls.call("delete", on_job=state.on_job, model=path)
        await asyncio.to_thread(parts.models.forget, path)

    return ask


def making(parts: ConsoleParts, action: str, fields: Mapping[str, Any]) -> Question:
    """Return the request to make a new LoRA, which lasts until it is there."""

    async def ask(state: OpenQuestion) -> None:
        job, process = await parts.calls.begin(action, on_job=state.on_job, **fields)
        async for now in until_its_end(parts, job, process):
            process = now
            progress = now.get("progress") or {}
            state.done, state.total = progress.get("step") or 0, progress.get("total_steps") or 0
            state.answer = {name: now[name] for name in _SHOWN if name in now}
        if process["status"] != "completed":
            failure = process.get("failure") or {}
            raise LorapodError(
                failure.get("message") or f"It ended as {process['status']}.", hint=failure.get("hint") or ""
            )
        await _read_list(parts, OpenQuestion())

    return ask


async def _read_list(parts: ConsoleParts, state: OpenQuestion) -> None:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await parts.calls.call("list_models", on_job=state.on_job, cursor=cursor)
        found += page["models"]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    await asyncio.to_thread(parts.models.learn_list, found)
