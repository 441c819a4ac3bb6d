"""Resolve a request into a generation: choose the seed, find the LoRAs, fetch the input image."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lorapod.datasets.base64_content import decoded, decoded_size_bytes
from lorapod.engines.port import Generation, LoraUse
from lorapod.errors import InvalidInput, NotFound, TooLarge
from lorapod.kinds import is_hidden
from lorapod.processes import artifacts
from lorapod.processes.record import ProcessRecord
from lorapod.safety.fetch import Fetcher, FetchLimits
from lorapod.safety.images import suffix_by_content, verify
from lorapod.thread_pools import FILES
from lorapod.trainers.config_text import parse_config
from lorapod.wire.generation import ANY_SEED, GenerateRequest, LoraRef
from lorapod.workspace import Workspace

#: Chosen seeds fit the numbers of every language that reads the answer.
_SEED_BITS = 32

#: Fields that the engine gets unchanged.
_PLAIN = (
    "negative_prompt",
    "width",
    "height",
    "steps",
    "guidance_scale",
    "num_images",
    "model",
    "strength",
    "length",
    "workflow",
    "params",
    "comfy_org_api_key",
)


#: Largest input image: 64 million pixels as PNG are rarely more.
MAX_BYTES = 100_000_000
#: The caller waits for the download of the input image.
FETCH_LIMITS = FetchLimits(max_bytes=MAX_BYTES, keep_free_bytes=0, idle_s=20, total_s=120, attempts=3)
_NAME = "image"


def resolve(
    request: GenerateRequest,
    *,
    image: Path | None,
    workspace: Workspace,
    find: Callable[[str], ProcessRecord],
    max_config_bytes: int,
) -> Generation:
    """Return the generation that a request asks for, without its process id and folders.

    Args:
        request: as it came.
        image: the input image.
        workspace: the place of the LoRAs.
        find: finds the record of a training.
        max_config_bytes: bound of a config's text.

    Raises:
        InvalidInput: it says nothing to generate, or something impossible.
        NotFound: a LoRA is not there.
        UnsafePath: a path leads outside the workspace.
    """
    if not any((request.prompt, request.config, request.workflow, request.comfyui_workflow_name)):
        raise InvalidInput(
            "There is nothing to generate.", hint="Give a prompt, or a workflow, or an AI Toolkit config."
        )
    if request.strength is not None and image is None:
        raise InvalidInput("strength: goes with an image.")
    config: Mapping[str, Any] | None = None
    if request.config is not None:
        config = parse_config(request.config, max_bytes=max_config_bytes)
    seed = None if request.seed == ANY_SEED else request.seed
    return Generation(
        process_id="",
        prompt=request.prompt or "",
        seed=secrets.randbits(_SEED_BITS) if seed is None else seed,
        # -1 asks for one to be chosen.
        seed_given=request.seed is not None,
        loras=tuple(_lora(each, workspace, find) for each in request.loras),
        image=image,
        workflow_name=request.comfyui_workflow_name,
        config=config,
        folder=Path(),
        scratch=Path(),
        **{name: getattr(request, name) for name in _PLAIN},
    )


def _lora(asked: LoraRef, workspace: Workspace, find: Callable[[str], ProcessRecord]) -> LoraUse:
    if asked.process_id is not None:
        path = _trained(find(asked.process_id), workspace)
    else:
        assert asked.path is not None
        path = workspace.safe_path(asked.path)
        if not path.is_file() or any(is_hidden(part) for part in path.relative_to(workspace.root).parts):
            raise NotFound(f"There is no LoRA {asked.path}.", hint="`lora` lists those that are there.")
    if path.suffix != ".safetensors":
        raise InvalidInput(f"{path.name} is not a LoRA: it must be a .safetensors file.")
    return LoraUse(path=path, weight=asked.weight, name=path.stem)


def _trained(record: ProcessRecord, workspace: Workspace) -> Path:
    """Return the final weights of a training, else its newest checkpoint."""
    saved = artifacts.checkpoints(record.run_folder(workspace), record.name) if record.trainer else []
    if not saved:
        raise NotFound(
            f"The process {record.process_id} has no weights yet.",
            hint="`process_status` shows what it has written.",
        )
    return saved[-1].path


async def fetch_input_image(text: str, folder: Path, *, allow_private: bool) -> Path:
    """Fetch or decode an input image into a new folder below `folder`, which the caller removes.

    Args:
        text: base64, a data URI, or an http(s) URL.
        folder: on local disk.
        allow_private: whether URLs in private networks may be fetched.

    Raises:
        InvalidInput: it is not an image that can be read.
        TooLarge: it has too many bytes or pixels.
        WorkerError: it cannot be fetched.
        OSError: the disk failed.
    """
    own = folder / secrets.token_hex(8)
    target = own / _NAME
    try:
        await FILES.run(own.mkdir, parents=True)
        if text[:8].lower().startswith(("http://", "https://")):
            async with Fetcher(allow_private=allow_private, limits=FETCH_LIMITS) as fetcher:
                await fetcher.fetch(text, target)
        else:
            await FILES.run(_write, text, target)
        return await FILES.run(_verified, target)
    except BaseException:
        await FILES.run(shutil.rmtree, own, ignore_errors=True)
        raise


def _write(text: str, target: Path) -> None:
    if decoded_size_bytes(text) > MAX_BYTES:
        raise TooLarge(f"{_NAME}: {MAX_BYTES} bytes are the most.")
    with target.open("wb") as file:
        for piece in decoded(text, name=_NAME):
            file.write(piece)


def _verified(path: Path) -> Path:
    suffix = suffix_by_content(path)
    if suffix is None:
        raise InvalidInput(f"{_NAME}: is not an image.", hint="Send JPEG, PNG or WebP.")
    named = path.rename(path.with_suffix(suffix))
    verify(named, name=named.name)
    return named
