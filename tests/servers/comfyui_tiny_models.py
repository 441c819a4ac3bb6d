"""A custom node for a real ComfyUI: tiny base models of random weights, built from ComfyUI's own classes.

Copied into `custom_nodes` by tests. Its LoRAs go through ComfyUI's own loader, and its images through its own sampler.
"""

from __future__ import annotations

from typing import Any

import comfy.model_patcher  # type: ignore[import-not-found]
import comfy.supported_models  # type: ignore[import-not-found]
import torch

_SD1 = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "num_heads": 8,
    "num_head_channels": -1,
    "use_spatial_transformer": True,
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "use_linear_in_transformer": False,
    "adm_in_channels": None,
    "use_temporal_attention": False,
}
_FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "vec_in_dim": 768,
    "context_in_dim": 768,
    "hidden_size": 64,
    "mlp_ratio": 4.0,
    "num_heads": 2,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [8, 12, 12],
    "theta": 10_000,
    "qkv_bias": True,
    "guidance_embed": False,
}
_MODELS = {"sd1": ("SD15", _SD1), "flux": ("Flux", _FLUX)}


class TinyModel:
    """A base model, and a conditioning that fits it."""

    INPUT_TYPES = classmethod(lambda _cls: {"required": {"arch": (list(_MODELS),)}})
    RETURN_TYPES = ("MODEL", "CONDITIONING")
    FUNCTION = "make"
    CATEGORY = "test"

    def make(self, arch: str) -> tuple[Any, Any]:
        name, config = _MODELS[arch]
        random = torch.Generator().manual_seed(0)
        model = getattr(comfy.supported_models, name)(dict(config)).get_model({}, "", device="cpu").float()
        for parameter in model.diffusion_model.parameters():
            value = torch.randn(parameter.shape, generator=random) * 0.1
            parameter.data.copy_(value if parameter.ndim > 1 else value + 1)
        device = torch.device("cpu")
        patcher = comfy.model_patcher.ModelPatcher(model, load_device=device, offload_device=device)
        words = torch.randn(1, 8, 768, generator=random)
        return patcher, [[words, {"pooled_output": torch.randn(1, 768, generator=random)}]]


class TinyDecode:
    """The first three channels of a latent, as an image."""

    INPUT_TYPES = classmethod(lambda _cls: {"required": {"samples": ("LATENT",)}})
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "decode"
    CATEGORY = "test"

    def decode(self, samples: dict[str, Any]) -> tuple[Any]:
        latent = samples["samples"][:, :3].movedim(1, -1)
        return (torch.sigmoid(latent),)


NODE_CLASS_MAPPINGS = {"TinyModel": TinyModel, "TinyDecode": TinyDecode}
