"""LoRAs of random weights, under the names of several programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Modules of a UNet as diffusers calls them: outputs and inputs, and the kernel of a convolution.
SD_MODULES: Mapping[str, Sequence[int]] = {
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": (8, 8),
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0": (8, 8),
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": (8, 768),
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj": (64, 8),
    "unet.down_blocks.0.attentions.0.proj_in": (8, 8, 1, 1),
    "unet.down_blocks.0.resnets.0.conv1": (8, 8, 3, 3),
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj": (8, 8),
    "text_encoder.text_model.encoder.layers.0.mlp.fc1": (32, 8),
}
#: One block of two streams and one of one stream, of FLUX.1's real widths.
FLUX_MODULES: Mapping[str, Sequence[int]] = {
    "transformer.transformer_blocks.3.attn.to_q": (3072, 3072),
    "transformer.transformer_blocks.3.attn.to_k": (3072, 3072),
    "transformer.transformer_blocks.3.attn.to_v": (3072, 3072),
    "transformer.transformer_blocks.3.attn.to_out.0": (3072, 3072),
    "transformer.transformer_blocks.3.attn.add_k_proj": (3072, 3072),
    "transformer.transformer_blocks.3.ff.net.0.proj": (12288, 3072),
    "transformer.single_transformer_blocks.5.attn.to_q": (3072, 3072),
    "transformer.single_transformer_blocks.5.attn.to_k": (3072, 3072),
    "transformer.single_transformer_blocks.5.attn.to_v": (3072, 3072),
    "transformer.single_transformer_blocks.5.proj_mlp": (12288, 3072),
    "transformer.single_transformer_blocks.5.proj_out": (3072, 15360),
}
WAN_MODULES: Mapping[str, Sequence[int]] = {
    f"diffusion_model.blocks.{block}.{name}": size
    for block in range(2)
    for name, size in {"self_attn.q": (16, 16), "cross_attn.o": (16, 16), "ffn.0": (32, 16)}.items()
}


def lora_tensors(
    modules: Mapping[str, Sequence[int]] = SD_MODULES,
    *,
    rank: int = 4,
    seed: int = 0,
    dtype: str = "float32",
    alpha: float | None = None,
    kohya: bool = False,
    ends: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """Tensors under diffusers' names, or with `kohya` under kohya's; `alpha` scales them."""
    import torch

    random = torch.Generator().manual_seed(seed)
    down_end, up_end = ends or (
        (".lora_down.weight", ".lora_up.weight") if kohya else (".lora_A.weight", ".lora_B.weight")
    )
    tensors: dict[str, Any] = {}
    for module, (outputs, inputs, *kernel) in modules.items():
        name = kohya_name(module) if kohya else module
        down = torch.randn(rank, inputs, *kernel, generator=random) * 0.1
        up = torch.randn(outputs, rank, *[1 for _ in kernel], generator=random) * 0.1
        tensors[f"{name}{down_end}"] = down.to(getattr(torch, dtype))
        tensors[f"{name}{up_end}"] = up.to(getattr(torch, dtype))
        if alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
    return tensors


def kohya_name(module: str) -> str:
    """Kohya's name of a module of Stable Diffusion."""
    component, _, inner = module.partition(".")
    prefix = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}[component]
    return f"{prefix}_{inner.replace('.', '_')}"


def put_lora(path: Path, tensors: Mapping[str, Any], **metadata: str) -> Path:
    """Write a LoRA, with the folders that it needs."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path, metadata or None)
    return path


def changes_of(path: Path, *, only: str = "") -> dict[str, Any]:
    """What each module's weight changes by, under the file's names; `only` is a part of the names wanted."""
    from lorapod.lora_tools.child.lora import LoraFile

    lora = LoraFile.of_file(path)
    found = {}
    for module in (name for name in lora.modules if only in name):
        factors = lora.factors(module)
        down, up = factors.flat()
        found[module] = up @ down * factors.scale
    return found
