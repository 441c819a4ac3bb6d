"""A LoRA whose tensors are read module by module."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open

from lorapod.errors import InvalidInput, Unsupported
from lorapod.lora_tools.child.factors import Factors
from lorapod.lora_tools.names import LoraPart, ModuleTable, NameStyle, module_table

#: Where diffusers and peft keep ranks and alphas in a file's header.
ADAPTER_METADATA = "lora_adapter_metadata"


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """The modules of one LoRA by name; their tensors stay on the disk until they are used."""

    #: For messages.
    name: str
    table: ModuleTable
    read: Callable[[str], torch.Tensor]
    metadata: Mapping[str, str]

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Open a file.

        Raises:
            InvalidInput: it is no safetensors file.
        """
        try:
            file: Any = safe_open(path, framework="pt")
            keys, metadata = list(file.keys()), file.metadata()
        except Exception as error:  # the library raises its own type for a damaged file
            raise InvalidInput(f"{path.name} cannot be read: {error}.") from error
        return cls(
            name=path.name,
            table=module_table(keys),
            read=file.get_tensor,
            metadata=dict(metadata or {}),
        )

    @classmethod
    def of_tensors(cls, name: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> Self:
        """Return a LoRA whose tensors are in RAM."""
        return cls(name=name, table=module_table(tensors), read=tensors.__getitem__, metadata=metadata)

    @property
    def modules(self) -> list[str]:
        """Return the names of the modules, in the file's order."""
        return list(self.table.modules)

    @property
    def style(self) -> NameStyle:
        """Return how the tensors end."""
        return self.table.style

    def factors(self, module: str) -> Factors:
        """Read one module.

        Raises:
            InvalidInput: it holds NaN.
            Unsupported: it is an unusual DoRA.
        """
        parts = self.table.modules[module]
        down, up = self.read(parts[LoraPart.DOWN]), self.read(parts[LoraPart.UP])
        magnitude = self.read(parts[LoraPart.MAGNITUDE]) if LoraPart.MAGNITUDE in parts else None
        if magnitude is not None and magnitude.numel() != up.shape[0]:
            raise Unsupported(f"{self.name} is a DoRA with a magnitude for each input, in {module}.")
        factors = Factors(down=down, up=up, scale=self._scale(module, down.shape[0]), magnitude=magnitude)
        factors.check_finite(module, self.name)
        return factors

    def all_factors(self) -> Iterator[tuple[str, Factors]]:
        """Read one module after the other."""
        for module in self.modules:
            yield module, self.factors(module)

    def _scale(self, module: str, rank: int) -> float:
        parts = self.table.modules[module]
        if LoraPart.ALPHA in parts:
            alpha = float(self.read(parts[LoraPart.ALPHA]).float().item())
            if not 0 <= abs(alpha) < float("inf"):
                raise InvalidInput(f"{self.name} is damaged: the alpha of {module} is not a number.")
            return alpha / rank
        return self._noted_scale(module, rank)

    def _noted_scale(self, module: str, rank: int) -> float:
        """Return the scale that the header's notes of diffusers and peft give; 1 without such notes."""
        component, _, inner = module.partition(".")
        notes = _adapter_notes(self.metadata, component)
        if not notes:
            return 1.0
        from peft.utils.other import get_pattern_key

        patterns: Mapping[str, float] = notes.get("alpha_pattern") or {}
        alpha = patterns.get(get_pattern_key(patterns.keys(), inner), notes.get("lora_alpha", rank))
        return float(alpha) / (rank**0.5 if notes.get("use_rslora") else rank)


def _adapter_notes(metadata: Mapping[str, str], component: str) -> Mapping[str, Any]:
    try:
        notes = json.loads(metadata.get(ADAPTER_METADATA, "{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(notes, dict):
        return {}
    return {
        key.removeprefix(f"{component}."): value
        for key, value in notes.items()
        if key.startswith(f"{component}.")
    }
