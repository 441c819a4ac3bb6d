"""What processes leave that are not trainings: one set of optional fields for all kinds, by their names in answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lorapod.wire.catalog import ModelCardView
from lorapod.wire.model import ProcessId, RelativePath, WireModel
from lorapod.wire.sweep import SweepTraining


class FailedItem(WireModel):
    """One item that a process could not do."""

    name: str = Field(description="The item, by its name in the dataset.")
    error: str = Field(description="Why, in one sentence.")


class CellView(WireModel):
    """One image of a comparison."""

    process_id: ProcessId | None = Field(
        default=None, description="The training that made the LoRA, if known."
    )
    lora: str = Field(description="Name of the LoRA's file.")
    variant_label: str | None = Field(
        default=None,
        description="What is special to its training, if that belongs to a sweep, e.g. `rank 8, learning rate 0.0001`.",
    )
    step: int | None = Field(default=None, description="Steps that it was trained for, if known.")
    weight: float = Field(description="How strongly it acts; 0: the base model alone.")
    prompt: str = Field(description="What it shows.")
    seed: int = Field(description="The seed.")
    path: RelativePath = Field(description="The image, relative to the workspace.")
    scores: dict[str, float] | None = Field(default=None, description="What it scored, by the score's name.")


class RecommendedView(WireModel):
    """The checkpoint that scored best."""

    process_id: ProcessId | None = Field(default=None, description="The training.")
    lora: str | None = Field(default=None, description="Name of the LoRA's file.")
    variant_label: str | None = Field(
        default=None, description="What is special to its training, if that belongs to a sweep."
    )
    step: int | None = Field(default=None, description="The checkpoint.")
    weight: float = Field(description="The weight.")


class RankedView(RecommendedView):
    """One checkpoint and weight of a comparison, in the order of their scores."""

    place: int | None = Field(
        default=None,
        description="1 is the best; LoRAs that prompts and seeds cannot tell apart may share a place.",
    )
    score: float = Field(description="All its scores in one number; higher is better.")
    reasons: list[str] = Field(default=[], description="Why it has this place, one sentence for each reason.")


class ScoreModelView(WireModel):
    """A model that scored images."""

    scores: list[str] = Field(description="Names of the scores that it made.")
    model: str = Field(description="A Hub id, or a folder in the workspace.")
    revision: str | None = Field(default=None, description="The Hub's commit, if it came from there.")


class ProcessResults(WireModel):
    """The results of a process; each kind fills its own fields, which are left out until then."""

    captioned: int | None = Field(default=None, description="`caption_dataset`: images that got a caption.")
    skipped: int | None = Field(
        default=None, description="`caption_dataset`: images that keep the caption that they had."
    )
    failed: list[FailedItem] | None = Field(
        default=None, description="`caption_dataset`: images that got no caption; the first 100."
    )
    failed_count: int | None = Field(
        default=None, description="How many failed, if `failed` does not name all."
    )
    grid_path: RelativePath | None = Field(
        default=None, description="`compare`: all cells in one PNG, with the dataset beside them."
    )
    cells: list[CellView] | None = Field(
        default=None, description="`compare`: the images; after a cancel those that are drawn."
    )
    drawn: int | None = Field(default=None, description="`compare`: cells that this run has drawn.")
    kept: int | None = Field(
        default=None, description="`compare`: cells that were drawn before, and were used again."
    )
    ranking: list[RankedView] | None = Field(
        default=None, description="`compare`: checkpoints and weights, the best first."
    )
    recommended: RecommendedView | None = Field(
        default=None, description="`compare`: the best of them; left out if they cannot be told apart."
    )
    score_models: list[ScoreModelView] | None = Field(
        default=None, description="`compare`: the models that scored."
    )
    path: RelativePath | None = Field(
        default=None,
        description="`download_model`, `merge_loras`, `resize_lora`, `convert_lora`: the new file.",
    )
    size_bytes: int | None = Field(default=None, description="Size of that file.")
    sha256: str | None = Field(default=None, description="Digest of that file.")
    model: ModelCardView | None = Field(
        default=None, description="`merge_loras`, `resize_lora`, `convert_lora`: the new LoRA's card."
    )
    rank: int | None = Field(default=None, description="The largest rank of one of its modules.")
    kept_energy: float | None = Field(
        default=None,
        description="Share of the change (the sum of its squared singular values) that is left after its rank was cut.",
    )
    modules: int | None = Field(default=None, description="How many modules of the base model it changes.")
    format: str | None = Field(
        default=None, description="How its tensors are named: `diffusers`, `kohya`, `comfyui` or `other`."
    )
    dtypes: list[str] | None = Field(default=None, description="Number formats of its matrices, e.g. `BF16`.")
    processes: list[SweepTraining] | None = Field(
        default=None, description="`train` with `variants`: the trainings of the sweep, in order."
    )
    warnings: list[str] = Field(default=[], description="What you should know, but need not change.")

    @classmethod
    def fields_of(cls, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a record's `outcome` appears in an answer under its own name."""
        return {name: value for name, value in outcome.items() if name in ProcessResults.model_fields}
