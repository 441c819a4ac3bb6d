"""Singular values of a module's change, and the factors of a lower rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch

#: Matrices with a shorter side up to this are decomposed exactly.
_EXACT_SIDE = 256
#: Further directions of a random decomposition, and its rounds: with both, its error is far below bf16's.
_OVERSAMPLED = 16
_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """`left @ diag(values) @ right`, the values falling; `energy` is the whole sum of squares."""

    left: torch.Tensor
    values: torch.Tensor
    right: torch.Tensor
    energy: float

    @classmethod
    def of_product(cls, down: torch.Tensor, up: torch.Tensor) -> Spectrum:
        """Decompose `up @ down`, which is never built: the QR decompositions of both leave a matrix of the inner width."""
        left, left_rest = torch.linalg.qr(up)
        right, right_rest = torch.linalg.qr(down.T)
        inner_left, values, inner_right = torch.linalg.svd(left_rest @ right_rest.T, full_matrices=False)
        return cls(
            left=left @ inner_left,
            values=values,
            right=inner_right @ right.T,
            energy=float(values.double().square().sum()),
        )

    @classmethod
    def of_matrix(cls, change: torch.Tensor, *, rank: int) -> Spectrum:
        """Decompose a whole matrix as far as `rank` needs it."""
        energy = float(change.double().square().sum()) if change.numel() < 1 << 20 else _energy(change)
        wanted = rank + _OVERSAMPLED
        if min(change.shape) <= max(_EXACT_SIDE, 2 * wanted):
            left, values, right = torch.linalg.svd(change, full_matrices=False)
        else:
            left, values, columns = torch.svd_lowrank(change, q=wanted, niter=_ROUNDS)
            right = columns.T
        return cls(left=left, values=values, right=right, energy=energy)

    def rank_for(self, share: float) -> int:
        """Return how many values hold this share of the energy; at least one."""
        if self.energy == 0:
            return 1
        sums = self.values.double().square().cumsum(0) / self.energy
        return min(int((sums < share).sum()) + 1, len(self.values))

    def kept(self, rank: int) -> float:
        """Return the energy of the first values."""
        return min(float(self.values[:rank].double().square().sum()), self.energy)

    def factors(self, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return down and up of that rank; each has the roots of the values, so both stay in the range of 16 bit."""
        roots = self.values[:rank].clamp(min=0).sqrt()
        return roots[:, None] * self.right[:rank], self.left[:, :rank] * roots


def _energy(change: torch.Tensor) -> float:
    """Sum the squares row by row: a whole copy of 64 bit would take twice the matrix."""
    return float(change.square().sum(dim=1).double().sum())
