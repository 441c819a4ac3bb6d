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
    """Return the fields of the request; an input image on this machine is sent as base64.

    Raises:
        OSError: the image cannot be read.
    """
    image = fields.get("image")
    if isinstance(image, os.PathLike):
        image = base64.b64encode(Path(image).read_bytes()).decode("ascii")
    # With a key, a request may be sent again even if the first attempt may have arrived.
    return {"idempotency_key": uuid.uuid4().hex, **fields, "image": image, "wait": True}


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
