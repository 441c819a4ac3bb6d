"""The client's side of a generation: its request, and the files of its answer."""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.client import download
from lorapod.client.errors import EndpointError
from lorapod.client.queue import QueueClient

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


def request_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the request; files on this machine are sent as base64.

    Raises:
        OSError: a file cannot be read.
    """
    made = dict(fields)
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


def save_files(client: QueueClient, answer: Mapping[str, Any], to: Path) -> GeneratedFiles:
    """Save all files of an answer in the folder `to`.

    Raises:
        EndpointError: the answer is not one of `generate`.
        TransferFailed: a file could not be downloaded.
        OSError: a file cannot be written.
    """
    to.mkdir(parents=True, exist_ok=True)
    try:
        files = list(_save(client, answer, to))
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
        raise EndpointError(f"The worker's answer to generate lacks {error}.") from error


def _save(client: QueueClient, answer: Mapping[str, Any], to: Path) -> Iterator[Path]:
    for output in (output for kind in _KINDS for output in answer[kind]):
        # Only the last part of the name: the answer must not choose the folder.
        target = to / Path(output["filename"]).name
        if target.exists():
            target = to / f"{answer['process_id']}-{target.name}"
        if "data" in output:
            part = target.with_name(f".{target.name}.part")
            part.write_bytes(base64.b64decode(output["data"]))
            part.replace(target)
            yield target
        else:
            yield download.download(client, output["path"], target)


def _without_bytes(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [{key: one[key] for key in one if key != "data"} for one in value] if name in _KINDS else value
        for name, value in answer.items()
    }
