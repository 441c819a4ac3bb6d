"""`train`: start a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lorapod.client.commands.live import follow, warn_of_dataset
from lorapod.client.commands.session import AsJson, CommandSession, ExitCode, open_session
from lorapod.client.commands.wording import with_options
from lorapod.client.errors import LorapodError, ProcessEnded
from lorapod.wire.presets import PRESET_NAMES

#: How long RunPod may keep a training's job open, in seconds: its own maximum.
EXECUTION_TIMEOUT_S = 7 * 86_400.0


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
DatasetOption = Annotated[str | None, typer.Option(help="Name of a dataset on the worker.")]
DatasetUrlOption = Annotated[
    list[str] | None, typer.Option(help="URL of a zip or of one file of the dataset. May be repeated.")
]
DatasetRepoOption = Annotated[str | None, typer.Option(help="Dataset repository on the HuggingFace Hub.")]
FixOption = Annotated[
    bool,
    typer.Option(
        "--fix",
        help="Convert fetched images that trainers see otherwise than you, e.g. transparency; with --dataset-url "
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
SamplePromptOption = Annotated[
    list[str] | None, typer.Option(help="Prompt of a sample image. May be repeated.")
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


def train(
    context: typer.Context,
    *,
    preset: PresetOption = None,
    tier: TierOption = None,
    config: ConfigOption = None,
    dataset: DatasetOption = None,
    dataset_url: DatasetUrlOption = None,
    dataset_repo: DatasetRepoOption = None,
    fix: FixOption = False,
    name: NameOption = None,
    model: ModelOption = None,
    trigger_word: TriggerWordOption = None,
    steps: StepsOption = None,
    rank: RankOption = None,
    learning_rate: LearningRateOption = None,
    resolution: ResolutionOption = None,
    sample_prompt: SamplePromptOption = None,
    trainer: TrainerOption = None,
    upload_to: UploadToOption = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    follow_it: FollowOption = False,
    as_json: AsJson = False,
) -> None:
    """Start a training and print its process id."""
    if (preset is None) == (config is None):
        raise typer.BadParameter(
            "give either a preset or a config (--config); `lorapod presets` lists the presets",
            param_hint="--preset",
        )
    fields: dict[str, Any] = {
        "preset": preset,
        "tier": tier,
        "config": None if config is None else config.read_text("utf-8"),
        "dataset": _dataset(dataset, dataset_url, dataset_repo, fix=fix),
        "name": name,
        "model": model,
        "trigger_word": trigger_word,
        "steps": steps,
        "rank": rank,
        "learning_rate": learning_rate,
        "resolution": _one_or_more(resolution),
        "sample_prompts": sample_prompt or None,
        "trainer": trainer,
        "upload": _object(upload_to),
        "force": force or None,
    }
    with open_session(context, as_json=as_json) as session:
        if dry_run:
            _dry_run(context, session, fields)
            return
        _start(session, fields, follow_it=follow_it)


def ended(process: dict[str, Any]) -> None:
    """Exit with success only if the process completed.

    Raises:
        ProcessEnded: it did not complete.
    """
    if process["status"] != "completed":
        raise ProcessEnded(process)


def _start(session: CommandSession, fields: dict[str, Any], *, follow_it: bool) -> None:
    training = session.client.train(execution_timeout_s=EXECUTION_TIMEOUT_S, **fields)
    session.screen.warn(training.started.get("warnings", ()))
    warn_of_dataset(session.screen, training.started)
    if follow_it:
        ended(follow(session.client, training.process_id, session.screen))
        return
    if session.screen.as_json:
        session.screen.answer(training.started)
    session.screen.line(training.process_id)


def _dry_run(context: typer.Context, session: CommandSession, fields: dict[str, Any]) -> None:
    answer = session.client.call("train", dry_run=True, **fields)
    session.screen.warn(answer["warnings"])
    warn_of_dataset(session.screen, answer)
    if session.screen.as_json:
        session.screen.answer(answer)
    elif answer["accepted"]:
        session.screen.line(f"The request is valid; {answer['trainer']} would train it.")
    else:
        session.screen.error(
            LorapodError(
                "The worker would refuse this training.", details=with_options(answer["refused"], context)
            )
        )
    if not answer["accepted"]:
        raise typer.Exit(ExitCode.USAGE)


def _dataset(
    name: str | None, urls: list[str] | None, repo: str | None, *, fix: bool
) -> dict[str, Any] | None:
    named = {
        key: value
        for key, value in {
            "training_name": name,
            "urls": urls or None,
            "huggingface": None if repo is None else {"repo_id": repo},
        }.items()
        if value is not None
    }
    if len(named) > 1:
        raise typer.BadParameter(
            "name the dataset with only one of --dataset, --dataset-url and --dataset-repo",
            param_hint="--dataset",
        )
    if fix and (not named or name is not None):
        raise typer.BadParameter(
            "images on the worker are left as they are; upload them again with `lorapod upload --fix`",
            param_hint="--fix",
        )
    return {**named, "fix": True} if fix else named or None


def _one_or_more(sides: list[int] | None) -> int | list[int] | None:
    return sides[0] if sides and len(sides) == 1 else sides or None


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not valid JSON: {error}", param_hint="--upload-to") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--upload-to")
    return value
