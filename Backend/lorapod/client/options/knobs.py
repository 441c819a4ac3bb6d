"""Typed keywords of the client's methods: knobs. Made by `make docs`: change the source, not this file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict


class NetworkOptions(TypedDict, total=False):
    """What is trained, and how large it is."""

    type: Literal["lora", "lokr", "dora"]
    """`lora`, `lokr` or `dora`."""
    rank: int | None
    """Rank of its matrices; of a `lokr` without one, as much as the layers allow."""
    alpha: float | None
    """Its output is scaled by alpha / rank; the default is the rank."""


class TrainingSetOptions(TypedDict, total=False):
    """One of several datasets of a training."""

    training_name: str | None
    """A dataset that `upload_training_data` made."""
    path: str | None
    """A folder of the workspace."""
    repeats: int
    """How often each of its items is in one epoch."""
    is_reg: bool
    """Whether it is for regularisation: what the model knew before and must keep."""
    caption_dropout: float | None
    """In place of the request's."""
    num_frames: int | None
    """In place of the request's."""
    control: list[str] | None
    """In place of the request's."""


class ValidationOptions(TypedDict, total=False):
    """Images that are not learnt, but show by their loss how well the model does on images that it never saw."""

    share: float
    """Share of the first dataset's images; at least one."""
    every: int
    """Steps between two looks; `metrics` has `val/loss`."""


class VariantOptions(TypedDict, total=False):
    """Changes to a preset; what is left out stays as the preset has it."""

    tier: str | None
    """The preset's settings for GPUs of this size, e.g. `24gb`; the default is the largest that fits the GPU."""
    steps: int | None
    """Optimizer steps in all."""
    learning_rate: float | None
    """Learning rate, e.g. 0.0001."""
    rank: int | None
    """Rank of the LoRA; its alpha is set to the same number."""
    resolution: int | Sequence[int] | None
    """Edge of the training images in pixels, a multiple of 8; several make buckets of several sizes."""
    batch_size: int | None
    """Images in one step; more need more GPU memory."""
    gradient_accumulation: int | None
    """Batches in one step: as a larger `batch_size`, in more time and no more memory."""
    scheduler: Literal["constant", "constant_with_warmup", "cosine", "cosine_with_restarts", "linear"] | None
    """How the learning rate changes over the steps; `linear` and `cosine` end at 0."""
    caption_dropout: float | None
    """Share of the steps that train without the caption; 0.05 is usual."""
    network: NetworkOptions | None
    """What is trained; `rank` is short for its rank."""
    quantize: (
        bool
        | Literal[
            "qfloat8",
            "float8",
            "convrot8",
            "uint7",
            "uint6",
            "uint5",
            "uint4",
            "nvfp4",
            "convrot4",
            "uint3",
            "uint2",
        ]
        | None
    )
    """Whether the frozen weights are held in fewer bits, or in which format: `uint4` takes half the memory of
    `qfloat8`, the default."""
    low_vram: bool | None
    """Keep on the GPU only what is needed at the time; slower."""
    ema: bool | float | None
    """Average the weights over the steps; a number is the decay, 0.99 by default."""
    timestep_type: (
        Literal[
            "sigmoid",
            "linear",
            "weighted",
            "shift",
            "flux_shift",
            "lumina2_shift",
            "lognorm_blend",
            "next_sample",
            "one_step",
            "two_step",
            "four_step",
            "eight_step",
        ]
        | None
    )
    """Which noise levels are trained at; not for Stable Diffusion 1.5 and XL."""
    num_frames: int | None
    """Frames of each video that are learnt; 1 learns from images."""
    control: list[str] | None
    """Datasets (a `training_name`, or a path) with the images before the edit, of the same names as those after
    it; for presets that learn from pairs."""
    datasets: Sequence[TrainingSetOptions] | None
    """Several datasets in place of `dataset`, each with its repeats."""
    validation: bool | ValidationOptions | None
    """Hold images back from the training and report their loss; true: a tenth of them, every 50 steps."""
    class_word: str | None
    """What the subject is, e.g. `woman` or `dog`; the default sample prompts say it."""
    trigger_word: str | None
    """The word that will call the trained subject; it is added to captions that lack it."""
    sample_prompts: list[str] | None
    """Prompts of the sample images; an empty list turns samples off. By default, three situations with the
    trigger word or the class word."""
    sample_every: int | None
    """Steps between two rounds of sample images."""
    save_every: int | None
    """Steps between two checkpoints."""
    seed: int | None
    """Seed of the training and of its samples."""
    model: str | None
    """Base model in place of the preset's: a hub id, or a path below the workspace."""
    optimizer: (
        Literal[
            "adam",
            "adam8",
            "adam8bit",
            "adamw",
            "adamw8",
            "adamw8bit",
            "ademamix8bit",
            "adafactor",
            "adagrad",
            "automagic",
            "automagic2",
            "automagic3",
            "automagicexperiment",
            "dadaptation",
            "dadaptationadam",
            "dadaptationlion",
            "lion",
            "lion8bit",
            "prodigy",
            "prodigy8bit",
            "prodigyopt",
        ]
        | None
    )
    """Optimizer in place of the preset's."""
