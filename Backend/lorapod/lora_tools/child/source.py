"""The port of LoRAs that are read module by module, and those that read another one under other names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch

from lorapod.lora_tools.child.factors import Factors


class LoraSource(Protocol):
    """A LoRA, whatever its modules are called."""

    @property
    def name(self) -> str:
        """The file's name, for messages."""

    @property
    def modules(self) -> Sequence[str]:
        """The names of the modules."""

    def factors(self, module: str) -> Factors:
        """Read one module.

        Raises:
            InvalidInput: it is damaged or holds NaN.
        """


def factors_of(source: LoraSource) -> Iterator[tuple[str, Factors]]:
    """Read one module after the other."""
    for module in source.modules:
        yield module, source.factors(module)


class RenamedLora:
    """A LoRA under other names."""

    def __init__(self, source: LoraSource, names: Mapping[str, str]) -> None:
        """Read `source`; `names` has its name for each new one."""
        self.name = source.name
        self._source = source
        self._names = names

    @property
    def modules(self) -> Sequence[str]:
        """The new names."""
        return list(self._names)

    def factors(self, module: str) -> Factors:
        """Read one module."""
        return self._source.factors(self._names[module])


class FusedLora:
    """A LoRA in which one matrix has the place of several: each keeps its own rows and its own inner width."""

    def __init__(self, source: LoraSource, groups: Mapping[str, Sequence[tuple[str | None, int]]]) -> None:
        """Read `source`.

        Args:
            source: the LoRA.
            groups: for each new name, its parts from the first row on: the source's name, or None for a part that the
                LoRA leaves as it is, and how many rows it has.
        """
        self.name = source.name
        self._source = source
        self._groups = groups

    @property
    def modules(self) -> Sequence[str]:
        """The new names."""
        return list(self._groups)

    def factors(self, module: str) -> Factors:
        """Read all parts, and put their matrices into the blocks of two larger ones: exactly the same change."""
        group = self._groups[module]
        parts = [None if name is None else self._source.factors(name).baked() for name, _ in group]
        if len(parts) == 1 and parts[0] is not None:
            return parts[0]
        present = [part for part in parts if part is not None]
        # Blocks of one width are recognised, and split again, by diffusers.
        rank = max(part.rank for part in present)
        down = present[0].down.new_zeros(rank * len(group), present[0].down.shape[1])
        up = present[0].up.new_zeros(sum(rows for _, rows in group), rank * len(group))
        row = 0
        for number, (part, (_, rows)) in enumerate(zip(parts, group, strict=True)):
            if part is not None:
                first = number * rank
                down[first : first + part.rank] = part.down
                up[row : row + rows, first : first + part.rank] = part.up
            row += rows
        return Factors(down=down, up=up)


class JoinedLora:
    """Several LoRAs with different modules, as one."""

    def __init__(self, sources: Sequence[LoraSource]) -> None:
        """Read `sources`."""
        self.name = sources[0].name
        self._owners = {module: source for source in sources for module in source.modules}

    @property
    def modules(self) -> Sequence[str]:
        """The modules of all."""
        return list(self._owners)

    def factors(self, module: str) -> Factors:
        """Read one module."""
        return self._owners[module].factors(module)


class LoraInRam:
    """A LoRA whose tensors a library has converted."""

    def __init__(self, name: str, modules: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Keep `down` and `up` of each module."""
        self.name = name
        self._modules = modules

    @property
    def modules(self) -> Sequence[str]:
        """The names."""
        return list(self._modules)

    def factors(self, module: str) -> Factors:
        """Return one module."""
        parts = self._modules[module]
        return Factors(down=parts["down"], up=parts["up"])
