"""The client's side of a generation: its request, and the files of its answer."""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lorapod.client.download import PathLike
from lorapod.client.errors import UnexpectedAnswer
from lorapod.client.following import OnProgress, on_update
from lorapod.client.worker_calls import WorkerCalls

#: How long a generation may run, its wait for the GPU included; RunPod's own default of 600 s is short for a video.
EXECUTION_TIMEOUT_S = 3600.0

#: Fields of the request that hold a file, and lists of files by name with the field of each entry.
_FILES = ("image", "mask", "video", "audio")
_LISTS = {"images": "image", "videos": "video", "audios": "audio"}

_KINDS = ("images", "videos", "other")


@dataclass(frozen=True, kw_only=True)
class GeneratedFiles:
    """The files of a generation."""

    process_id: str
    engine: str
    #: Seed of the first image.
    seed: int | None
    #: The files on this machine: images, videos, then the rest.
    files: Sequence[Path]
    warnings: Sequence[str]
    #: Seconds by part of the work.
    timings: Mapping[str, float]
    #: The worker's whole answer, without the bytes of the files.
    answer: Mapping[str, Any]


async def generate(
    calls: WorkerCalls,
    prompt: str | None,
    *,
    to: PathLike,
    execution_timeout_s: float,
    on_progress: OnProgress | None,
    fields: Mapping[str, Any],
) -> GeneratedFiles:
    """Have a worker generate images or videos, and save them in the folder `to`.

    Raises:
        JobFailed: the worker could not generate them.
        LocalFileError: a file cannot be read or written here; or another `LorapodError`.
    """
    request = await calls.runtime.with_files(lambda: request_fields({"prompt": prompt, **fields}))
    answer = await calls.call(
        "generate",
        policy={"executionTimeout": int(execution_timeout_s * 1000)},
        on_update=on_update(on_progress),
        **request,
    )
    return await save_files(calls, answer, to)


def request_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the request; files on this machine are sent as base64.

    Raises:
        LocalFileError: a file cannot be read.
    """
    made = dict(fields)
    if "delivery" in made:
        made["return"] = made.pop("delivery")  # the API's name for it, which cannot be a keyword of Python
    for name in _FILES:
        made[name] = _sent(made.get(name))
    for listed, name in _LISTS.items():
        if made.get(listed):
            made[listed] = [_named(each, name) for each in made[listed]]
    # With a key, a request may be sent again even if the first attempt may have arrived.
    return {"idempotency_key": uuid.uuid4().hex, **made, "wait": True}


def _sent(content: Any) -> Any:
    if isinstance(content, os.PathLike):
        return base64.b64encode(Path(content).read_bytes()).decode("ascii")
    return content


def _named(each: Any, name: str) -> Any:
    """Return an entry of a list; a path gets the name of its file."""
    if isinstance(each, os.PathLike):
        return {"name": Path(each).name, name: _sent(each)}
    return {**each, name: _sent(each.get(name))}


async def save_files(calls: WorkerCalls, answer: Mapping[str, Any], to: PathLike) -> GeneratedFiles:
    """Save all files of an answer in the folder `to`.

    Raises:
        UnexpectedAnswer: the answer is not one of `generate`.
        TransferFailed: a file could not be downloaded.
        LocalFileError: a file cannot be written.
    """
    folder = Path(to)
    await calls.runtime.with_files(lambda: folder.mkdir(parents=True, exist_ok=True))
    try:
        outputs = [output for kind in _KINDS for output in answer[kind]]
        files = [await _save(calls, output, answer["process_id"], folder) for output in outputs]
        return GeneratedFiles(
            process_id=answer["process_id"],
            engine=answer["engine"],
            seed=answer.get("seed"),
            files=files,
            warnings=answer["warnings"],
            timings=answer["timings"],
            answer=_without_bytes(answer),
        )
    except KeyError as error:
        raise UnexpectedAnswer(f"The worker's answer to generate lacks {error}.") from error


async def _save(calls: WorkerCalls, output: Mapping[str, Any], process_id: str, to: Path) -> Path:
    # Only the last part of the name: the answer must not choose the folder.
    target = to / Path(output["filename"]).name
    if await calls.runtime.with_files(target.exists):
        target = to / f"{process_id}-{target.name}"
    if "data" not in output:
        return await calls.download(output["path"], target)
    await calls.runtime.with_files(partial(_write, target, output["data"]))
    return target


def _write(target: Path, data: str) -> None:
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(base64.b64decode(data))
    part.replace(target)


def _without_bytes(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [{key: one[key] for key in one if key != "data"} for one in value] if name in _KINDS else value
        for name, value in answer.items()
    }
