"""The options of `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorapod.client.commands.known_names import complete_dataset, complete_training
from lorapod.wire.presets import PRESET_NAMES
from lorapod.wire.stop_when import StopMeasure


def complete_preset(incomplete: str) -> list[str]:
    """Return the presets that begin with what was typed; no worker is asked."""
    return [name for name in PRESET_NAMES if name.startswith(incomplete)]


PresetOption = Annotated[
    str | None,
    typer.Option(help="Preset to start from; `lorapod presets` lists them.", autocompletion=complete_preset),
]
TierOption = Annotated[
    str | None,
    typer.Option(
        help="The preset's settings for a GPU size, e.g. 24gb. Default: chosen by the worker's GPU."
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="AI Toolkit config (YAML) to use instead of a preset."),
]
DatasetOption = Annotated[
    str | None, typer.Option(help="Name of a dataset on the worker.", autocompletion=complete_dataset)
]
DatasetUrlOption = Annotated[
    list[str] | None, typer.Option(help="URL of a zip or of one file of the dataset. May be repeated.")
]
DatasetRepoOption = Annotated[str | None, typer.Option(help="Dataset repository on the HuggingFace Hub.")]
FixOption = Annotated[
    bool,
    typer.Option(
        "--fix",
        help="Convert fetched images that trainers see differently from you, e.g. transparency; with --dataset-url "
        "and --dataset-repo.",
    ),
]
NameOption = Annotated[str | None, typer.Option(help="Name of the model, if the config has none.")]
ModelOption = Annotated[str | None, typer.Option(help="Base model to use instead of the preset's.")]
TriggerWordOption = Annotated[str | None, typer.Option(help="Word that stands for the subject in prompts.")]
StepsOption = Annotated[int | None, typer.Option(min=1, help="Number of optimizer steps.")]
RankOption = Annotated[int | None, typer.Option(min=1, help="Rank of the LoRA.")]
LearningRateOption = Annotated[float | None, typer.Option(help="Learning rate, for example 0.0001.")]
ResolutionOption = Annotated[
    list[int] | None,
    typer.Option(help="Side of the training images in pixels. May be repeated for several buckets."),
]
OptimizerOption = Annotated[str | None, typer.Option(help="Optimizer, e.g. adamw8bit, prodigy, automagic3.")]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        help="Learning rate over the steps: constant, constant_with_warmup, cosine, cosine_with_restarts or linear."
    ),
]
BatchSizeOption = Annotated[int | None, typer.Option(min=1, help="Images in one step.")]
GradientAccumulationOption = Annotated[
    int | None, typer.Option(min=1, help="Batches in one step, for the effect of a larger batch.")
]
CaptionDropoutOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Share of the steps that train without the caption.")
]
NetworkOption = Annotated[str | None, typer.Option(help="What is trained: lora, lokr or dora.")]
AlphaOption = Annotated[float | None, typer.Option(help="Alpha of the LoRA. Default: its rank.")]
QuantizeOption = Annotated[
    str | None, typer.Option(help="yes, no, or the format of the frozen weights, e.g. qfloat8, uint4.")
]
LowVramOption = Annotated[
    bool | None, typer.Option("--low-vram/--no-low-vram", help="Save GPU memory at the cost of speed.")
]
EmaOption = Annotated[bool | None, typer.Option("--ema/--no-ema", help="Average the weights over the steps.")]
TimestepTypeOption = Annotated[
    str | None, typer.Option(help="Noise levels to train at, e.g. sigmoid, linear, weighted, shift.")
]
NumFramesOption = Annotated[int | None, typer.Option(min=1, help="Frames of each video that are learnt.")]
ControlOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Dataset with the images before the edit, for presets that learn from pairs.",
        autocompletion=complete_dataset,
    ),
]
RegDatasetOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Dataset for regularisation, beside --dataset. May be repeated.", autocompletion=complete_dataset
    ),
]
ValidationOption = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", help="Share of the images to hold back and to measure the loss on, e.g. 0.1."
    ),
]
ClassWordOption = Annotated[
    str | None, typer.Option(help="What the subject is, e.g. dog, for the default sample prompts.")
]
SamplePromptOption = Annotated[
    list[str] | None, typer.Option(help="Prompt of a sample image. May be repeated.")
]
MaxTimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="End it after this running time, with a checkpoint, e.g. 45m or 1h30m."
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="End it at this time, with a checkpoint, e.g. 23:00 or 2026-01-31T23:00."
    ),
]
StopWhenOption = Annotated[
    StopMeasure | None,
    typer.Option(
        "--stop-when",
        help="End it, with a checkpoint, once this no longer gets better: the loss of images that --validation holds back, or the "
        "likeness of its samples to the dataset.",
    ),
]
PatienceOption = Annotated[
    int | None,
    typer.Option(
        "--patience",
        min=1,
        metavar="LOOKS",
        help="For --stop-when (validation_loss without it): looks in a row that may be no better than the best; 3 by default.",
    ),
]
EmbeddingModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="For --stop-when likeness: the model that compares images, a HuggingFace id or a path in the workspace.",
    ),
]
VaryOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OPTION=VALUE,VALUE",
        help="Start a sweep: one training for each value, e.g. rank=8,16. Repeated: one for each combination.",
    ),
]
StartFromOption = Annotated[
    str | None,
    typer.Option(
        metavar="ID[:STEP]|PATH",
        help="LoRA to begin with: a training, one of its steps, or a file on the worker.",
        autocompletion=complete_training,
    ),
]
TrainerOption = Annotated[str | None, typer.Option(help="Trainer: ai-toolkit, builtin or auto.")]
UploadToOption = Annotated[
    str | None,
    typer.Option(
        metavar="JSON",
        help='Where to upload artifacts during the training, e.g. \'{"s3": {"prefix": "loras"}}\'.',
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Start it even if it needs more GPU memory than there is, or days without a GPU."
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict/--no-strict",
        help="Whether keys of the config that the worker does not know are refused; else they are warned of.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Check the request without starting the training.")
]
FollowOption = Annotated[
    bool,
    typer.Option(
        "--follow",
        "-f",
        help="Show it until it ends. Press Ctrl-C to stop watching; the training continues.",
    ),
]
