"""Under which names a LoRA is read, and how its tensors are called in the new file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorapod.lora_tools.architectures import LoraArch
from lorapod.lora_tools.child.lora import LoraFile
from lorapod.lora_tools.child.source import LoraSource
from lorapod.lora_tools.look import LoraLook
from lorapod.lora_tools.names import KOHYA, PEFT, PEFT_IN_COMFYUI, KeyFormat, LoraPart, NameStyle

#: ComfyUI reads a module of these by diffusers' names.
_DIFFUSERS_IN_COMFYUI = frozenset({LoraArch.FLUX, LoraArch.QWEN_IMAGE})


@dataclass(frozen=True, kw_only=True)
class Naming:
    """A LoRA under the names of a program, and how its tensors are to be called there."""

    source: LoraSource
    style: NameStyle
    #: Whether each module has its alpha.
    alphas: bool
    warnings: Sequence[str] = ()


def named_as(wanted: KeyFormat, lora: LoraFile, look: LoraLook) -> Naming:
    """Return the LoRA as a program reads it; nothing is read yet, except of models that diffusers converts as a whole.

    Raises:
        Unsupported: there is no way between the two formats for this model.
    """
    have = look.key_format
    if wanted is KeyFormat.COMFYUI and have is KeyFormat.COMFYUI:
        return Naming(source=lora, style=PEFT_IN_COMFYUI, alphas=False)
    if have is KeyFormat.KOHYA and wanted is not KeyFormat.DIFFUSERS:
        told = "ComfyUI reads kohya's names too: the modules keep their names."
        warnings = [told] if wanted is KeyFormat.COMFYUI else []
        return Naming(source=lora, style=KOHYA, alphas=True, warnings=warnings)
    # Imported where it is needed: diffusers takes seconds.
    from lorapod.lora_tools.child.converting import in_diffusers, in_kohya

    if wanted is KeyFormat.DIFFUSERS:
        return Naming(source=in_diffusers(lora, look), style=PEFT, alphas=False)
    if wanted is KeyFormat.COMFYUI and look.arch in _DIFFUSERS_IN_COMFYUI:
        return Naming(source=in_diffusers(lora, look), style=PEFT_IN_COMFYUI, alphas=False)
    return Naming(source=in_kohya(lora, look), style=KOHYA, alphas=True)


def same_naming(lora: LoraFile, look: LoraLook) -> Naming:
    """Return the LoRA under its own names; names of diffusers' first form become its present ones."""
    if look.key_format is KeyFormat.OTHER and lora.style not in {PEFT, KOHYA}:
        return named_as(KeyFormat.DIFFUSERS, lora, look)
    if look.key_format is KeyFormat.DIFFUSERS:
        return Naming(source=lora, style=PEFT, alphas=False)
    alphas = any(LoraPart.ALPHA in parts for parts in lora.table.modules.values())
    return Naming(source=lora, style=KOHYA if lora.style == KOHYA else PEFT_IN_COMFYUI, alphas=alphas)
