"""The UNet and the text encoder, trained together to remove noise from latents."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn
from torch.nn import functional
from transformers import CLIPTextModel

from demo_base_parts.effort import BATCH
from demo_base_parts.text import WIDTH

log = logging.getLogger("demo_base")

#: With velocities and a schedule that ends in pure noise, a picture's colours are not read from the noise.
SCHEDULE = {
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    # diffusers warns of any other; with this spacing it changes nothing.
    "steps_offset": 1,
}
_RATE = 1e-3
_WARM_UP = 150
#: Share of captions that are left empty, for guidance.
_EMPTY = 0.1
_EMA = 0.998
_CHECKPOINT_EVERY = 250


def new_unet() -> UNet2DConditionModel:
    """Return a UNet with random weights."""
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(48, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        # The prompt reaches every layer, beside its way through the attention.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


class Denoiser(nn.Module):
    """The two networks as one."""

    def __init__(self, unet: UNet2DConditionModel, encoder: CLIPTextModel) -> None:
        """Train these two."""
        super().__init__()
        self.unet, self.encoder = unet, encoder

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Return the velocity; `words` are tokens."""
        states = self.encoder(input_ids=words).last_hidden_state
        guess: torch.Tensor = self.unet(noisy, timesteps, encoder_hidden_states=states).sample
        return guess


def train_denoiser(
    model: Denoiser,
    latents: torch.Tensor,
    words: torch.Tensor,
    empty: torch.Tensor,
    *,
    steps: int,
    schedule_steps: int,
    seed: int,
    checkpoint: Callable[[Denoiser, int], None],
) -> Denoiser:
    """Return the moving average of the model while it trains.

    Args:
        model: with random weights.
        latents: means and standard deviations, scaled, (count, 8, 16, 16).
        words: the captions' tokens, (count, length).
        empty: the tokens of the empty caption.
        steps: of the training.
        schedule_steps: after which the learning rate would be zero.
        seed: of batches, noise and timesteps.
        checkpoint: called now and then with the average and the number of steps done.
    """
    torch.manual_seed(seed)
    scheduler = DDPMScheduler(**SCHEDULE)
    average = copy.deepcopy(model).requires_grad_(requires_grad=False).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=_RATE,
        total_steps=schedule_steps,
        pct_start=_WARM_UP / max(schedule_steps, 2 * _WARM_UP),
    )
    began, mean_loss = time.monotonic(), 1.0
    for step in range(1, steps + 1):
        chosen = torch.randint(len(latents), (BATCH,))
        mean, spread = latents[chosen].chunk(2, dim=1)
        clean = mean + spread * torch.randn(mean.shape)
        said = torch.where(torch.rand(BATCH, 1) < _EMPTY, empty, words[chosen])
        noise = torch.randn(clean.shape)
        # One timestep from each equal part of all: the loss of a batch then varies less.
        timesteps = ((torch.arange(BATCH) + torch.rand(BATCH)) / BATCH * 1000).long()
        noisy = scheduler.add_noise(clean, noise, timesteps).contiguous(memory_format=torch.channels_last)
        guess = model(noisy, timesteps, said)
        loss = functional.mse_loss(guess, scheduler.get_velocity(clean, noise, timesteps))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        share = min(_EMA, step / (step + 20))
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - share)
        mean_loss += 0.02 * (loss.item() - mean_loss)
        if step % 50 == 0:
            log.info("UNet step %d: loss %.4f, %.0f s", step, mean_loss, time.monotonic() - began)
        if step % _CHECKPOINT_EVERY == 0:
            checkpoint(average, step)
    return average
