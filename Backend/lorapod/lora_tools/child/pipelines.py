"""Convert a whole LoRA as diffusers' own pipelines do when they load one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers.loaders import lora_pipeline

from lorapod.errors import Unsupported
from lorapod.library_errors import reason_of
from lorapod.lora_tools.architectures import LoraArch
from lorapod.lora_tools.child.lora import LoraFile
from lorapod.lora_tools.child.source import LoraInRam
from lorapod.lora_tools.look import LoraLook
from lorapod.lora_tools.names import PEFT, LoraPart

#: The class of diffusers that loads LoRAs of a model.
_LOADERS: Mapping[LoraArch, str] = {
    LoraArch.SD3: "SD3LoraLoaderMixin",
    LoraArch.FLUX: "FluxLoraLoaderMixin",
    LoraArch.FLUX2: "Flux2LoraLoaderMixin",
    LoraArch.QWEN_IMAGE: "QwenImageLoraLoaderMixin",
    LoraArch.WAN: "WanLoraLoaderMixin",
    LoraArch.ZIMAGE: "ZImageLoraLoaderMixin",
    LoraArch.LUMINA2: "Lumina2LoraLoaderMixin",
    LoraArch.LTX: "LTXVideoLoraLoaderMixin",
    LoraArch.HIDREAM: "HiDreamImageLoraLoaderMixin",
}


def by_pipeline(lora: LoraFile, look: LoraLook) -> LoraInRam:
    """Return the LoRA with diffusers' names; all of it is in RAM then.

    Raises:
        Unsupported: diffusers knows no such LoRA.
    """
    loader = getattr(lora_pipeline, _LOADERS.get(look.arch, ""), None)
    if loader is None:
        raise Unsupported(
            f"{look.name} is for a model that diffusers converts no LoRAs of: its modules are unknown."
        )
    try:
        converted = loader.lora_state_dict(_tensors(lora))
    except (
        ValueError,
        KeyError,
        IndexError,
        RuntimeError,
        AttributeError,
        TypeError,
        AssertionError,
    ) as error:
        raise Unsupported(f"diffusers cannot convert {look.name}: {reason_of(error)[:300]}.") from error
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in converted.items():
        for part, end in (("down", PEFT.down), ("up", PEFT.up)):
            if name.endswith(end):
                modules.setdefault(name.removesuffix(end), {})[part] = tensor
    if not modules or 2 * len(modules) != len(converted):
        raise Unsupported(f"diffusers cannot convert all modules of {look.name}.")
    return LoraInRam(look.name, modules)


def _tensors(lora: LoraFile) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for module in lora.modules:
        factors = lora.factors(module).baked()
        parts = lora.table.modules[module]
        tensors |= {parts[LoraPart.DOWN]: factors.down, parts[LoraPart.UP]: factors.up}
    return tensors
