"""The loss of images that are held back from the training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from lorapod.trainers.builtin.objective import Objective

#: With how many draws of noise and timestep each image is looked at; the same ones at every look.
DRAWS = 4


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Looks at the loss of unseen images now and then."""

    #: Of the images that are held back.
    objective: Objective
    count: int
    #: Steps between two looks.
    every: int
    autocast: Callable[[], AbstractContextManager[Any]]

    def due(self, step: int) -> bool:
        """Return whether a look follows this step."""
        return step % self.every == 0

    @torch.no_grad()
    def loss(self) -> float:
        """Return the mean loss over all images and draws."""
        total = 0.0
        with self.autocast():
            for image in range(self.count):
                for draw in range(DRAWS):
                    total += self.objective.loss([image], image * DRAWS + draw).item()
        return total / (self.count * DRAWS)
