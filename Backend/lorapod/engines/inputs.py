"""The files of a request that a generation starts from: fetched, checked, converted, each in its own place."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lorapod.datasets.base64_content import decoded, decoded_size_bytes
from lorapod.engines.port import Generation
from lorapod.errors import (
    InsufficientStorage,
    InvalidInput,
    NotFound,
    TooLarge,
    Unsupported,
    WorkerError,
    error_of,
)
from lorapod.files.image_header import image_header
from lorapod.kinds import is_hidden
from lorapod.library_errors import DISK_FULL
from lorapod.safety.conversion import as_input_image
from lorapod.safety.fetch import Fetcher, FetchLimits
from lorapod.safety.media import MediaKind, media_by_content
from lorapod.thread_pools import FILES
from lorapod.wire.generation import GenerateRequest
from lorapod.workspace import PATH_MAX_BYTES, Workspace

#: Largest input file: 64 million pixels as PNG are rarely more, and ComfyUI takes no larger upload.
MAX_BYTES = 100_000_000
#: All input files of one request together.
TOTAL_MAX_BYTES = 500_000_000
#: The caller waits for the download of the inputs.
FETCH_LIMITS = FetchLimits(max_bytes=MAX_BYTES, keep_free_bytes=0, idle_s=20, total_s=120, attempts=3)
#: Inputs that are fetched at a time.
_AT_ONCE = 4

#: Problems that a message has; `details` has all.
_SHOWN = 3

_IMAGE = "image"
_SUFFIX = re.compile(r"\.\w{1,12}\s*$", re.ASCII)
_URL = ("http://", "https://")
_SINGLE = {"image": _IMAGE, "mask": _IMAGE, "video": MediaKind.VIDEO.value, "audio": MediaKind.AUDIO.value}

_MEDIA_HINTS = {
    MediaKind.VIDEO.value: "Send MP4, MOV, WebM, MKV, AVI or GIF.",
    MediaKind.AUDIO.value: "Send WAV, FLAC, MP3, OGG, M4A or AAC.",
}


@dataclass(frozen=True, kw_only=True)
class ReceivedInputs:
    """The input files of one request, on local disk."""

    #: Everything is below it; the caller removes it. None: there is no input.
    folder: Path | None = None
    #: Of the fields `image`, `mask`, `video` and `audio`.
    single: Mapping[str, Path] = field(default_factory=dict)
    #: By the name that the workflow has.
    named: Mapping[str, Path] = field(default_factory=dict)
    #: A sentence for each file that was changed.
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class _Sent:
    """One file as a request holds it."""

    #: Its place in the request.
    field: str
    text: str
    #: `image`, `video` or `audio`.
    kind: str
    #: The name that a workflow has; None: a field names it.
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Received:
    path: Path
    warning: str | None = None


async def receive_inputs(
    request: GenerateRequest, folder: Path, *, workspace: Workspace, allow_private: bool
) -> ReceivedInputs:
    """Bring all input files of a request into a new folder below `folder`, or none.

    Args:
        request: as it came.
        folder: on local disk.
        workspace: the place of files that are named by their path.
        allow_private: whether URLs in private networks may be fetched.

    Raises:
        InvalidInput: a file is not what its field says, or is damaged; `details` has each such file.
        TooLarge: a file has too many bytes or pixels.
        InsufficientStorage: the local disk is full.
        WorkerError: a file cannot be fetched, or is not there.
        OSError: the disk failed.
    """
    every = list(_sent(request))
    if not every:
        return ReceivedInputs()
    own = folder / secrets.token_hex(8)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def receive(sent: _Sent, number: int) -> _Received:
        async with turns:
            return await _receive(sent, own / str(number), workspace=workspace, allow_private=allow_private)

    try:
        found = await _all([receive(sent, number) for number, sent in enumerate(every, 1)])
        total_bytes = await FILES.run(lambda: sum(made.path.stat().st_size for made in found))
        if total_bytes > TOTAL_MAX_BYTES:
            raise TooLarge(
                f"The input files have {total_bytes} bytes altogether; {TOTAL_MAX_BYTES} are the most."
            )
    except BaseException as error:
        await FILES.run(shutil.rmtree, own, ignore_errors=True)
        if isinstance(error, InsufficientStorage) or (
            isinstance(error, OSError) and error.errno in DISK_FULL
        ):
            raise InsufficientStorage(
                "The worker's local disk has no room for the input files.",
                hint="Give the endpoint a larger container disk, or set SCRATCH_PATH to a folder with more room.",
            ) from error
        raise
    pairs = list(zip(every, found, strict=True))
    return ReceivedInputs(
        folder=own,
        single={sent.field: made.path for sent, made in pairs if sent.name is None},
        named={sent.name: made.path for sent, made in pairs if sent.name is not None},
        warnings=[made.warning for made in found if made.warning is not None],
    )


def refuse_inputs(generation: Generation, engine: str, *, takes: frozenset[str] = frozenset()) -> None:
    """Refuse the input files that an engine has no use for.

    Args:
        generation: what is asked for.
        engine: its name.
        takes: the fields of a request that it uses, beside `image`.

    Raises:
        Unsupported: there is such a file.
    """
    there = {
        "mask": generation.mask,
        "video": generation.video,
        "audio": generation.audio,
        "images": generation.named_inputs,
    }
    for name, value in there.items():
        if value and name not in takes:
            what = "input files by name (images, videos, audios)" if name == "images" else name
            raise Unsupported(
                f"The engine {engine} takes no {what}.",
                hint="Use the engine comfyui with a workflow"
                + (", or send one image as `image`." if name == "images" else "."),
            )


def _sent(request: GenerateRequest) -> Iterator[_Sent]:
    for name, kind in _SINGLE.items():
        if (text := getattr(request, name)) is not None:
            yield _Sent(field=name, text=text, kind=kind)
    for list_name, field_name in (("images", "image"), ("videos", "video"), ("audios", "audio")):
        for number, each in enumerate(getattr(request, list_name)):
            yield _Sent(
                field=f"{list_name}.{number} ({each.name})",
                text=getattr(each, field_name),
                kind=_SINGLE[field_name],
                name=each.name,
            )


ResultT = TypeVar("ResultT")


async def _all(work: Sequence[Coroutine[Any, Any, ResultT]]) -> list[ResultT]:
    """Do all of it; if some of it fails, tell every failure.

    Raises:
        WorkerError: the first one, with an entry for each in `details`.
        OSError: the disk failed.
    """
    done = await asyncio.gather(*work, return_exceptions=True)
    problems = [result for result in done if isinstance(result, WorkerError)]
    for result in done:
        if isinstance(result, BaseException) and not isinstance(result, WorkerError):
            raise result
    if len(problems) == 1:
        raise problems[0]
    if problems:
        first = problems[0]
        raise error_of(
            first.code,
            " ".join(problem.message for problem in problems[:_SHOWN])
            + (f" And {len(problems) - _SHOWN} more." if len(problems) > _SHOWN else ""),
            hint=first.hint,
            details=[detail for problem in problems for detail in problem.details],
        )
    return [result for result in done if not isinstance(result, BaseException)]


async def _receive(sent: _Sent, folder: Path, *, workspace: Workspace, allow_private: bool) -> _Received:
    target = folder / (sent.name or sent.field)
    text = sent.text.strip()
    try:
        await FILES.run(folder.mkdir, parents=True)
        if text[:8].lower().startswith(_URL):
            async with Fetcher(allow_private=allow_private, limits=FETCH_LIMITS) as fetcher:
                await fetcher.fetch(text, target)
        elif _is_path(text):
            await FILES.run(_copy, text, target, workspace)
        else:
            await FILES.run(_write, text, target, sent.field)
        return await FILES.run(_checked, target, sent)
    except WorkerError as error:
        message = error.message
        if not message.startswith(f"{sent.field}:"):
            message = f"{sent.field}: {message}"
        detail = {"field": sent.field.partition(" ")[0], "error": message}
        raise error_of(error.code, message, hint=error.hint, details=[detail]) from error


def _is_path(text: str) -> bool:
    """Return whether a text names a file: base64 has no dot."""
    return len(text) <= PATH_MAX_BYTES and not text.lower().startswith("data:") and bool(_SUFFIX.search(text))


def _copy(text: str, target: Path, workspace: Workspace) -> None:
    path = workspace.safe_path(text)
    if not path.is_file() or any(is_hidden(part) for part in path.relative_to(workspace.root).parts):
        raise NotFound(
            f"There is no file {text} in the workspace.",
            hint="`list_files` lists those that are there.",
        )
    if path.stat().st_size > MAX_BYTES:
        raise TooLarge(f"{text} has {path.stat().st_size} bytes; {MAX_BYTES} are the most.")
    shutil.copyfile(path, target)


def _write(text: str, target: Path, name: str) -> None:
    if (size_bytes := decoded_size_bytes(text)) > MAX_BYTES:
        raise TooLarge(f"The file has {size_bytes} bytes; {MAX_BYTES} are the most.")
    with target.open("wb") as file:
        for piece in decoded(text, name=name):
            file.write(piece)


def _checked(path: Path, sent: _Sent) -> _Received:
    if not path.stat().st_size:
        raise InvalidInput("The file is empty: 0 bytes.")
    media = media_by_content(path)
    if sent.kind == _IMAGE:
        if media is not None and media.suffix != ".gif":
            # Callers of other handlers send videos and sounds by name in the same list.
            if sent.name is not None:
                return _Received(path=path)
            raise InvalidInput(
                f"The file is {_a(media.kind)}, not an image.", hint=f"Send it as {media.kind}."
            )
        made, warning = as_input_image(path, name=sent.field)
        header = image_header(made) if sent.name is None and warning is None else None
        if header is not None and header.animated:
            warning = f"{sent.field}: only the first of its frames is used."
        return _Received(path=made, warning=warning)
    if media is None or (sent.kind == MediaKind.VIDEO and media.kind is MediaKind.AUDIO):
        raise InvalidInput(f"The file is not {_a(sent.kind)}.", hint=_MEDIA_HINTS[sent.kind])
    if sent.name is None:
        path = path.rename(path.with_suffix(media.suffix))
    return _Received(path=path)


def _a(kind: str) -> str:
    return "a sound" if kind == MediaKind.AUDIO else f"a {kind}"
