"""Merge the factors that several LoRAs have for one module; the arithmetic is peft's where it has a function for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lorapod.errors import InvalidInput
from lorapod.lora_tools.child.factors import Factors, NewFactors
from lorapod.lora_tools.child.low_rank import Spectrum
from lorapod.lora_tools.child.ties import merge_by_ties
from lorapod.lora_tools.order import MergeMethod, MergeOrder


@dataclass(frozen=True, kw_only=True)
class Share:
    """The module of one LoRA, and the LoRA's weight."""

    factors: Factors
    weight: float

    @property
    def strength(self) -> float:
        """Return the factor of `up @ down`."""
        return self.weight * self.factors.scale


def merge(module: str, shares: Sequence[Share], wanted: MergeOrder) -> NewFactors:
    """Merge one module.

    Raises:
        InvalidInput: `linear` of different ranks.
    """
    if wanted.method is MergeMethod.CAT:
        return NewFactors(factors=_common(shares, *_side_by_side(shares)))
    if wanted.method is MergeMethod.LINEAR:
        return NewFactors(factors=_common(shares, *_sums(module, shares)))
    rank = wanted.rank or max(share.factors.rank for share in shares)
    if wanted.method is MergeMethod.SVD:
        spectrum = Spectrum.of_product(*_side_by_side(shares))
    else:
        spectrum = Spectrum.of_matrix(_change(shares, wanted), rank=rank)
    rank = min(rank, len(spectrum.values))
    return NewFactors(
        factors=_common(shares, *spectrum.factors(rank)), kept=spectrum.kept(rank), energy=spectrum.energy
    )


def _common(shares: Sequence[Share], down: torch.Tensor, up: torch.Tensor) -> Factors:
    """Return the matrices in the number format that holds those of all shares."""
    dtype = shares[0].factors.dtype
    for share in shares[1:]:
        dtype = torch.promote_types(dtype, share.factors.dtype)
    first = shares[0].factors
    return Factors(
        down=down.reshape(-1, *first.down.shape[1:]).to(dtype),
        up=up.reshape(up.shape[0], -1, *first.up.shape[2:]).to(dtype),
    )


def _side_by_side(shares: Sequence[Share]) -> tuple[torch.Tensor, torch.Tensor]:
    downs, ups = [], []
    for share in shares:
        down, up = share.factors.flat()
        root = math.sqrt(abs(share.strength))
        downs.append(down * math.copysign(root, share.strength))
        ups.append(up * root)
    return torch.cat(downs, dim=0), torch.cat(ups, dim=1)


def _sums(module: str, shares: Sequence[Share]) -> tuple[torch.Tensor, torch.Tensor]:
    """Add up the matrices as peft's `add_weighted_adapter` does: the root of the weight on each of the two."""
    ranks = sorted({share.factors.rank for share in shares})
    if len(ranks) > 1:
        raise InvalidInput(
            f"`linear` needs LoRAs of one rank; for {module} they have {' and '.join(map(str, ranks))}.",
            hint="Use the method `cat` or `svd`.",
        )
    # Imported where it is needed: peft brings transformers, which takes seconds.
    from peft.utils.merge_utils import task_arithmetic

    flat = [share.factors.flat() for share in shares]
    roots = torch.tensor([math.sqrt(abs(share.strength)) for share in shares])
    signs = torch.tensor([math.copysign(1.0, share.strength) for share in shares])
    down: torch.Tensor = task_arithmetic([down for down, _ in flat], roots * signs)
    up: torch.Tensor = task_arithmetic([up for _, up in flat], roots)
    return down, up


def _change(shares: Sequence[Share], wanted: MergeOrder) -> torch.Tensor:
    """Return the merged change of the module's whole weight."""
    changes = []
    for share in shares:
        down, up = share.factors.flat()
        changes.append(up @ down * share.factors.scale)
    if wanted.method is MergeMethod.TIES:
        return merge_by_ties(changes, [share.weight for share in shares], wanted.density)
    # Imported where it is needed: peft brings transformers, which takes seconds.
    from peft.utils.merge_utils import dare_linear

    change: torch.Tensor = dare_linear(
        changes, torch.tensor([share.weight for share in shares]), wanted.density
    )
    return change
