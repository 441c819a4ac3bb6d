"""What the page shows of one training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lorapod.client.money.price_book import PriceBook
from lorapod.client.money.training_cost import TrainingCost, training_cost
from lorapod.client.report_page.curve import Curve
from lorapod.wire.variant import variant_label

LOSS = "loss/loss"
LIKENESS = "likeness"


@dataclass(frozen=True, kw_only=True)
class SampleFrame:
    """A sample of a training at one step."""

    step: int
    #: Number of its prompt, from 0.
    index: int
    prompt: str
    #: Its path on the worker.
    stored_as: str
    #: The image on this machine; None if it could not be fetched, or is a video.
    image: Path | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What is known of a training."""

    #: The answer of `process_status`.
    process: Mapping[str, Any]
    #: What is special to it, if it belongs to a sweep: knobs and their values.
    variant: Mapping[str, Any] = field(default_factory=dict)
    #: The trainer's config; empty if the worker has none.
    config: str = ""
    #: By the trainer's key, for example `loss/loss`.
    curves: Mapping[str, Curve] = field(default_factory=dict)
    #: Mean of the last losses.
    recent_loss: float | None = None
    frames: Sequence[SampleFrame] = ()
    #: Samples that the worker has, including those that the page leaves out.
    all_samples: int = 0
    #: The contact sheet of its dataset.
    dataset_sheet: Path | None = None
    #: None: the price of its worker is not known.
    cost: TrainingCost | None = None

    def priced(self, book: PriceBook) -> TrainingReport:
        """Return it with what it costs, if that is known."""
        return replace(self, cost=training_cost(self.process, book))

    @property
    def process_id(self) -> str:
        """Its id."""
        return str(self.process["process_id"])

    @property
    def name(self) -> str:
        """Its name; its id if it has none."""
        return str(self.process.get("name") or self.process_id)

    @property
    def label(self) -> str:
        """What tells it from the other trainings of the page."""
        return variant_label(self.variant) or self.name

    @property
    def images(self) -> Sequence[Path]:
        """Every image of it."""
        frames = [frame.image for frame in self.frames if frame.image is not None]
        return frames if self.dataset_sheet is None else [*frames, self.dataset_sheet]
