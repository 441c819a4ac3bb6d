"""Make the images of one generation with the loaded pipeline."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from lorapod.engines.diffusers.child.arguments import (
    SCHEDULER,
    Arguments,
    arguments_for,
    fresh,
    scheduler_named,
)
from lorapod.engines.diffusers.child.images import read_input, read_mask, rounded, write_png
from lorapod.engines.diffusers.child.loading import LoadedModel, PipelineForm
from lorapod.engines.diffusers.child.loras import LoadedLoras
from lorapod.engines.diffusers.messages import Generate, Made, MadeImage, StepProgress
from lorapod.errors import InvalidInput, WorkerError

#: The side of images, in pixels, if the model does not name one.
_USUAL_SIDE = 1024

Report = Callable[[StepProgress], None]


class GenerationCancelled(Exception):
    """The generation was cancelled."""


class ImageGenerator:
    """Holds one loaded model and its LoRAs."""

    def __init__(self, model: LoadedModel) -> None:
        """Paint with `model`."""
        self._model = model
        self._loras = LoadedLoras(model.text_to_image, model=model.name)

    def generate(self, request: Generate, report: Report, cancelled: Callable[[], bool]) -> Made:
        """Make every image, one after the other: memory for one is enough, and each is what its seed alone gives.

        Args:
            request: what to make.
            report: called after every step.
            cancelled: asked after every step.

        Raises:
            GenerationCancelled: `cancelled` said so; images that are done stay.
            WorkerError: it cannot be made so.
            OSError: an image could not be written.
        """
        pipeline = self._model.pipeline(_form(request))
        arguments = arguments_for(pipeline, request)
        arguments.warnings.extend(self._loras.use(request.loras))
        self._set_scheduler(pipeline, request, arguments)
        self._set_size(pipeline, request, arguments)
        made = []
        for index in range(request.num_images):
            seed = request.seed + index
            watch = _Watch(request, index, pipeline, report, cancelled)
            image = self._one_image(pipeline, arguments, watch, seed)
            path = request.folder / f"image_{index:03d}.png"
            facts = self._facts(pipeline, arguments)
            write_png(image, path, request, seed=seed, model=self._model.name, facts=facts)
            made.append(MadeImage(path=path, seed=seed))
            if index == 0:
                _warn_of_other_size(image, arguments)
        return Made(job=request.job, images=tuple(made), warnings=tuple(arguments.warnings))

    def _one_image(self, pipeline: Any, arguments: Arguments, watch: _Watch, seed: int) -> Image.Image:
        generator = torch.Generator("cpu").manual_seed(seed)
        try:
            result = pipeline(**arguments.given, **watch.callback(), generator=generator, output_type="pil")
        except (ValueError, TypeError, IndexError, NotImplementedError) as error:
            reason = " ".join(str(error).split())
            raise InvalidInput(
                f"{type(pipeline).__name__} refuses the request: {reason[:500]}",
                hint="Check params, steps, strength and size.",
            ) from error
        image = result.images[0]
        if not isinstance(image, Image.Image):
            raise WorkerError(f"{type(pipeline).__name__} made no image.")
        mask = arguments.given.get("mask_image")
        if mask is not None and image.size == mask.size:
            # The model makes every pixel again, only nearly as it was.
            return Image.composite(image, arguments.given["image"], mask)
        return image

    def _set_scheduler(self, pipeline: Any, request: Generate, arguments: Arguments) -> None:
        """Give the pipeline a fresh scheduler, without the state of an earlier generation."""
        own, name = self._model.scheduler, request.params.get(SCHEDULER)
        if own is None:
            if name is not None:
                arguments.warnings.append("params.scheduler was left out: the model has none.")
            return
        pipeline.scheduler = fresh(own) if name is None else scheduler_named(str(name), own)

    def _set_size(self, pipeline: Any, request: Generate, arguments: Arguments) -> None:
        size = {name: getattr(request, name) for name in ("width", "height")}
        for name, side in size.items():
            if side is not None and rounded(side) != side:
                arguments.warnings.append(f"{name} {side} was rounded to {rounded(side)}, a multiple of 8.")
        taken = inspect.signature(pipeline.__call__).parameters
        if request.image is not None:
            wished = (request.width, request.height)
            image = read_input(request.image, wished, side=_side(self._model.text_to_image))
            arguments.given["image"] = image
            if request.mask is not None:
                arguments.given["mask_image"] = read_mask(request.mask, image.size)
            size = {"width": image.width, "height": image.height}
        for name, side in size.items():
            if side is not None and name in taken:
                arguments.given[name] = rounded(side)
            elif side is not None and request.image is None:
                arguments.warnings.append(f"{name} has no effect: {type(pipeline).__name__} takes none.")

    def _facts(self, pipeline: Any, arguments: Arguments) -> list[tuple[str, str]]:
        taken = inspect.signature(pipeline.__call__).parameters
        facts = []
        for label, name in (("Steps", "num_inference_steps"), ("CFG scale", "guidance_scale")):
            value = arguments.given.get(name, taken[name].default if name in taken else None)
            if isinstance(value, int | float):
                facts.append((label, f"{value:g}"))
        if self._model.scheduler is not None:
            facts.append(("Sampler", type(pipeline.scheduler).__name__.removesuffix("Scheduler")))
        return facts


class _Watch:
    """Counts the steps of one image, and ends it once it is cancelled."""

    def __init__(
        self, request: Generate, index: int, pipeline: Any, report: Report, cancelled: Callable[[], bool]
    ) -> None:
        self._request = request
        self._index = index
        self._pipeline = pipeline
        self._report = report
        self._cancelled = cancelled
        self._step = 0

    def callback(self) -> dict[str, Any]:
        """Return the arguments that make a pipeline call this after every step, in its old or new interface."""
        self._check()
        taken = inspect.signature(self._pipeline.__call__).parameters
        if "callback_on_step_end" in taken:
            return {"callback_on_step_end": self._on_step_end}
        return {"callback": self._on_step, "callback_steps": 1} if "callback" in taken else {}

    def _on_step_end(
        self, _pipeline: Any, _step: int, _timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        self._count()
        return tensors

    def _on_step(self, _step: int, _timestep: Any, _latents: Any) -> None:
        self._count()

    def _count(self) -> None:
        self._step += 1
        known = getattr(self._pipeline, "num_timesteps", None) or self._request.steps or self._step
        self._report(
            StepProgress(
                job=self._request.job,
                step=self._step,
                total_steps=max(int(known), self._step),
                image=self._index + 1,
            )
        )
        self._check()

    def _check(self) -> None:
        if self._cancelled():
            raise GenerationCancelled


def _form(request: Generate) -> PipelineForm:
    if request.image is None:
        return PipelineForm.TEXT
    return PipelineForm.IMAGE if request.mask is None else PipelineForm.MASK


def _side(pipeline: Any) -> int:
    """Return the side of the images that a model is made for, in pixels."""
    latent = getattr(pipeline, "default_sample_size", None)
    if latent is None:
        network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
        latent = getattr(getattr(network, "config", None), "sample_size", None)
    factor = getattr(pipeline, "vae_scale_factor", 8)
    return latent * factor if isinstance(latent, int) else _USUAL_SIDE


def _warn_of_other_size(image: Image.Image, arguments: Arguments) -> None:
    wished = (arguments.given.get("width"), arguments.given.get("height"))
    if None not in wished and wished != image.size:
        arguments.warnings.append(
            f"The model made {image.width}x{image.height} of the {wished[0]}x{wished[1]} asked for."
        )
