"""Makes sample images with the LoRA in its current state."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)
from PIL import Image

from lorapod.atomic import sync_folder
from lorapod.trainers.builtin.base_model import BaseModel
from lorapod.trainers.builtin.cache import Prompt
from lorapod.trainers.builtin.config import SampleSection
from lorapod.trainers.builtin.console import following
from lorapod.trainers.builtin.dataset import with_trigger
from lorapod.trainers.builtin.prompts import SamplePrompt

_SAMPLERS = {
    "ddpm": DDPMScheduler,
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
}
_JPEG_QUALITY = 95


class Sampler:
    """A maker of the sample images of one config."""

    def __init__(self, sample: SampleSection, trigger_word: str | None, folder: Path) -> None:
        """Write images into `folder`, which is made with the first of them."""
        self._sample = sample
        self._folder = folder
        defaults = sample.model_copy(update={"neg": with_trigger(sample.neg, trigger_word, prepend=False)})
        self.prompts = [
            SamplePrompt.of(with_trigger(text, trigger_word, prepend=False), place, defaults)
            for place, text in enumerate(sample.prompts)
        ]

    @property
    def texts(self) -> list[str]:
        """Return all texts that must be encoded."""
        return [text for prompt in self.prompts for text in (prompt.text, prompt.negative)]

    def run(
        self,
        model: BaseModel,
        encoded: Mapping[str, Prompt],
        *,
        step: int,
        report: Callable[[int, int], None],
        check: Callable[[], None],
    ) -> None:
        """Make one image for each prompt, `samples/{ms}__{step:09d}_{index}.jpg`.

        Args:
            model: base model with the LoRA.
            encoded: the prompts.
            step: completed steps, for the file names.
            report: called with the number of finished images and the number of all.
            check: called often; it may raise to stop the work.
        """
        total = len(self.prompts)
        report(0, total)
        for index, prompt in following(enumerate(self.prompts), "Generating Images", total):
            image = self._image(model, prompt, encoded, check)
            self._write(image, f"{time.time_ns() // 1_000_000}__{step:09d}_{index}.jpg")
            report(index + 1, total)

    @torch.no_grad()
    def _image(
        self, model: BaseModel, wanted: SamplePrompt, encoded: Mapping[str, Prompt], check: Callable[[], None]
    ) -> Image.Image:
        pipeline, prompt, negative = model.pipeline, encoded[wanted.text], encoded[wanted.negative]
        pipeline.scheduler = _SAMPLERS[self._sample.sampler].from_config(model.noise.config)

        def on_step(_pipeline: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            check()
            return tensors

        pooled: dict[str, torch.Tensor] = {}
        if prompt.pooled is not None and negative.pooled is not None:
            pooled = {
                "pooled_prompt_embeds": prompt.pooled.unsqueeze(0).to(model.device),
                "negative_pooled_prompt_embeds": negative.pooled.unsqueeze(0).to(model.device),
            }
        training = model.unet.training
        model.unet.eval()
        try:
            latents = pipeline(
                prompt_embeds=prompt.embeds.unsqueeze(0).to(model.device),
                negative_prompt_embeds=negative.embeds.unsqueeze(0).to(model.device),
                **pooled,
                width=wanted.width,
                height=wanted.height,
                num_inference_steps=wanted.steps,
                guidance_scale=wanted.guidance,
                generator=torch.Generator().manual_seed(wanted.seed),
                output_type="latent",
                callback_on_step_end=on_step,
            ).images
        finally:
            model.unet.train(training)
        vae = pipeline.vae
        pixels = vae.decode(latents.float() / vae.config.scaling_factor).sample
        image: Image.Image = pipeline.image_processor.postprocess(pixels, output_type="pil")[0]
        return image

    def _write(self, image: Image.Image, name: str) -> None:
        """Write one image by a rename, because the worker sends images as soon as they appear."""
        self._folder.mkdir(exist_ok=True)
        staged = self._folder / f".{name}.tmp"
        try:
            image.save(staged, "JPEG", quality=_JPEG_QUALITY)
            staged.replace(self._folder / name)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
