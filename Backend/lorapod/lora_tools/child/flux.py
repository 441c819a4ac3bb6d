"""FLUX.1's modules under the names of its authors and of diffusers.

The authors' model has one matrix where diffusers has three or four, so a conversion splits or fuses matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers

from lorapod.errors import Unsupported
from lorapod.lora_tools.architectures import ModuleShape
from lorapod.lora_tools.child.factors import Factors
from lorapod.lora_tools.child.source import FusedLora, LoraSource
from lorapod.lora_tools.names import KOHYA, PEFT

_TRANSFORMER = "transformer."
_UNET = "lora_unet_"
_QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
_ADDED_QKV = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")

#: The authors' names of a block's modules with dots as underscores, and diffusers' from the first row on.
_DOUBLE: Mapping[str, Sequence[str]] = {
    "img_attn_qkv": _QKV,
    "img_attn_proj": ("attn.to_out.0",),
    "img_mlp_0": ("ff.net.0.proj",),
    "img_mlp_2": ("ff.net.2",),
    "img_mod_lin": ("norm1.linear",),
    "txt_attn_qkv": _ADDED_QKV,
    "txt_attn_proj": ("attn.to_add_out",),
    "txt_mlp_0": ("ff_context.net.0.proj",),
    "txt_mlp_2": ("ff_context.net.2",),
    "txt_mod_lin": ("norm1_context.linear",),
}
_SINGLE: Mapping[str, Sequence[str]] = {
    "linear1": (*_QKV, "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation_lin": ("norm.linear",),
}
#: Outside the blocks.
_OUTER: Mapping[str, Sequence[str]] = {
    "img_in": ("x_embedder",),
    "txt_in": ("context_embedder",),
    "time_in_in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "time_in_out_layer": ("time_text_embed.timestep_embedder.linear_2",),
    "vector_in_in_layer": ("time_text_embed.text_embedder.linear_1",),
    "vector_in_out_layer": ("time_text_embed.text_embedder.linear_2",),
    "guidance_in_in_layer": ("time_text_embed.guidance_embedder.linear_1",),
    "guidance_in_out_layer": ("time_text_embed.guidance_embedder.linear_2",),
    "final_layer_linear": ("proj_out",),
}
_BLOCKS = (
    ("double_blocks", "transformer_blocks", _DOUBLE),
    ("single_blocks", "single_transformer_blocks", _SINGLE),
)


class SplitFluxLora:
    """A LoRA of FLUX.1 with the authors' matrices, read under diffusers' names; diffusers itself splits them."""

    def __init__(self, source: LoraSource, shapes: Mapping[str, ModuleShape]) -> None:
        """Read `source`, whose modules have the form `lora_unet_double_blocks_0_img_attn_qkv`.

        Raises:
            Unsupported: diffusers does not know a module.
        """
        self.name = source.name
        self._source = source
        self._names: dict[str, str] = {}
        for module in source.modules:
            # With one column the split is the same, and quickly done.
            marks = _split(module, torch.zeros(1, 1), torch.zeros(shapes[module].outputs, 1))
            self._names |= dict.fromkeys(marks, module)
        self._last: tuple[str, Mapping[str, Factors]] = ("", {})

    @property
    def modules(self) -> Sequence[str]:
        """Diffusers' names."""
        return list(self._names)

    def factors(self, module: str) -> Factors:
        """Read the matrix that this one is a part of; siblings come one after the other, so it is kept."""
        name = self._names[module]
        if self._last[0] != name:
            whole = self._source.factors(name).baked()
            self._last = (name, _split(name, whole.down, whole.up))
        return self._last[1][module]


def fused_flux(source: LoraSource, shapes: Mapping[str, ModuleShape]) -> FusedLora:
    """Return a LoRA with diffusers' names under kohya's; `shapes` are the source's.

    Raises:
        Unsupported: the authors' model has no such module.
    """
    groups: dict[str, list[tuple[str | None, int]]] = {}
    left = set(source.modules)
    for name, parts in _groups(source.modules):
        present = [part for part in parts if part in left]
        if not present:
            continue
        rows = _rows(parts, shapes)
        groups[f"{_UNET}{name}"] = [
            (part if part in shapes else None, count) for part, count in zip(parts, rows, strict=True)
        ]
        left.difference_update(present)
    if left:
        raise Unsupported(
            f"FLUX.1 of its authors has no module for {len(left)} of this LoRA, such as {min(left)}."
        )
    return FusedLora(source, groups)


def kohya_name(module: str) -> str:
    """Return the authors' dotted name of a module (`diffusion_model.double_blocks.0.…`) as kohya's scripts write it."""
    return _UNET + module.removeprefix("diffusion_model.").replace(".", "_")


def _groups(modules: Iterable[str]) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    numbers: dict[str, set[int]] = {}
    for module in modules:
        kind, _, rest = module.removeprefix(_TRANSFORMER).partition(".")
        number = rest.partition(".")[0]
        if number.isdigit():
            numbers.setdefault(kind, set()).add(int(number))
    for theirs, ours, table in _BLOCKS:
        for block in sorted(numbers.get(ours, ())):
            found += [
                (f"{theirs}_{block}_{name}", [f"{_TRANSFORMER}{ours}.{block}.{part}" for part in parts])
                for name, parts in table.items()
            ]
    found += [(name, [f"{_TRANSFORMER}{part}" for part in parts]) for name, parts in _OUTER.items()]
    return found


def _rows(parts: Sequence[str], shapes: Mapping[str, ModuleShape]) -> list[int]:
    """Return how many rows each part has: also one that the LoRA leaves out, which is as wide as the model."""
    known = [shapes[part] for part in parts if part in shapes]
    width = known[0].inputs
    mlp = 4 * width
    return [
        shapes[part].outputs if part in shapes else mlp if part.endswith("proj_mlp") else width
        for part in parts
    ]


def _split(module: str, down: torch.Tensor, up: torch.Tensor) -> Mapping[str, Factors]:
    try:
        tensors = _convert_kohya_flux_lora_to_diffusers(
            {f"{module}{KOHYA.down}": down, f"{module}{KOHYA.up}": up}
        )
    except (ValueError, KeyError, AssertionError, AttributeError, RuntimeError) as error:
        raise Unsupported(f"diffusers has no name for the module {module} of FLUX.1.") from error
    names = [name.removesuffix(PEFT.down) for name in tensors if name.endswith(PEFT.down)]
    if not names:
        raise Unsupported(f"diffusers has no name for the module {module} of FLUX.1.")
    return {
        # Outside the blocks diffusers leaves the prefix out.
        name if name.startswith(_TRANSFORMER) else f"{_TRANSFORMER}{name}": Factors(
            down=tensors[f"{name}{PEFT.down}"], up=tensors[f"{name}{PEFT.up}"]
        )
        for name in names
    }
