"""A VAE with computed instead of trained weights: 8 x 8 pixels become one latent pixel of their mean colour, and back.

Colours travel as pairs +x and -x, because silu(x) - silu(-x) = x. A pair of large constants beside them makes every
group norm a division by nearly the same number, which the norm's own weight takes back.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

#: A latent of a colour channel at full brightness, after scaling.
LATENT_PEAK = 1.5

_COLOURS = 3
_CHANNELS = 8
_LATENT_CHANNELS = 4
#: The constants; large compared to colours, which reach from -1 to 1.
_ANCHOR = 32.0
#: The root mean square of all channels, which the norm divides by.
_NORM = _ANCHOR * (2 / _CHANNELS) ** 0.5
#: Logarithm of the latents' variance, which is almost zero.
_LOG_VARIANCE = -20.0


@torch.no_grad()
def colour_vae(scaling_factor: float) -> Any:
    """Return the VAE; latents times `scaling_factor` reach from -`LATENT_PEAK` to `LATENT_PEAK`, channel 4 is 0."""
    vae: Any = AutoencoderKL(
        block_out_channels=(_CHANNELS,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=_LATENT_CHANNELS,
        norm_num_groups=1,
        sample_size=64,
        scaling_factor=scaling_factor,
    )
    # A residual block of zeros adds nothing to its input.
    for module in vae.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    peak = LATENT_PEAK / scaling_factor
    _write_coder(vae.encoder, gain_in=1.0, gain_out=peak)
    _write_coder(vae.decoder, gain_in=1 / peak, gain_out=1.0)
    vae.encoder.conv_out.bias[_LATENT_CHANNELS:] = _LOG_VARIANCE
    _pass_on(vae.quant_conv)
    _pass_on(vae.post_quant_conv)
    for block in vae.encoder.down_blocks:
        for sampler in block.downsamplers or ():
            _pass_on(sampler.conv, slice(0, 2), 1 / 4)
    for block in vae.decoder.up_blocks:
        for sampler in block.upsamplers or ():
            _pass_on(sampler.conv, slice(1, 2))
    return vae


def _write_coder(coder: Any, *, gain_in: float, gain_out: float) -> None:
    """Write the weights that split each colour into its pair at the entry and join the pairs at the exit."""
    for colour in range(_COLOURS):
        for channel, sign in ((2 * colour, 1.0), (2 * colour + 1, -1.0)):
            coder.conv_in.weight[channel, colour, 1, 1] = sign * gain_in
            coder.conv_out.weight[colour, channel, 1, 1] = sign * gain_out
    coder.conv_in.bias[-2], coder.conv_in.bias[-1] = _ANCHOR, -_ANCHOR
    coder.conv_norm_out.weight.fill_(_NORM)


def _pass_on(convolution: Any, places: slice = slice(0, 1), weight: float = 1.0) -> None:
    """Write the weights that pass each channel on unchanged, from the given rows and columns of the kernel."""
    for channel in range(convolution.out_channels):
        convolution.weight[channel, channel, places, places] = weight
