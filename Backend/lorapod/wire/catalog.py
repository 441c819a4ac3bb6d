"""Models as `list_models` and its siblings show them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from lorapod.wire.model import Moment, RelativePath, WireModel

Line = Annotated[str, StringConstraints(max_length=300)]


class ModelNotes(WireModel):
    """What people wrote about a model."""

    title: Line | None = Field(default=None, description="Its name for people.")
    description: str | None = Field(default=None, max_length=20_000, description="What it is, in any length.")
    author: Line | None = Field(default=None, description="Who made it.")
    license: Line | None = Field(default=None, description="Under which terms.")
    base_model: Line | None = Field(default=None, description="The model that it was trained on.")
    trigger_words: list[Line] | None = Field(
        default=None, max_length=100, description="Words that trigger what it has learnt."
    )
    tags: list[Line] | None = Field(default=None, max_length=100, description="To find it by.")
    usage_hint: str | None = Field(default=None, max_length=5_000, description="How it is best used.")
    source: str | None = Field(default=None, max_length=2_000, description="Where it came from.")


class ModelView(WireModel):
    """One model in a list."""

    path: RelativePath | None = Field(
        default=None, description="Relative to the workspace; left out if an engine keeps it elsewhere."
    )
    name: str = Field(
        description="Path below the folder of its kind, without the suffix; LoRAs of trainings begin with `trained/`."
    )
    kind: str = Field(
        description="What it is for, by its folder, or by its content if the folder does not say it."
    )
    format: str | None = Field(
        default=None, description="`safetensors`, another suffix, or `diffusers` for a folder."
    )
    size_bytes: int | None = Field(
        default=None, description="Size in bytes; of a folder, all its files together."
    )
    modified_at: Moment | None = Field(default=None, description="When its content last changed.")
    whole: bool | None = Field(
        default=None, description="Whether a safetensors file has all the bytes that its header promises."
    )
    process_id: str | None = Field(default=None, description="The training that wrote it.")
    step: int | None = Field(default=None, description="Steps it was trained for.")
    rank: int | None = Field(default=None, description="Rank of a LoRA.")
    base_model: str | None = Field(
        default=None, description="Model that it was trained on: from its card, or from its header."
    )
    trigger_words: list[str] | None = Field(
        default=None, description="Words that trigger it: from its card, or from its header."
    )
    title: str | None = Field(default=None, description="Its name for people.")
    tags: list[str] | None = Field(default=None, description="From its card.")


class TrainingNotes(WireModel):
    """How a model was trained, as far as its header shows it."""

    steps: int | None = Field(default=None, description="Steps.")
    epochs: int | None = Field(default=None, description="Epochs.")
    images: int | None = Field(default=None, description="Images that it was trained on.")
    rank: int | None = Field(default=None, description="Rank of the LoRA.")
    alpha: float | None = Field(default=None, description="Alpha of the LoRA.")
    learning_rate: float | None = Field(default=None, description="Learning rate.")
    resolution: str | None = Field(default=None, description="Size of the images.")
    optimizer: str | None = Field(default=None, description="Optimizer.")
    seed: int | None = Field(default=None, description="Seed.")
    trainer: str | None = Field(default=None, description="The program that trained it.")
    finished_at: str | None = Field(default=None, description="When, as the trainer wrote it.")
    output_name: str | None = Field(default=None, description="What the trainer called it.")


class ModelCardView(ModelView):
    """All that is known of one model."""

    description: str | None = Field(default=None, description="What it is.")
    author: str | None = Field(default=None, description="Who made it.")
    license: str | None = Field(default=None, description="Under which terms.")
    usage_hint: str | None = Field(default=None, description="How it is best used.")
    source: str | None = Field(default=None, description="Where it came from.")
    sha256: str | None = Field(default=None, description="Of the whole file, hexadecimal.")
    architecture: str | None = Field(default=None, description="`modelspec.architecture` of its header.")
    tensor_count: int | None = Field(default=None, description="How many tensors it has.")
    dtypes: dict[str, int] | None = Field(default=None, description="Tensors of each type.")
    is_lora: bool | None = Field(default=None, description="Whether its tensors are a LoRA's.")
    training: TrainingNotes | None = Field(default=None, description="How it was trained.")
    metadata: dict[str, Any] | None = Field(
        default=None,
        description="The header's own notes, JSON in them opened; texts of more than 2,000 characters are cut.",
    )
    card_path: RelativePath | None = Field(
        default=None, description="The file beside it that holds what people wrote, if there is one."
    )
