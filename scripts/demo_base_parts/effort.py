"""How much is drawn and trained for the demo's base model."""

from __future__ import annotations

from dataclasses import dataclass

#: Pictures in a batch of each step of the UNet.
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is drawn and trained; the defaults made the model that is shipped."""

    scenes: int = 24_000
    loose_shapes: int = 4_000
    #: The VAE learns from the first of the scenes.
    vae_scenes: int = 12_000
    vae_steps: int = 1600
    decoder_steps: int = 5000
    unet_steps: int = 3250
    #: The learning rate falls as if so many steps came.
    unet_schedule: int = 4000

    def told(self, unet_steps: int) -> str:
        """Return what was trained, for the card; `unet_steps` are done."""
        early = ""
        if unet_steps < self.unet_schedule:
            early = (
                f", and stopped there: the learning rate was on its way to zero at step {self.unet_schedule}"
            )
        return (
            f"VAE {self.vae_steps} steps on {self.vae_scenes} pictures and {self.loose_shapes} of loose shapes, its decoder "
            f"{self.decoder_steps} more on {self.scenes} and the same shapes; UNet and text encoder {unet_steps} steps of "
            f"{BATCH} pictures{early}. Of these two, the moving average over the steps is kept"
        )


#: Enough to see that everything works; its model draws nothing.
QUICK = Effort(
    scenes=20,
    loose_shapes=4,
    vae_scenes=10,
    vae_steps=2,
    decoder_steps=2,
    unet_steps=1,
    unet_schedule=10,
)
