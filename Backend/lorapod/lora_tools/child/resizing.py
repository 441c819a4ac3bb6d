"""Bring the factors of one module to a smaller rank."""

from __future__ import annotations

from lorapod.lora_tools.child.factors import Factors, NewFactors
from lorapod.lora_tools.child.low_rank import Spectrum
from lorapod.lora_tools.order import ResizeOrder


def resize(factors: Factors, wanted: ResizeOrder) -> NewFactors:
    """Keep the largest singular values: `rank` of them, or as many as hold `energy`.

    A module whose rank is small enough already stays bit by bit what it is.
    """
    down, up = factors.flat()
    spectrum = Spectrum.of_product(down, up * factors.scale)
    rank = spectrum.rank_for(wanted.energy) if wanted.energy is not None else wanted.rank or factors.rank
    if rank >= factors.rank:
        return NewFactors(factors=factors, kept=spectrum.energy, energy=spectrum.energy)
    return NewFactors(
        factors=factors.unflat(*spectrum.factors(rank)), kept=spectrum.kept(rank), energy=spectrum.energy
    )
