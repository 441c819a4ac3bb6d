"""LoRA files and the optimizer's state, written so that a kill at any moment leaves whole files.

Weights have kohya's names (`lora_unet_<module>.lora_down.weight`, `.lora_up.weight`, `.alpha`), which diffusers,
ComfyUI and others load. The header has `training_info` (step and epoch), `trigger_word`, `name`, and under kohya's keys
rank, alpha and base model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import lorapod
from lorapod.atomic import sync_folder
from lorapod.errors import InvalidInput
from lorapod.trainers.builtin.base_model import DTYPES
from lorapod.trainers.builtin.config import BuiltinConfig
from lorapod.trainers.builtin.run_folder import RunFolder
from lorapod.trainers.builtin.values import Architecture

_BASE_MODEL_VERSIONS = {Architecture.SD1: "sd_v1", Architecture.SDXL: "sdxl_base_v1-0"}
_SPEC_ARCHITECTURES = {
    Architecture.SD1: "stable-diffusion-v1/lora",
    Architecture.SDXL: "stable-diffusion-xl-v1-base/lora",
}
_PEFT_NAMES = {"lora_A": "lora_down", "lora_B": "lora_up"}


def lora_weights(unet: Any) -> dict[str, torch.nn.Parameter]:
    """Return the LoRA's live weights by their names in a file."""
    named = {}
    for place, weight in unet.named_parameters():
        for inner, outer in _PEFT_NAMES.items():
            module, found, _ = place.partition(f".{inner}.")
            if found:
                named[f"lora_unet_{module.replace('.', '_')}.{outer}.weight"] = weight
    return named


def metadata_of(config: BuiltinConfig, *, step: int, epoch: int) -> dict[str, str]:
    """Return the header's metadata of a checkpoint."""
    process = config.process
    trigger = (process.trigger_word or "").strip()
    notes = {
        "format": "pt",
        "name": config.name,
        "software": json.dumps({"name": "lorapod", "version": lorapod.__version__}),
        "training_info": json.dumps({"step": step, "epoch": epoch}),
        "modelspec.architecture": _SPEC_ARCHITECTURES[process.model.arch],
        "ss_base_model_version": _BASE_MODEL_VERSIONS[process.model.arch],
        "ss_sd_model_name": Path(process.model.name_or_path).name,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(process.network.linear),
        "ss_network_alpha": str(process.network.linear_alpha),
        "ss_output_name": config.name,
        "ss_steps": str(step),
    }
    if isinstance(config.meta, Mapping) and "start_from" in config.meta:
        notes["start_from"] = json.dumps(config.meta["start_from"])
    if trigger:
        notes["trigger_word"] = notes["modelspec.trigger_phrase"] = trigger
        notes["ss_tag_frequency"] = json.dumps({f"1_{trigger}": {trigger: 1}})
    return notes


def save_checkpoint(
    path: Path,
    folder: RunFolder,
    *,
    unet: Any,
    config: BuiltinConfig,
    step: int,
    epoch: int,
    state: Mapping[str, Any],
) -> None:
    """Write the LoRA to `path` and the optimizer's state beside it, each by a rename, one right after the other.

    Args:
        path: the LoRA's file.
        folder: the run's folder.
        unet: holds the LoRA.
        config: the whole config.
        step: steps done.
        epoch: epochs done.
        state: the state dicts of everything else that the training changes.

    Raises:
        OSError: the disk is full or not writable; the former files are still there.
    """
    live = lora_weights(unet)
    dtype = DTYPES[config.process.save.dtype]
    tensors = {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in live.items()}
    alpha = torch.tensor(config.process.network.linear_alpha, dtype=dtype)
    tensors |= {f"{name.partition('.')[0]}.alpha": alpha.clone() for name in live}
    exact = {name: weight.detach().cpu() for name, weight in live.items()}
    staged_path, staged_optimizer = _staged(path), _staged(folder.optimizer)
    try:
        save_file(tensors, staged_path, metadata_of(config, step=step, epoch=epoch))
        torch.save({"step": step, "lora": exact, **state}, staged_optimizer)
        for staged in (staged_path, staged_optimizer):
            _sync(staged)
        staged_path.replace(path)
        staged_optimizer.replace(folder.optimizer)
    except BaseException:
        staged_path.unlink(missing_ok=True)
        staged_optimizer.unlink(missing_ok=True)
        raise
    sync_folder(folder.path)


def load_lora(unet: Any, path: Path) -> None:
    """Set the LoRA's weights to those of a file.

    Raises:
        InvalidInput: the file holds a LoRA of another form.
    """
    _set_weights(unet, load_file(path), path)


def load_state(unet: Any, folder: RunFolder, *, step: int) -> dict[str, Any] | None:
    """Set the LoRA's weights in full precision and return the optimizer's state of a step, or None if it is lost."""
    try:
        state: dict[str, Any] = torch.load(folder.optimizer, map_location="cpu", weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError):
        return None
    if state.get("step") != step:
        return None
    _set_weights(unet, state.pop("lora"), folder.optimizer)
    return state


def _set_weights(unet: Any, tensors: Mapping[str, torch.Tensor], source: Path) -> None:
    live = lora_weights(unet)
    given = {name: tensor for name, tensor in tensors.items() if not name.endswith(".alpha")}
    if {name: weight.shape for name, weight in live.items()} != {name: t.shape for name, t in given.items()}:
        raise InvalidInput(
            f"{source.name} holds a LoRA of another form than the config asks for: keep model and rank, or choose "
            "another name."
        )
    with torch.no_grad():
        for name, weight in live.items():
            weight.copy_(given[name])


def _staged(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
