"""The training objective: the error of the UNet's prediction of noise, with noise and timesteps decided by the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from lorapod.trainers.builtin.base_model import BaseModel
from lorapod.trainers.builtin.cache import Prompt
from lorapod.trainers.builtin.dataset import TrainingImage

_DRAWS_PER_STEP = 1 << 20


class Objective:
    """The loss of any batch.

    All random numbers come from the seed and the batch's number. So an interrupted training continues exactly like one
    that was not interrupted, and no generator's state has to be kept.
    """

    def __init__(
        self,
        model: BaseModel,
        *,
        images: Sequence[TrainingImage],
        latents: Sequence[torch.Tensor],
        prompts: Mapping[str, Prompt],
        seed: int,
    ) -> None:
        """Use the encoded data; `prompts` holds every caption and the empty text."""
        self._model = model
        self._images = images
        self._latents = latents
        self._prompts = prompts
        self._seed = seed

    def loss(self, batch: Sequence[int], number: int) -> torch.Tensor:
        """Return the mean squared error of a batch: the images with these indexes, and the batch's number."""
        model, scheduler = self._model, self._model.noise
        chance = torch.Generator().manual_seed((self._seed * _DRAWS_PER_STEP + number) % 2**63)
        latents = torch.stack([self._latents[index] for index in batch])
        noise = torch.randn(latents.shape, generator=chance)
        steps_in_all = int(scheduler.config["num_train_timesteps"])
        timesteps = torch.randint(0, steps_in_all, (len(batch),), generator=chance)
        dropped = torch.rand(len(batch), generator=chance)
        prompts = [
            self._prompt(index, float(chance_of)) for index, chance_of in zip(batch, dropped, strict=True)
        ]

        device, dtype = model.device, model.dtype
        noisy = scheduler.add_noise(latents, noise, timesteps)
        side = self._images[batch[0]].side
        guess = model.unet(
            noisy.to(device, dtype),
            timesteps.to(device),
            **model.conditions(*_stacked(prompts, device, dtype), side),
        ).sample
        target = noise
        if scheduler.config["prediction_type"] == "v_prediction":
            target = scheduler.get_velocity(latents, noise, timesteps)
        return functional.mse_loss(guess.float(), target.to(device))

    def _prompt(self, index: int, chance: float) -> Prompt:
        image = self._images[index]
        return self._prompts["" if chance < image.caption_dropout_rate else image.caption]


def _stacked(
    prompts: Sequence[Prompt], device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor | None]:
    embeds = torch.stack([prompt.embeds for prompt in prompts]).to(device, dtype)
    pooled: list[Any] = [prompt.pooled for prompt in prompts if prompt.pooled is not None]
    return embeds, torch.stack(pooled).to(device, dtype) if pooled else None
