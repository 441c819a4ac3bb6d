"""Resolve a request into a generation: choose the seed, find the LoRAs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorapod.engines.inputs import ReceivedInputs
from lorapod.engines.lora_files import FindRecord, base_model_of, lora_file, newest_weights, training_of
from lorapod.engines.port import Generation, LoraUse
from lorapod.errors import InvalidInput
from lorapod.records.record import ProcessRecord
from lorapod.wire.generation import ANY_SEED, GenerateRequest, LoraRef
from lorapod.workspace import Workspace
from lorapod.yaml_config.text import parse_config

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


def resolve(
    request: GenerateRequest,
    *,
    inputs: ReceivedInputs,
    workspace: Workspace,
    find: FindRecord,
    max_config_bytes: int,
) -> Generation:
    """Return the generation that a request asks for, without its process id and folders.

    Args:
        request: as it came.
        inputs: its input files.
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
    for name in ("strength", "mask"):
        if getattr(request, name) is not None and request.image is None and not request.images:
            raise InvalidInput(f"{name}: goes with an image.")
    config: Mapping[str, Any] | None = None
    if request.config is not None:
        config = parse_config(request.config, max_bytes=max_config_bytes)
    seed = None if request.seed == ANY_SEED else request.seed
    loras = [_lora(each, workspace, find) for each in request.loras]
    return Generation(
        process_id="",
        prompt=request.prompt or "",
        seed=secrets.randbits(_SEED_BITS) if seed is None else seed,
        # -1 asks for one to be chosen.
        seed_given=request.seed is not None,
        loras=tuple(lora for lora, _ in loras),
        trained_on=next((base for _, record in loras if (base := base_model_of(record))), None),
        image=inputs.single.get("image"),
        mask=inputs.single.get("mask"),
        video=inputs.single.get("video"),
        audio=inputs.single.get("audio"),
        named_inputs=inputs.named,
        inputs_folder=inputs.folder,
        workflow_name=request.comfyui_workflow_name,
        config=config,
        folder=Path(),
        scratch=Path(),
        **{name: getattr(request, name) for name in _PLAIN},
    )


def _lora(asked: LoraRef, workspace: Workspace, find: FindRecord) -> tuple[LoraUse, ProcessRecord | None]:
    """Return a LoRA, and the training that made it if that is known."""
    record: ProcessRecord | None
    if asked.process_id is not None:
        record = find(asked.process_id)
        path = newest_weights(record, workspace)
    else:
        assert asked.path is not None
        path = lora_file(asked.path, workspace)
        record = training_of(path, workspace, find)
    return LoraUse(path=path, weight=asked.weight, name=path.stem), record
