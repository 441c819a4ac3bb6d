"""What the child does: load a model, and caption images with it."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from lorapod.captioners.transformers.child.batches import BatchSize, CaptionBatches, OpenedItem
from lorapod.captioners.transformers.child.loading import load
from lorapod.captioners.transformers.child.model import CaptionModelRunner
from lorapod.captioners.transformers.messages import Caption, CaptionerLoaded, LoadCaptioner
from lorapod.processes.resident.messages import Message

#: Items at a time, by device: a processor gains nothing from more.
_USUAL = {"cuda": 8}


class CaptionJobs:
    """Holds the model that is loaded."""

    memory_hint = "Use a smaller model, or take a larger GPU."

    def __init__(self) -> None:
        """Begin with nothing loaded."""
        self._runner: CaptionModelRunner | None = None
        self._size = BatchSize(1)

    def carry_out(
        self,
        request: LoadCaptioner | Caption,
        send: Callable[[Message], None],
        cancelled: Callable[[], bool],
    ) -> Message:
        """Load, or caption."""
        if isinstance(request, LoadCaptioner):
            return self._load(request)
        runner = self._runner
        assert runner is not None, "nothing is loaded"

        def ask(batch: list[OpenedItem]) -> list[str]:
            return runner.texts(
                [opened.pictures for opened in batch],
                [
                    runner.prompt_for(opened.item.prompt, request.style, own=request.own_prompt)
                    for opened in batch
                ],
                max_new_tokens=request.max_new_tokens,
                cancelled=cancelled,
            )

        return CaptionBatches(
            request=request, ask=ask, size=self._size, send=send, cancelled=cancelled, tidy=self.tidy
        ).run()

    def tidy(self) -> None:
        """Give back memory that nothing uses."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load(self, request: LoadCaptioner) -> Message:
        # First of all: there may be room for one model only.
        self._runner = None
        self.tidy()
        model, processor = load(request)
        self._runner = CaptionModelRunner(model, processor)
        self._size = BatchSize(_USUAL.get(model.device.type, 1))
        return CaptionerLoaded(
            model_class=type(model).__name__,
            device=model.device.type,
            dtype=str(model.dtype).removeprefix("torch."),
        )
