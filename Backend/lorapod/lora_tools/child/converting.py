"""Read a LoRA under the names of another program."""

from __future__ import annotations

from collections.abc import Mapping

from lorapod.errors import Unsupported
from lorapod.lora_tools.architectures import STABLE_DIFFUSION, LoraArch
from lorapod.lora_tools.child.flux import SplitFluxLora, fused_flux, kohya_name
from lorapod.lora_tools.child.lora import LoraFile
from lorapod.lora_tools.child.names_of_diffusers import (
    names_from_kohya,
    names_from_old_diffusers,
    names_to_kohya,
)
from lorapod.lora_tools.child.pipelines import by_pipeline
from lorapod.lora_tools.child.source import JoinedLora, LoraSource, RenamedLora
from lorapod.lora_tools.look import LoraLook
from lorapod.lora_tools.names import (
    PEFT,
    KeyFormat,
    LoraPart,
    is_text_encoder,
)

_TRANSFORMER = "transformer."


def in_diffusers(lora: LoraFile, look: LoraLook) -> LoraSource:
    """Return the LoRA under diffusers' names.

    Raises:
        Unsupported: diffusers cannot convert it.
    """
    if look.key_format is KeyFormat.DIFFUSERS and all(
        parts[LoraPart.DOWN].endswith(PEFT.down) for parts in lora.table.modules.values()
    ):
        return lora
    if look.arch in STABLE_DIFFUSION or look.arch is LoraArch.TEXT_ENCODER:
        if look.key_format is KeyFormat.KOHYA:
            return RenamedLora(lora, names_from_kohya(lora.modules))
        return RenamedLora(lora, names_from_old_diffusers(_tensors(lora)))
    if look.dora:
        raise Unsupported(
            f"{look.name} is a DoRA for {look.arch}: diffusers can convert its matrices, but not its magnitudes."
        )
    if look.arch is LoraArch.FLUX and look.key_format in {KeyFormat.KOHYA, KeyFormat.COMFYUI}:
        return _flux_in_diffusers(lora, look)
    return by_pipeline(lora, look)


def _flux_in_diffusers(lora: LoraFile, look: LoraLook) -> LoraSource:
    texts = [module for module in lora.modules if is_text_encoder(module)]
    kohya = {kohya_name(module): module for module in lora.modules if module not in set(texts)}
    if look.key_format is KeyFormat.KOHYA:
        kohya = {module: module for module in kohya.values()}
    shapes = {name: look.modules[module] for name, module in kohya.items()}
    split = SplitFluxLora(RenamedLora(lora, kohya), shapes)
    if not texts:
        return split
    return JoinedLora([split, RenamedLora(lora, names_from_kohya(texts))])


def in_kohya(lora: LoraFile, look: LoraLook) -> LoraSource:
    """Return the LoRA under kohya's names.

    Raises:
        Unsupported: there is no way from the names that it has.
    """
    if look.arch in STABLE_DIFFUSION or look.arch is LoraArch.TEXT_ENCODER:
        source = in_diffusers(lora, look)
        return RenamedLora(source, names_to_kohya(source.modules))
    if look.key_format is KeyFormat.COMFYUI:
        return RenamedLora(lora, {kohya_name(module): module for module in lora.modules})
    if look.arch is LoraArch.QWEN_IMAGE:
        return RenamedLora(
            lora, {kohya_name(module.removeprefix(_TRANSFORMER)): module for module in lora.modules}
        )
    if look.arch is LoraArch.FLUX:
        return _flux_in_kohya(lora, look)
    raise Unsupported(
        f"{look.name} is for {look.arch}: a LoRA of that model with diffusers' names can only be used in diffusers.",
        hint="AI Toolkit's own checkpoints of that model have the names that ComfyUI reads.",
    )


def _flux_in_kohya(lora: LoraFile, look: LoraLook) -> LoraSource:
    if look.dora:
        raise Unsupported(
            f"{look.name} is a DoRA: its magnitudes cannot be put together as FLUX.1's matrices are."
        )
    source = in_diffusers(lora, look)
    texts = [module for module in source.modules if is_text_encoder(module)]
    own = [module for module in source.modules if not is_text_encoder(module)]
    fused = fused_flux(
        RenamedLora(source, {name: name for name in own}), {name: look.modules[name] for name in own}
    )
    if not texts:
        return fused
    return JoinedLora([fused, RenamedLora(source, names_to_kohya(texts))])


def _tensors(lora: LoraFile) -> Mapping[str, str]:
    return {
        tensor: module
        for module, parts in lora.table.modules.items()
        for part, tensor in parts.items()
        if part in {LoraPart.DOWN, LoraPart.UP}
    }
