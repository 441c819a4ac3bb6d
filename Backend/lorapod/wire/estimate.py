"""How long a training takes, as answers and events show it."""

from __future__ import annotations

from pydantic import Field

from lorapod.wire.model import WireModel


class EstimateView(WireModel):
    """How long a training takes in all, and the GPU memory that it needs. What is not known is left out."""

    duration_s: float | None = Field(
        default=None,
        description="Seconds that the trainer runs, from its start to its end; after a `resume` by a person, those of the "
        "rest. Waiting for a GPU and fetching a dataset do not count.",
    )
    steps_per_s: float | None = Field(default=None, description="Steps per second.")
    basis: str | None = Field(
        default=None,
        description="`measured here`: by trainings with the same settings on this kind of GPU, or by its own steps. `measured "
        "on this GPU`: by trainings of the same model on this kind of GPU, scaled by pixels and batch size. `rule of "
        "thumb`: by the number of its operations. Without a GPU, the processor counts as the GPU.",
    )
    gpu_memory_bytes: int | None = Field(
        default=None, description="GPU memory that it needs, by rule of thumb."
    )
    gpu: str | None = Field(
        default=None,
        description="Name of the GPU that the estimate holds for; left out if it holds for a processor.",
    )
    explanation: str = Field(
        default="", description="What the speed was taken from, or why it is not known, in one sentence."
    )
