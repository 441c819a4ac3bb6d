"""The two matrices of one module."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from lorapod.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Factors:
    """A module's weight changes by `scale * up @ down`; of a convolution, `down` has the kernel and `up` is 1 x 1."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float = 1.0
    #: DoRA.
    magnitude: torch.Tensor | None = None

    @property
    def rank(self) -> int:
        """Return the inner width."""
        return self.down.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Return the number format that holds both matrices."""
        return torch.promote_types(self.down.dtype, self.up.dtype)

    def flat(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both as matrices of 32 bit: rank x inputs, outputs x rank."""
        return self.down.float().flatten(1), self.up.float().flatten(1)

    def unflat(self, down: torch.Tensor, up: torch.Tensor) -> Factors:
        """Return the factors of the same module with other matrices, of scale 1 and in this number format."""
        return replace(
            self,
            down=down.to(self.dtype).reshape(-1, *self.down.shape[1:]),
            up=up.to(self.dtype).reshape(up.shape[0], -1, *self.up.shape[2:]),
            scale=1.0,
        )

    def baked(self) -> Factors:
        """Return the same change with scale 1; the matrices stay bit by bit what they are if the scale is 1 already."""
        if self.scale == 1.0:
            return self
        return replace(self, up=(self.up.float() * self.scale).to(self.up.dtype), scale=1.0)

    def check_finite(self, module: str, file: str) -> None:
        """Refuse a LoRA that would turn every image black.

        Raises:
            InvalidInput: a value is not a finite number.
        """
        tensors = [self.down, self.up] + ([] if self.magnitude is None else [self.magnitude])
        # A sum is not finite if one summand is not: much less memory than a mask.
        if not all(bool(torch.isfinite(tensor.float().sum())) for tensor in tensors):
            raise InvalidInput(
                f"{file} holds NaN or infinite values, in {module}.",
                hint="Use an earlier checkpoint, or train again with a lower learning rate.",
            )


@dataclass(frozen=True, kw_only=True)
class NewFactors:
    """A module of the new LoRA, and its energy before and after its rank was cut; None: it was not cut."""

    factors: Factors
    kept: float | None = None
    energy: float | None = None
