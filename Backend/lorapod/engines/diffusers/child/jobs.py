"""What the child does: load a pipeline, and make images with it."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from lorapod.engines.diffusers.child.image_generator import GenerationCancelled, ImageGenerator
from lorapod.engines.diffusers.child.loading import load_model
from lorapod.engines.diffusers.messages import Generate, Load, Loaded
from lorapod.processes.resident.messages import Cancelled, Message


class DiffusersJobs:
    """Holds the pipeline that is loaded."""

    memory_hint = "Ask for a smaller image, use a smaller model, or take a larger GPU."

    def __init__(self) -> None:
        """Begin with nothing loaded."""
        self._generator: ImageGenerator | None = None

    def carry_out(
        self, request: Load | Generate, send: Callable[[Message], None], cancelled: Callable[[], bool]
    ) -> Message:
        """Load, or make images."""
        if isinstance(request, Load):
            return self._load(request)
        assert self._generator is not None, "nothing is loaded"
        try:
            return self._generator.generate(request, send, cancelled)
        except GenerationCancelled:
            self.tidy()
            return Cancelled(job=request.job)

    def tidy(self) -> None:
        """Give back memory that nothing uses."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load(self, request: Load) -> Message:
        # First of all: there may be room for one model only.
        self._generator = None
        self.tidy()
        model = load_model(request)
        self._generator = ImageGenerator(model)
        self.tidy()
        return Loaded(
            pipeline=type(model.text_to_image).__name__,
            device=model.device,
            dtype=str(model.dtype).removeprefix("torch."),
        )
