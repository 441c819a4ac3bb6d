"""Saves LoRAs of random weights by AI Toolkit's own code: `python toolkit_lora_child.py CHECKOUT FOLDER NAME…`.

It runs with AI Toolkit's Python. Each LoRA is for one or two blocks of a base model, whose own weights are not needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

RANK = 4


def _class(module: str, name: str) -> Any:
    """A class of AI Toolkit's."""
    return getattr(import_module(module), name)


def _stable_diffusion() -> Any:
    """What AI Toolkit runs SD and FLUX.1 with."""
    return _class("toolkit.stable_diffusion_model", "StableDiffusion")


def _flux() -> tuple[Any, list[str], Any]:
    from diffusers import FluxTransformer2DModel

    return (
        FluxTransformer2DModel(num_layers=1, num_single_layers=1),
        ["FluxTransformer2DModel"],
        _stable_diffusion(),
    )


def _qwen_image() -> tuple[Any, list[str], Any]:
    from diffusers import QwenImageTransformer2DModel

    return (
        QwenImageTransformer2DModel(num_layers=1),
        ["QwenImageTransformer2DModel"],
        _class("extensions_built_in.diffusion_models.qwen_image", "QwenImageModel"),
    )


def _zimage() -> tuple[Any, list[str], Any]:
    from diffusers import ZImageTransformer2DModel

    model = ZImageTransformer2DModel(n_layers=1, n_refiner_layers=1)
    return (
        model,
        ["ZImageTransformer2DModel"],
        _class("extensions_built_in.diffusion_models.z_image", "ZImageModel"),
    )


def _wan21() -> tuple[Any, list[str], Any]:
    from diffusers import WanTransformer3DModel

    model = WanTransformer3DModel(num_layers=1, num_attention_heads=12, ffn_dim=8960)
    return model, ["WanTransformer3DModel"], _class("toolkit.models.wan21", "Wan21")


def _sdxl() -> tuple[Any, list[str], Any]:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        block_out_channels=(320, 640),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=2048,
        attention_head_dim=(5, 10),
        use_linear_projection=True,
    )
    return model, ["UNet2DConditionModel"], _stable_diffusion()


def _tiny_flux() -> tuple[Any, list[str], Any]:
    from diffusers import FluxTransformer2DModel

    model = FluxTransformer2DModel(
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=768,
        pooled_projection_dim=768,
        axes_dims_rope=(8, 12, 12),
    )
    return model, ["FluxTransformer2DModel"], _stable_diffusion()


def _tiny_sd1() -> tuple[Any, list[str], Any]:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        block_out_channels=(32, 64, 128, 128), cross_attention_dim=768, attention_head_dim=8
    )
    return model, ["UNet2DConditionModel"], _stable_diffusion()


#: The `tiny_` ones fit the models of `comfyui_tiny_models.py`, the others have their real widths.
MODELS: dict[str, Callable[[], tuple[Any, list[str], Any]]] = {
    "flux": _flux,
    "qwen_image": _qwen_image,
    "zimage": _zimage,
    "wan": _wan21,
    "sdxl": _sdxl,
    "tiny_flux": _tiny_flux,
    "tiny_sd1": _tiny_sd1,
}


def main(checkout: str, folder: Path, names: list[str]) -> None:
    """Write one file for each of the names, which are those of `MODELS`."""
    sys.path.insert(0, checkout)
    import torch

    class BaseModel:
        """What a network asks of its base model; the names of tensors come from the real class."""

        use_old_lokr_format = False

        def __init__(self, model: Any, kind: Any) -> None:
            self.unet = model
            self._kind = kind

        def convert_lora_weights_before_save(self, tensors: Any) -> Any:
            return self._kind.convert_lora_weights_before_save(self, tensors)

        def get_transformer_block_names(self) -> Any:
            return self._kind.get_transformer_block_names(self)

    # Before the models: what is imported with them must not lie on no device.
    network_of = _class("toolkit.lora_special", "LoRASpecialNetwork")
    for name in names:
        with torch.device("meta"):
            model, targets, kind = MODELS[name]()
        is_unet = targets == ["UNet2DConditionModel"]
        base = BaseModel(model, kind)
        torch.manual_seed(0)
        network = network_of(
            text_encoder=[],
            unet=model,
            lora_dim=RANK,
            alpha=RANK,
            train_text_encoder=False,
            is_sdxl=name == "sdxl",
            is_flux=targets == ["FluxTransformer2DModel"],
            is_transformer=not is_unet,
            transformer_only=not is_unet,
            target_lin_modules=targets,
            base_model=base,
        )
        network.apply_to([], model, apply_text_encoder=False, apply_unet=True)
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.1)
        target = folder / f"{name}.safetensors"
        network.save_weights(str(target), dtype=torch.bfloat16, metadata={"ss_output_name": name})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
