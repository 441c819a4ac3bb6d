"""The few values of a training that most callers want to set themselves."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from lorapod.wire.model import WireModel

#: Edge of a training image in pixels; the models' latents have an eighth of it.
Resolution = Annotated[int, Field(strict=True, ge=64, le=4096, multiple_of=8)]


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text):
        raise ValueError("must be one line, without control characters")
    return text


#: One line of text; letters of any script.
Line = Annotated[str, StringConstraints(strict=True, min_length=1), AfterValidator(_one_line)]
PromptText = Annotated[Line, StringConstraints(max_length=4000)]
TriggerWord = Annotated[Line, StringConstraints(max_length=100)]
ModelName = Annotated[Line, StringConstraints(max_length=1000)]


Rank = Annotated[int, Field(strict=True, ge=1, le=1024)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Frames = Annotated[int, Field(strict=True, ge=1, le=1025)]
DatasetName = Annotated[Line, StringConstraints(max_length=200)]
DatasetPath = Annotated[Line, StringConstraints(max_length=1024)]
#: Datasets whose images belong to the images of the same name: before an edit and after it.
ControlNames = Annotated[list[DatasetPath], Field(min_length=1, max_length=3)]


class Optimizer(StrEnum):
    """Optimizers that the trainers know; `builtin` has fewer and says so."""

    ADAM = "adam"
    ADAM_8 = "adam8"
    ADAM_8BIT = "adam8bit"
    ADAMW = "adamw"
    ADAMW_8 = "adamw8"
    ADAMW_8BIT = "adamw8bit"
    ADEMAMIX_8BIT = "ademamix8bit"
    ADAFACTOR = "adafactor"
    ADAGRAD = "adagrad"
    AUTOMAGIC = "automagic"
    AUTOMAGIC_2 = "automagic2"
    AUTOMAGIC_3 = "automagic3"
    AUTOMAGIC_EXPERIMENT = "automagicexperiment"
    DADAPTATION = "dadaptation"
    DADAPTATION_ADAM = "dadaptationadam"
    DADAPTATION_LION = "dadaptationlion"
    LION = "lion"
    LION_8BIT = "lion8bit"
    PRODIGY = "prodigy"
    PRODIGY_8BIT = "prodigy8bit"
    PRODIGY_OPT = "prodigyopt"


class Scheduler(StrEnum):
    """How the learning rate changes over the steps."""

    CONSTANT = "constant"
    #: From 0 in the first twentieth of the steps.
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    #: Down to 0 along a cosine.
    COSINE = "cosine"
    COSINE_WITH_RESTARTS = "cosine_with_restarts"
    #: Down to 0 in a straight line.
    LINEAR = "linear"


class TimestepType(StrEnum):
    """Which noise levels a flow-matching model is trained at."""

    SIGMOID = "sigmoid"
    LINEAR = "linear"
    WEIGHTED = "weighted"
    SHIFT = "shift"
    FLUX_SHIFT = "flux_shift"
    LUMINA2_SHIFT = "lumina2_shift"
    LOGNORM_BLEND = "lognorm_blend"
    NEXT_SAMPLE = "next_sample"
    ONE_STEP = "one_step"
    TWO_STEP = "two_step"
    FOUR_STEP = "four_step"
    EIGHT_STEP = "eight_step"


class WeightFormat(StrEnum):
    """Number formats in which frozen weights are held."""

    QFLOAT8 = "qfloat8"
    FLOAT8 = "float8"
    CONVROT8 = "convrot8"
    UINT7 = "uint7"
    UINT6 = "uint6"
    UINT5 = "uint5"
    UINT4 = "uint4"
    NVFP4 = "nvfp4"
    CONVROT4 = "convrot4"
    UINT3 = "uint3"
    UINT2 = "uint2"


class NetworkType(StrEnum):
    """What is trained."""

    LORA = "lora"
    #: Kronecker products: much smaller files, and more engines that cannot load them.
    LOKR = "lokr"
    #: LoRA with a magnitude for each output.
    DORA = "dora"


class NetworkKnob(WireModel):
    """What is trained, and how large it is."""

    type: NetworkType = Field(default=NetworkType.LORA, description="`lora`, `lokr` or `dora`.")
    rank: Rank | None = Field(
        default=None,
        description="Rank of its matrices; of a `lokr` without one, as much as the layers allow.",
    )
    alpha: float | None = Field(
        default=None,
        strict=True,
        gt=0,
        le=10_000,
        description="Its output is scaled by alpha / rank; the default is the rank.",
    )


class TrainingSet(WireModel):
    """One of several datasets of a training."""

    training_name: DatasetName | None = Field(
        default=None, description="A dataset that `upload_training_data` made."
    )
    path: DatasetPath | None = Field(default=None, description="A folder of the workspace.")
    repeats: int = Field(
        default=1, strict=True, ge=1, le=10_000, description="How often each of its items is in one epoch."
    )
    is_reg: bool = Field(
        default=False,
        strict=True,
        description="Whether it is for regularisation: what the model knew before and must keep.",
    )
    caption_dropout: Share | None = Field(default=None, description="In place of the request's.")
    num_frames: Frames | None = Field(default=None, description="In place of the request's.")
    control: ControlNames | None = Field(default=None, description="In place of the request's.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.training_name is None) == (self.path is None):
            raise ValueError("name exactly one of training_name, path")
        return self

    @property
    def folder(self) -> str:
        """The folder, relative to the workspace."""
        return self.path if self.path is not None else f"training_data/{self.training_name}"


class ValidationKnob(WireModel):
    """Images that are not learnt, but show by their loss how well the model does on images that it never saw."""

    share: float = Field(
        default=0.1,
        strict=True,
        gt=0,
        le=0.5,
        description="Share of the first dataset's images; at least one.",
    )
    every: int = Field(
        default=50,
        strict=True,
        ge=1,
        le=1_000_000,
        description="Steps between two looks; `metrics` has `val/loss`.",
    )


class TrainKnobs(WireModel):
    """Changes to a preset; what is left out stays as the preset has it."""

    tier: Annotated[Line, StringConstraints(max_length=40)] | None = Field(
        default=None,
        description="The preset's settings for GPUs of this size, e.g. `24gb`; the default is the largest that fits the GPU.",
    )
    steps: int | None = Field(
        default=None, strict=True, ge=1, le=1_000_000, description="Optimizer steps in all.", examples=[2000]
    )
    learning_rate: float | None = Field(
        default=None, strict=True, gt=0, le=1, allow_inf_nan=False, description="Learning rate, e.g. 0.0001."
    )
    rank: Rank | None = Field(
        default=None,
        description="Rank of the LoRA; its alpha is set to the same number.",
    )
    resolution: Resolution | Annotated[list[Resolution], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Edge of the training images in pixels, a multiple of 8; several make buckets of several sizes.",
    )
    batch_size: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=1024,
        description="Images in one step; more need more GPU memory.",
    )
    gradient_accumulation: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=1024,
        description="Batches in one step: as a larger `batch_size`, in more time and no more memory.",
    )
    scheduler: Scheduler | None = Field(
        default=None,
        description="How the learning rate changes over the steps; `linear` and `cosine` end at 0.",
    )
    caption_dropout: Share | None = Field(
        default=None, description="Share of the steps that train without the caption; 0.05 is usual."
    )
    network: NetworkKnob | None = Field(
        default=None, description="What is trained; `rank` is short for its rank."
    )
    quantize: bool | WeightFormat | None = Field(
        default=None,
        description="Whether the frozen weights are held in fewer bits, or in which format: `uint4` takes half the memory "
        "of `qfloat8`, the default.",
    )
    low_vram: bool | None = Field(
        default=None, strict=True, description="Keep on the GPU only what is needed at the time; slower."
    )
    ema: bool | Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Average the weights over the steps; a number is the decay, 0.99 by default.",
    )
    timestep_type: TimestepType | None = Field(
        default=None, description="Which noise levels are trained at; not for Stable Diffusion 1.5 and XL."
    )
    num_frames: Frames | None = Field(
        default=None, description="Frames of each video that are learnt; 1 learns from images."
    )
    control: ControlNames | None = Field(
        default=None,
        description="Datasets (a `training_name`, or a path) with the images before the edit, of the same names as those "
        "after it; for presets that learn from pairs.",
    )
    datasets: Annotated[list[TrainingSet], Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Several datasets in place of `dataset`, each with its repeats."
    )
    validation: bool | ValidationKnob | None = Field(
        default=None,
        description="Hold images back from the training and report their loss; true: a tenth of them, every 50 steps.",
    )
    class_word: TriggerWord | None = Field(
        default=None,
        description="What the subject is, e.g. `woman` or `dog`; the default sample prompts say it.",
    )
    trigger_word: TriggerWord | None = Field(
        default=None,
        description="The word that will call the trained subject; it is added to captions that lack it.",
    )
    sample_prompts: Annotated[list[PromptText], Field(max_length=64)] | None = Field(
        default=None,
        description="Prompts of the sample images; an empty list turns samples off. By default, three situations with the "
        "trigger word or the class word.",
    )
    sample_every: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=1_000_000,
        description="Steps between two rounds of sample images.",
    )
    save_every: int | None = Field(
        default=None, strict=True, ge=1, le=1_000_000, description="Steps between two checkpoints."
    )
    seed: int | None = Field(
        default=None, strict=True, ge=0, lt=1 << 32, description="Seed of the training and of its samples."
    )
    model: ModelName | None = Field(
        default=None,
        description="Base model in place of the preset's: a hub id, or a path below the workspace.",
    )
    optimizer: Optimizer | None = Field(default=None, description="Optimizer in place of the preset's.")

    @model_validator(mode="after")
    def _one_rank(self) -> Self:
        if self.rank is not None and self.network is not None and self.network.rank is not None:
            raise ValueError("rank: give it here or in network, not in both")
        return self
