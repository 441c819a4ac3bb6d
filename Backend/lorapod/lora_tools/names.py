"""The names of tensors in LoRA files: which module of the base model a tensor belongs to, and which part it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class LoraPart(StrEnum):
    """What a tensor is in its module: the module's weight changes by `alpha / rank * up @ down`."""

    DOWN = "down"
    UP = "up"
    ALPHA = "alpha"
    #: DoRA: the length that each output's row of the changed weight gets.
    MAGNITUDE = "magnitude"


class KeyFormat(StrEnum):
    """Who names tensors like this."""

    #: `unet.…lora_A.weight`, `transformer.…`: diffusers' names of the modules.
    DIFFUSERS = "diffusers"
    #: `lora_unet_…lora_down.weight`: dots are underscores; with `alpha`.
    KOHYA = "kohya"
    #: `diffusion_model.…`: the names of the model's first authors.
    COMFYUI = "comfyui"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class NameStyle:
    """How the tensors of a module end."""

    down: str
    up: str
    alpha: str = ".alpha"
    magnitude: str = ".dora_scale"


PEFT = NameStyle(down=".lora_A.weight", up=".lora_B.weight", magnitude=".lora_magnitude_vector.weight")
KOHYA = NameStyle(down=".lora_down.weight", up=".lora_up.weight")
#: As ComfyUI reads tensors that are otherwise named as PEFT names them.
PEFT_IN_COMFYUI = NameStyle(down=".lora_A.weight", up=".lora_B.weight")
STYLES: Sequence[NameStyle] = (
    PEFT,
    KOHYA,
    NameStyle(down=".lora_A.default.weight", up=".lora_B.default.weight"),
    NameStyle(down=".lora.down.weight", up=".lora.up.weight"),
    NameStyle(down="_lora.down.weight", up="_lora.up.weight"),
    NameStyle(down=".lora_linear_layer.down.weight", up=".lora_linear_layer.up.weight"),
)
_ENDINGS: Sequence[tuple[str, LoraPart]] = (
    *((style.down, LoraPart.DOWN) for style in STYLES),
    *((style.up, LoraPart.UP) for style in STYLES),
    (".alpha", LoraPart.ALPHA),
    (".dora_scale", LoraPart.MAGNITUDE),
    (".lora_magnitude_vector.weight", LoraPart.MAGNITUDE),
    (".lora_magnitude_vector", LoraPart.MAGNITUDE),
)
#: What else a file can change modules by, and the ends of its tensors' names.
_OTHER_KINDS = (
    ("LoKr", re.compile(r"\.lokr_\w+$")),
    ("LoHa", re.compile(r"\.hada_\w+$")),
    ("LoCon with a middle matrix", re.compile(r"\.lora_mid\.weight$")),
    ("set of whole differences", re.compile(r"\.(diff|diff_b|w_norm|b_norm|set_weight)$")),
    ("IA3", re.compile(r"\.on_input$")),
)
_TEXT_PREFIXES = ("text_encoder", "lora_te", "text_encoders.", "te1_", "te2_")


@dataclass(frozen=True, kw_only=True)
class ModuleTable:
    """The tensors of a file by module and part."""

    modules: Mapping[str, Mapping[LoraPart, str]]
    #: Tensors that do not belong to a LoRA.
    others: Sequence[str]
    #: How the tensors end.
    style: NameStyle

    @property
    def key_format(self) -> KeyFormat:
        """Return who names modules like this."""
        counted = [_format_of(module) for module in self.modules]
        return max(KeyFormat, key=counted.count)


def module_table(tensors: Iterable[str]) -> ModuleTable:
    """Sort the tensors of a file."""
    modules: dict[str, dict[LoraPart, str]] = {}
    others: list[str] = []
    for tensor in tensors:
        found = next(((end, part) for end, part in _ENDINGS if tensor.endswith(end)), None)
        if found is None:
            others.append(tensor)
            continue
        modules.setdefault(tensor.removesuffix(found[0]), {})[found[1]] = tensor
    downs = [parts[LoraPart.DOWN] for parts in modules.values() if LoraPart.DOWN in parts]
    style = next((style for style in STYLES if any(name.endswith(style.down) for name in downs)), PEFT)
    return ModuleTable(modules=modules, others=others, style=style)


def other_kind(tensors: Iterable[str]) -> str | None:
    """Return what a file is instead of a LoRA, as far as its tensors' names say it."""
    names = list(tensors)
    for kind, ending in _OTHER_KINDS:
        if any(ending.search(name) for name in names):
            return kind
    return None


def is_text_encoder(module: str) -> bool:
    """Return whether a module belongs to a text encoder."""
    return module.startswith(_TEXT_PREFIXES)


def _format_of(module: str) -> KeyFormat:
    if module.startswith(("lora_unet_", "lora_te")):
        return KeyFormat.KOHYA
    if module.startswith("diffusion_model."):
        return KeyFormat.COMFYUI
    if module.startswith(("unet.", "transformer.", "text_encoder.", "text_encoder_2.", "text_encoder_3.")):
        return KeyFormat.OTHER if ".processor." in module else KeyFormat.DIFFUSERS
    return KeyFormat.OTHER
