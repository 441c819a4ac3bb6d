"""Which base model a LoRA belongs to, by the names and widths of its modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lorapod.lora_tools.names import is_text_encoder


class LoraArch(StrEnum):
    """Architectures of base models, as AI Toolkit calls them."""

    SD1 = "sd1"
    SD2 = "sd2"
    SDXL = "sdxl"
    SD3 = "sd3"
    FLUX = "flux"
    FLUX2 = "flux2"
    QWEN_IMAGE = "qwen_image"
    WAN = "wan"
    ZIMAGE = "zimage"
    LUMINA2 = "lumina2"
    LTX = "ltx"
    HIDREAM = "hidream"
    #: Only modules of text encoders, which several models share.
    TEXT_ENCODER = "text_encoder"
    UNKNOWN = "unknown"


#: These fit beside a LoRA of any model, as far as the shapes of their modules show it.
UNDECIDED = frozenset({LoraArch.TEXT_ENCODER, LoraArch.UNKNOWN})
STABLE_DIFFUSION = frozenset({LoraArch.SD1, LoraArch.SD2, LoraArch.SDXL})


@dataclass(frozen=True, kw_only=True)
class ModuleShape:
    """How wide a module is, and the rank that its LoRA has."""

    inputs: int
    outputs: int
    rank: int
    #: Height and width of a convolution's kernel; empty for a linear module.
    kernel: tuple[int, ...] = ()
    dora: bool = False


_CONTEXT = {768: LoraArch.SD1, 1024: LoraArch.SD2, 2048: LoraArch.SDXL}
_UNET = re.compile(r"(down|up|mid|input|output|middle)_blocks?[._]")
_ATTENDS_TO_TEXT = re.compile(r"attn2[._](processor[._])?to_[kv]$")
#: A UNet with several transformer blocks in one attention is SDXL's.
_DEEP_BLOCK = re.compile(r"transformer_blocks[._][1-9]")
_FLUX = re.compile(r"(double_blocks|single_blocks|single_transformer_blocks)[._]")
_FLUX2 = re.compile(r"to_qkv_mlp_proj|ff(_context)?[._]linear_(in|out)|double_stream_modulation")
_BLOCK = re.compile(r"transformer_blocks[._](\d+)[._]")
#: FLUX.1 has 19 blocks of two streams, Qwen-Image 60, both 3072 wide.
_FLUX_BLOCKS = 19
_LAYERS = re.compile(r"layers[._]\d+[._](attention|feed_forward|adaLN_modulation)")
#: In this order: names that only one model has.
_BY_NAME = (
    (re.compile(r"double_stream_blocks"), LoraArch.HIDREAM),
    (re.compile(r"self_attn[._][qkvo]\b|cross_attn[._][qkvo]|[._]ffn[._]"), LoraArch.WAN),
    (re.compile(r"(?<!r_)(?<!\w)blocks[._]\d+[._]attn[12][._]"), LoraArch.WAN),
    (re.compile(r"joint_blocks"), LoraArch.SD3),
    (re.compile(r"transformer_blocks[._]\d+[._]attn[12][._]"), LoraArch.LTX),
    (re.compile(r"img_mlp|txt_mlp|img_mod|txt_mod"), LoraArch.QWEN_IMAGE),
)
_SD3_WIDTHS = frozenset({1536, 2432})
_LUMINA2_WIDTH = 2304


def architecture_of(modules: Mapping[str, ModuleShape]) -> LoraArch:
    """Return the architecture of the base model."""
    own = {name: shape for name, shape in modules.items() if not is_text_encoder(name)}
    if not own:
        return LoraArch.TEXT_ENCODER if modules else LoraArch.UNKNOWN
    text = " ".join(own)
    if _FLUX.search(text) or _FLUX2.search(text):
        return _flux(own, text)
    if _UNET.search(text):
        return _stable_diffusion(modules, own, text)
    return next((arch for pattern, arch in _BY_NAME if pattern.search(text)), None) or _transformer(own, text)


def _flux(own: Mapping[str, ModuleShape], text: str) -> LoraArch:
    # FLUX.2's MLP is gated: the first matrix of a single block is nine times as wide as the model.
    gated = any(name.endswith("linear1") and shape.outputs == 9 * shape.inputs for name, shape in own.items())
    return LoraArch.FLUX2 if gated or _FLUX2.search(text) else LoraArch.FLUX


def _stable_diffusion(
    modules: Mapping[str, ModuleShape], own: Mapping[str, ModuleShape], text: str
) -> LoraArch:
    contexts = {_CONTEXT.get(shape.inputs) for name, shape in own.items() if _ATTENDS_TO_TEXT.search(name)}
    known = contexts - {None}
    if len(known) == 1 and (arch := known.pop()) is not None:
        return arch
    two_encoders = any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in modules)
    return LoraArch.SDXL if two_encoders or _DEEP_BLOCK.search(text) else LoraArch.SD1


def _transformer(own: Mapping[str, ModuleShape], text: str) -> LoraArch:
    """Tell models apart that share the names of their blocks."""
    widths = {shape.inputs for shape in own.values()}
    if _LAYERS.search(text):
        return LoraArch.LUMINA2 if _LUMINA2_WIDTH in widths else LoraArch.ZIMAGE
    if (numbers := _BLOCK.findall(text)) == []:
        return LoraArch.UNKNOWN
    if widths & _SD3_WIDTHS:
        return LoraArch.SD3
    return LoraArch.QWEN_IMAGE if max(map(int, numbers)) >= _FLUX_BLOCKS else LoraArch.FLUX
