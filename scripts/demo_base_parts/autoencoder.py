"""The VAE: 64 x 64 pixels to 16 x 16 latents and back."""

from __future__ import annotations

import logging
import time

import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from demo_base_parts.pictures import as_floats

log = logging.getLogger("demo_base")

_RATE = 2e-3
#: Weight of the latents' distance from a normal distribution.
_KL = 1e-3
#: First small crops, which show more pictures in the same time, then whole pictures.
_CROP, _CROP_BATCH, _WHOLE_BATCH = 32, 32, 16
_WHOLE_SHARE = 0.15
_DECODER_RATE = 1e-3
_DECODER_WHOLE_BATCH, _WHOLE_DECODER_SHARE = 12, 0.2
#: The decoder sees latents with a part of the encoder's spread, as the UNet will not draw them exactly.
_DECODER_NOISE = 0.7
#: Pixels in one latent.
_FACTOR = 4


def new_vae() -> AutoencoderKL:
    """Return a VAE with random weights."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
    )


def train_vae(pixels: torch.Tensor, *, steps: int, seed: int) -> AutoencoderKL:
    """Return a VAE that was trained on pictures given as bytes."""
    torch.manual_seed(seed)
    vae = new_vae()
    optimizer = torch.optim.Adam(vae.parameters(), lr=_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_RATE, total_steps=steps, pct_start=0.05)
    began = time.monotonic()
    for step in range(steps):
        images = _batch(pixels, whole=step >= steps * (1 - _WHOLE_SHARE))
        latents = vae.encode(images).latent_dist
        decoded = vae.decode(latents.sample()).sample
        error = functional.l1_loss(decoded, images) + functional.mse_loss(decoded, images)
        loss = error + _KL * latents.kl().mean() / latents.mean[0].numel()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            log.info("VAE step %d: error %.4f, %.0f s", step, error.item(), time.monotonic() - began)
    vae.requires_grad_(requires_grad=False).eval()
    return vae


def train_decoder(
    vae: AutoencoderKL, pixels: torch.Tensor, latents: torch.Tensor, *, steps: int, seed: int
) -> None:
    """Train only the decoder on, so that it draws sharper edges; `latents` are the encoded pictures."""
    torch.manual_seed(seed)
    weights = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    for weight in weights:
        weight.requires_grad_(requires_grad=True)
    optimizer = torch.optim.Adam(weights, lr=_DECODER_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    began, mean_error = time.monotonic(), 0.1
    for step in range(1, steps + 1):
        images, parameters = _pairs(pixels, latents, whole=step >= steps * (1 - _WHOLE_DECODER_SHARE))
        mean, log_variance = parameters.chunk(2, dim=1)
        spread = (0.5 * log_variance).exp()
        decoded = vae.decode(mean + _DECODER_NOISE * spread * torch.randn(mean.shape)).sample
        error = functional.l1_loss(decoded, images)
        (error + functional.mse_loss(decoded, images)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        mean_error += 0.02 * (error.item() - mean_error)
        if step % 50 == 0:
            log.info("decoder step %d: error %.4f, %.0f s", step, mean_error, time.monotonic() - began)
    vae.requires_grad_(requires_grad=False).eval()


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: torch.Tensor, batch: int = 64) -> torch.Tensor:
    """Return the latents' means and log variances of all pictures, not scaled, (count, 8, 16, 16)."""
    return torch.cat(
        [vae.encode(as_floats(part)).latent_dist.parameters for part in torch.split(pixels, batch)]
    )


def _batch(pixels: torch.Tensor, *, whole: bool) -> torch.Tensor:
    if whole:
        return as_floats(pixels[torch.randint(len(pixels), (_WHOLE_BATCH,))])
    chosen = pixels[torch.randint(len(pixels), (_CROP_BATCH,))]
    most = pixels.shape[-1] - _CROP + 1
    corners = torch.randint(most, (_CROP_BATCH, 2)).tolist()
    crops = [
        image[:, top : top + _CROP, left : left + _CROP]
        for image, (top, left) in zip(chosen, corners, strict=True)
    ]
    return as_floats(torch.stack(crops))


def _pairs(pixels: torch.Tensor, latents: torch.Tensor, *, whole: bool) -> tuple[torch.Tensor, torch.Tensor]:
    if whole:
        chosen = torch.randint(len(pixels), (_DECODER_WHOLE_BATCH,))
        return as_floats(pixels[chosen]), latents[chosen]
    chosen = torch.randint(len(pixels), (_CROP_BATCH,))
    side = _CROP // _FACTOR
    corners = torch.randint(latents.shape[-1] - side + 1, (_CROP_BATCH, 2)).tolist()
    places = list(zip(chosen.tolist(), corners, strict=True))
    images = [
        pixels[number][:, y * _FACTOR : y * _FACTOR + _CROP, x * _FACTOR : x * _FACTOR + _CROP]
        for number, (y, x) in places
    ]
    parts = [latents[number][:, y : y + side, x : x + side] for number, (y, x) in places]
    return as_floats(torch.stack(images)), torch.stack(parts)
