"""What a LoRA tool was asked to do, as the orders of its processes store it; paths are relative to the workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from lorapod.lora_tools.names import KeyFormat


class MergeMethod(StrEnum):
    """How several LoRAs become one."""

    #: All matrices side by side: exactly the sum of their effects; the ranks add up.
    CAT = "cat"
    #: The sum of their effects, brought to a rank.
    SVD = "svd"
    #: The sums of the matrices themselves: only for LoRAs that began from the same weights.
    LINEAR = "linear"
    #: Only the large changes of each, and of those only the ones whose sign most agree on.
    TIES = "ties"
    #: Random changes of each, the rest made larger in turn.
    DARE = "dare"


@dataclass(frozen=True, kw_only=True)
class MergeSource:
    """One LoRA of a merge."""

    path: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class MergeOrder:
    """Several LoRAs to make one of."""

    name: str
    loras: Sequence[MergeSource]
    method: MergeMethod = MergeMethod.CAT
    #: Rank of the result of `svd`, `ties` and `dare`; None: the largest of the module's LoRAs.
    rank: int | None = None
    #: Share of the changes that `ties` and `dare` keep.
    density: float = 0.5
    #: Of the random choice of `dare`.
    seed: int = 0

    @property
    def sources(self) -> Sequence[MergeSource]:
        """The LoRAs that it reads."""
        return self.loras


@dataclass(frozen=True, kw_only=True)
class ResizeOrder:
    """A LoRA to make smaller."""

    name: str
    path: str
    #: The largest rank that a module keeps; None: `energy` decides.
    rank: int | None = None
    #: The share of each module's energy (the sum of its squared singular values) that is kept at least.
    energy: float | None = None

    @property
    def sources(self) -> Sequence[MergeSource]:
        """The LoRA that it reads."""
        return [MergeSource(path=self.path)]


@dataclass(frozen=True, kw_only=True)
class ConvertOrder:
    """A LoRA to name the tensors of as another program reads them."""

    name: str
    path: str
    format: KeyFormat

    @property
    def sources(self) -> Sequence[MergeSource]:
        """The LoRA that it reads."""
        return [MergeSource(path=self.path)]


LoraToolOrder = MergeOrder | ResizeOrder | ConvertOrder

#: By the type of the process.
ORDER_TYPES: Mapping[str, type[MergeOrder | ResizeOrder | ConvertOrder]] = {
    "merge": MergeOrder,
    "resize": ResizeOrder,
    "convert": ConvertOrder,
}


def lora_order(kind: str, stored: Mapping[str, Any]) -> LoraToolOrder:
    """Read the JSON values of the order of a process of that type."""
    return TypeAdapter(ORDER_TYPES[kind]).validate_python(dict(stored))
