"""The questions about datasets that a worker answers: what is in one, changes to it, captions, its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from lorapod.client.console.dataset_pictures import with_small_pictures
from lorapod.client.console.following import until_its_end
from lorapod.client.console.open_questions import OpenQuestion, Question
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.questions import LOOK_EVERY_S
from lorapod.client.errors import LorapodError
from lorapod.client.upload import UploadProgress

#: Side of the small images: large enough to caption by.
THUMBNAIL_PX: Final = 384
_PAGE_ITEMS: Final = 1000
_RESOLUTION: Final = 1024
#: Between two looks at the captions that have arrived.
_CAPTIONS_EVERY_S: Final = 3.0


def list_of_datasets(parts: ConsoleParts) -> Question:
    """Return the question which datasets there are."""

    async def ask(state: OpenQuestion) -> None:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await parts.calls.call("datasets", on_job=state.on_job, cursor=cursor, limit=_PAGE_ITEMS)
            found += page["datasets"]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        await asyncio.to_thread(parts.datasets.learn_list, found)

    return ask


def look_at_list(parts: ConsoleParts, subject: str) -> None:
    """Have the volume looked at for the list of datasets, unless that was done a moment ago."""
    volume = parts.volume
    if volume is None or parts.looks.age_s(subject) < LOOK_EVERY_S:
        return

    async def look(_state: OpenQuestion) -> None:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await volume.answer("datasets", limit=_PAGE_ITEMS, cursor=cursor)
            found += page["datasets"]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        await asyncio.to_thread(parts.datasets.learn_list, found)

    parts.looks.start(subject, look)


def look_at_dataset(parts: ConsoleParts, name: str, subject: str) -> None:
    """Have the volume looked at for a dataset that no worker was asked about: its captions, and what images there are."""
    volume, known = parts.volume, parts.datasets.contents(name)
    if volume is None or parts.looks.age_s(subject) < LOOK_EVERY_S or (known is not None and known["whole"]):
        return

    async def look(_state: OpenQuestion) -> None:
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page, kept = await volume.dataset_page(
                name, limit=_PAGE_ITEMS, cursor=cursor, thumbnail_px=THUMBNAIL_PX
            )
            items += await with_small_pictures(parts, volume, page["items"], kept, THUMBNAIL_PX)
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        # A volume has no empty folders: a name without a file is no dataset.
        newest = parts.datasets.contents(name)
        if page["total_bytes"] and not (newest is not None and newest["whole"]):
            await asyncio.to_thread(parts.datasets.learn_items, name, page, items, whole=False)

    parts.looks.start(subject, look)


def dataset(parts: ConsoleParts, name: str, *, resolution: list[int] | None = None) -> Question:
    """Return the question what is in a dataset."""

    async def ask(state: OpenQuestion) -> None:
        await _read(parts, state, name, pictures=True, resolution=resolution)

    return ask


def edit(parts: ConsoleParts, name: str, fields: Mapping[str, Any]) -> Question:
    """Return the request to change a dataset, or only to say what would change (`dry_run`)."""

    async def ask(state: OpenQuestion) -> None:
        answer = await parts.calls.call("edit_dataset", on_job=state.on_job, training_name=name, **fields)
        state.answer = answer
        if not answer.get("dry_run"):
            edit_id = None if "undo" in fields else answer.get("edit_id")
            await asyncio.to_thread(parts.datasets.note_edit, name, edit_id)
            await _read(parts, state, name, pictures=False)

    return ask


def deletion(parts: ConsoleParts, name: str) -> Question:
    """Return the request to delete a dataset."""

    async def ask(state: OpenQuestion) -> None:
        state.answer = await parts.calls.call("delete", on_job=state.on_job, training_name=name)
        await asyncio.to_thread(parts.datasets.forget, name)

    return ask


class UploadStopped(LorapodError):
    """The console was closed during an upload."""


def upload(parts: ConsoleParts, name: str, *, trigger_word: str | None, fix: bool) -> Question:
    """Return the request to send what was dropped for a dataset, followed by the question what is in it."""

    async def ask(state: OpenQuestion) -> None:
        closed = False

        def note(progress: UploadProgress) -> None:
            if closed:
                raise UploadStopped(
                    "The console was closed in the middle of the upload: send it again from its page."
                )
            state.done, state.total = progress.sent_bytes, progress.total_bytes

        try:
            uploaded = await parts.calls.upload(
                parts.uploads.folder(name), name, trigger_word=trigger_word, fix=fix, on_progress=note
            )
        except FileNotFoundError as error:
            raise LorapodError(str(error)) from error
        except asyncio.CancelledError:
            closed = True
            raise
        state.answer = {
            "images": uploaded.images,
            "videos": uploaded.videos,
            "captions": uploaded.captions,
            "rejected": uploaded.as_json()["rejected"],
            "warnings": list(uploaded.warnings),
            "renamed": dict(uploaded.renamed),
        }
        await asyncio.to_thread(parts.uploads.discard, name)
        await _read(parts, OpenQuestion(), name, pictures=True)

    return ask


def captioning(parts: ConsoleParts, name: str, fields: Mapping[str, Any]) -> Question:
    """Return the request to caption a dataset, which lasts until the captioner ends; captions are read as they come."""

    async def ask(state: OpenQuestion) -> None:
        job, process = await parts.calls.begin(
            "caption_dataset", on_job=state.on_job, training_name=name, **fields
        )
        read_at, read_step = time.monotonic(), 0
        async for now in until_its_end(parts, job, process):
            process = now
            _show(state, process)
            if state.done > read_step and time.monotonic() - read_at >= _CAPTIONS_EVERY_S:
                read_at, read_step = time.monotonic(), state.done
                await _read(parts, OpenQuestion(), name, pictures=False)
        await asyncio.to_thread(parts.processes.learn, process, whole=True)
        await _read(parts, OpenQuestion(), name, pictures=False)

    return ask


def _show(state: OpenQuestion, process: Mapping[str, Any]) -> None:
    progress = process.get("progress") or {}
    state.done, state.total = progress.get("step") or 0, progress.get("total_steps") or 0
    shown = ("process_id", "status", "failure", "outcome", "warnings")
    state.answer = {field: process[field] for field in shown if field in process}


async def _read(
    parts: ConsoleParts,
    state: OpenQuestion,
    name: str,
    *,
    pictures: bool,
    resolution: list[int] | None = None,
) -> None:
    """Read a dataset page by page; what comes first is shown at once if nothing is known yet."""
    known = await asyncio.to_thread(parts.datasets.contents, name)
    if resolution is None:
        resolution = (known or {}).get("page", {}).get("resolution") or [_RESOLUTION]
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await parts.calls.call(
            "dataset",
            on_job=state.on_job,
            training_name=name,
            thumbnail_px=THUMBNAIL_PX if pictures else 0,
            resolution=resolution,
            limit=_PAGE_ITEMS,
            cursor=cursor,
        )
        items += await asyncio.to_thread(_with_pictures, parts, name, page["items"])
        cursor = page.get("next_cursor")
        state.done, state.total = len(items), page["images"] + page["videos"]
        if cursor is None or known is None:
            told = {**page, "resolution": resolution}
            await asyncio.to_thread(parts.datasets.learn_items, name, told, items, whole=cursor is None)
        if cursor is None:
            break
    if not pictures and any(item["picture"] is None and item["kind"] == "image" for item in items):
        await _read(parts, state, name, pictures=True, resolution=resolution)


def _with_pictures(parts: ConsoleParts, name: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **{field: value for field, value in item.items() if field not in {"thumbnail", "path"}},
            "picture": parts.datasets.keep_picture(name, item["name"], item.get("thumbnail")),
        }
        for item in items
    ]
