"""Look at a LoRA by its header alone: what it is, and why a tool cannot use it. No weights are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod import weights
from lorapod.errors import InvalidInput, Unsupported
from lorapod.lora_tools.architectures import UNDECIDED, LoraArch, ModuleShape, architecture_of
from lorapod.lora_tools.names import KeyFormat, LoraPart, NameStyle, module_table, other_kind

_CONV_DIMENSIONS = 4


@dataclass(frozen=True, kw_only=True)
class LoraLook:
    """What a LoRA's header says."""

    #: The file's name, for messages.
    name: str
    modules: Mapping[str, ModuleShape]
    arch: LoraArch
    key_format: KeyFormat
    style: NameStyle
    metadata: Mapping[str, str]

    @property
    def rank(self) -> int:
        """Return the largest rank of a module."""
        return max(shape.rank for shape in self.modules.values())

    @property
    def dora(self) -> bool:
        """Return whether it is a DoRA."""
        return any(shape.dora for shape in self.modules.values())


def look_at(path: Path) -> LoraLook:
    """Read the header.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is not a whole LoRA.
        Unsupported: it is of another kind, such as a LoKr.
    """
    header = weights.read_header(path)
    name = path.name
    if not header.whole:
        raise InvalidInput(
            f"{name} is cut off: it has {header.file_bytes} of {header.expected_bytes} bytes.",
            hint="Upload or download it again.",
        )
    table = module_table(header.shapes)
    if (kind := other_kind(header.shapes)) is not None:
        raise Unsupported(
            f"{name} is a {kind}: only LoRAs, with two matrices a module, can be merged, resized and converted."
        )
    if not any(LoraPart.DOWN in parts for parts in table.modules.values()):
        raise InvalidInput(f"{name} is not a LoRA: it has no module with two matrices.")
    if table.others:
        raise Unsupported(
            f"{name} has {len(table.others)} tensors that do not belong to a LoRA, such as {table.others[0]!r}."
        )
    modules = {module: _shape(name, module, parts, header.shapes) for module, parts in table.modules.items()}
    return LoraLook(
        name=name,
        modules=modules,
        arch=architecture_of(modules),
        key_format=table.key_format,
        style=table.style,
        metadata=header.metadata,
    )


def refuse_strangers(looks: Sequence[LoraLook]) -> None:
    """Refuse LoRAs of different base models.

    Raises:
        InvalidInput: two of them belong to different base models.
    """
    decided = [look for look in looks if look.arch not in UNDECIDED]
    for look in decided[1:]:
        if look.arch is not decided[0].arch:
            raise InvalidInput(
                f"{decided[0].name} is for {decided[0].arch} and {look.name} for {look.arch}: LoRAs of different "
                "base models cannot be merged."
            )
    seen: dict[str, tuple[LoraLook, ModuleShape]] = {}
    for look in looks:
        for module, shape in look.modules.items():
            first, known = seen.setdefault(module, (look, shape))
            if (known.inputs, known.outputs, known.kernel) != (shape.inputs, shape.outputs, shape.kernel):
                raise InvalidInput(
                    f"{first.name} and {look.name} are for different base models: {module} is "
                    f"{known.outputs} x {known.inputs} in one and {shape.outputs} x {shape.inputs} in the other."
                )


def _shape(
    file: str, module: str, parts: Mapping[LoraPart, str], shapes: Mapping[str, tuple[int, ...]]
) -> ModuleShape:
    if LoraPart.DOWN not in parts or LoraPart.UP not in parts:
        missing = "down" if LoraPart.UP in parts else "up"
        raise InvalidInput(f"{file} is damaged: the module {module} has no {missing} matrix.")
    down, up = shapes[parts[LoraPart.DOWN]], shapes[parts[LoraPart.UP]]
    conv = len(down) == _CONV_DIMENSIONS
    fits = (
        len(down) in {2, _CONV_DIMENSIONS}
        and len(up) == len(down)
        and down[0] == up[1]
        and min(*down, *up) > 0
    )
    if not fits or (conv and up[2:] != (1, 1)):
        raise InvalidInput(
            f"{file} is damaged: the matrices of {module} do not fit each other: {list(down)} and {list(up)}."
        )
    return ModuleShape(
        inputs=down[1],
        outputs=up[0],
        rank=down[0],
        kernel=tuple(down[2:]),
        dora=LoraPart.MAGNITUDE in parts,
    )
