"""Names of modules in kohya's form and in diffusers', by diffusers' own conversions.

The conversions of Stable Diffusion and of text encoders only rename: they get names in place of tensors, so nothing is
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from diffusers.utils.state_dict_utils import (
    StateDictType,
    convert_state_dict_to_kohya,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)

from lorapod.errors import Unsupported
from lorapod.lora_tools.names import KOHYA, PEFT

_UNET = "unet."
#: SDXL's blocks as its authors number them; diffusers' UNets have two layers in each.
_SDXL_UNET = SimpleNamespace(layers_per_block=2)

Names = dict[str, str]


def names_from_kohya(modules: Iterable[str]) -> Names:
    """Return kohya's name for each of diffusers' names, of a UNet and of text encoders.

    Raises:
        Unsupported: diffusers does not know a module.
    """
    modules = list(modules)
    tensors = {f"{module}{end}": module for module in modules for end in (KOHYA.down, KOHYA.up)}

    def convert() -> Names:
        renamed = tensors
        if any("_input_blocks_" in module or "_output_blocks_" in module for module in modules):
            renamed = _maybe_map_sgm_blocks_to_diffusers(dict(tensors), _SDXL_UNET)
        renamed, _ = _convert_non_diffusers_lora_to_diffusers(dict(renamed))
        return _peft_names(renamed)

    return _checked(modules, convert)


def names_from_old_diffusers(tensors: Mapping[str, str]) -> Names:
    """Return the module for each of diffusers' present names; `tensors` has the module of each tensor.

    Raises:
        Unsupported: diffusers does not know a module.
    """
    return _checked(set(tensors.values()), lambda: _peft_names(tensors))


def names_to_kohya(modules: Iterable[str]) -> Names:
    """Return diffusers' name for each of kohya's names, of a UNet and of text encoders."""
    modules = list(modules)
    tensors = {f"{module}{PEFT.down}": module for module in modules}

    def convert() -> Names:
        renamed: Mapping[str, Any] = convert_state_dict_to_kohya(tensors)
        return {
            tensor.removesuffix(KOHYA.down): module
            for tensor, module in renamed.items()
            if tensor.endswith(KOHYA.down)
        }

    return _checked(modules, convert)


def _peft_names(tensors: Mapping[str, str]) -> Names:
    unet = {name: module for name, module in tensors.items() if name.startswith(_UNET)}
    texts = {name: module for name, module in tensors.items() if name not in unet}
    renamed = {
        **convert_unet_state_dict_to_peft(unet),
        **convert_state_dict_to_peft(texts, original_type=StateDictType.DIFFUSERS_OLD),
    }
    return {
        name.removesuffix(PEFT.down): module for name, module in renamed.items() if name.endswith(PEFT.down)
    }


def _checked(modules: Iterable[str], convert: Callable[[], Names]) -> Names:
    """Convert, and see to it that no module is lost."""
    wanted = set(modules)
    try:
        names = convert()
    except (ValueError, KeyError, IndexError) as error:
        raise Unsupported(f"diffusers cannot name the modules of this LoRA: {str(error)[:300]}") from error
    if lost := sorted(wanted - set(names.values())):
        raise Unsupported(f"diffusers has no name for {len(lost)} modules of this LoRA, such as {lost[0]}.")
    return names
