"""A model in diffusers' layout as the single file that Stable Diffusion 1.x came as."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_UNET = (
    (r"time_embedding\.linear_1", "time_embed.0"),
    (r"time_embedding\.linear_2", "time_embed.2"),
    (r"conv_in", "input_blocks.0.0"),
    (r"conv_norm_out", "out.0"),
    (r"conv_out", "out.2"),
    (r"down_blocks\.0\.resnets\.0", "input_blocks.1.0"),
    (r"down_blocks\.0\.attentions\.0", "input_blocks.1.1"),
    (r"mid_block\.resnets\.0", "middle_block.0"),
    (r"mid_block\.attentions\.0", "middle_block.1"),
    (r"mid_block\.resnets\.1", "middle_block.2"),
    (r"up_blocks\.0\.resnets\.(\d)", r"output_blocks.\1.0"),
    (r"up_blocks\.0\.attentions\.(\d)", r"output_blocks.\1.1"),
)
_VAE = (
    (r"conv_norm_out", "norm_out"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.upsamplers\.0", r"up.\1.upsample"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", r"up.\1.block.\2"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_(\w)", r"mid.attn_1.\1"),
    (r"conv_shortcut", "nin_shortcut"),
)


def write_single_file(model: Path, path: Path) -> Path:
    """The weights of the tiny model at `model`, in one file at `path`."""
    from safetensors.numpy import load_file, save_file

    def part(name: str) -> dict[str, Any]:
        return dict(load_file(next((model / name).glob("*.safetensors"))))

    tensors = {f"model.diffusion_model.{_unet(name)}": tensor for name, tensor in part("unet").items()}
    tensors |= {f"first_stage_model.{_vae(name)}": tensor for name, tensor in part("vae").items()}
    for name, tensor in part("text_encoder").items():
        tensors[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def _unet(name: str) -> str:
    if ".resnets." in name:
        for inner, outer in _RESNET.items():
            name = name.replace(f".{inner}.", f".{outer}.")
    return _renamed(name, _UNET, whole=True)


def _vae(name: str) -> str:
    name = _renamed(name, _VAE, whole=False)
    # Its decoder's blocks are counted from the other end.
    return re.sub(r"decoder\.up\.(\d)", lambda found: f"decoder.up.{3 - int(found[1])}", name)


def _renamed(name: str, rules: tuple[tuple[str, str], ...], *, whole: bool) -> str:
    for pattern, replacement in rules:
        if whole and re.match(rf"{pattern}\.", name):
            return re.sub(rf"^{pattern}\.", f"{replacement}.", name)
        if not whole:
            name = re.sub(pattern, replacement, name)
    return name
