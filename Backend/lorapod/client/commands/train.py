"""`train`: start a training."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

import typer

from lorapod.client.commands.estimates import estimate_text
from lorapod.client.commands.live import follow, warn_of_dataset
from lorapod.client.commands.session import AsJson, CommandSession, ExitCode, open_session
from lorapod.client.commands.times import limits
from lorapod.client.commands.train_options import (
    AlphaOption,
    BatchSizeOption,
    CaptionDropoutOption,
    ClassWordOption,
    ConfigOption,
    ControlOption,
    DatasetOption,
    DatasetRepoOption,
    DatasetUrlOption,
    DryRunOption,
    EmaOption,
    FixOption,
    FollowOption,
    ForceOption,
    GradientAccumulationOption,
    LearningRateOption,
    LowVramOption,
    MaxTimeOption,
    ModelOption,
    NameOption,
    NetworkOption,
    NumFramesOption,
    OptimizerOption,
    PresetOption,
    QuantizeOption,
    RankOption,
    RegDatasetOption,
    ResolutionOption,
    SamplePromptOption,
    SchedulerOption,
    StartFromOption,
    StepsOption,
    StopWhenOption,
    StrictOption,
    TierOption,
    TimestepTypeOption,
    TrainerOption,
    TriggerWordOption,
    UntilOption,
    UploadToOption,
    ValidationOption,
    VaryOption,
)
from lorapod.client.commands.vary import said, variants
from lorapod.client.commands.wording import with_commands, with_options
from lorapod.client.errors import LorapodError, ProcessEnded

#: A training, alone or with one of its steps.
_PROCESS = re.compile(r"(?P<id>train_[0-9a-f]{12})(?::(?P<step>[0-9]{1,9}))?")

#: How long RunPod may keep a training's job open, in seconds: its own maximum.
EXECUTION_TIMEOUT_S = 7 * 86_400.0


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
    class_word: ClassWordOption = None,
    optimizer: OptimizerOption = None,
    scheduler: SchedulerOption = None,
    batch_size: BatchSizeOption = None,
    gradient_accumulation: GradientAccumulationOption = None,
    caption_dropout: CaptionDropoutOption = None,
    network: NetworkOption = None,
    alpha: AlphaOption = None,
    quantize: QuantizeOption = None,
    low_vram: LowVramOption = None,
    ema: EmaOption = None,
    timestep_type: TimestepTypeOption = None,
    num_frames: NumFramesOption = None,
    control: ControlOption = None,
    reg_dataset: RegDatasetOption = None,
    validation: ValidationOption = None,
    sample_prompt: SamplePromptOption = None,
    start_from: StartFromOption = None,
    vary: VaryOption = None,
    patience: StopWhenOption = None,
    max_time: MaxTimeOption = None,
    until: UntilOption = None,
    trainer: TrainerOption = None,
    upload_to: UploadToOption = None,
    force: ForceOption = False,
    strict: StrictOption = True,
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
        "config": None if config is None else _text(config),
        **_datasets(_dataset(dataset, dataset_url, dataset_repo, fix=fix), reg_dataset),
        "name": name,
        "model": model,
        "trigger_word": trigger_word,
        "steps": steps,
        "rank": rank,
        "learning_rate": learning_rate,
        "resolution": _one_or_more(resolution),
        "class_word": class_word,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "batch_size": batch_size,
        "gradient_accumulation": gradient_accumulation,
        "caption_dropout": caption_dropout,
        "network": {key: value for key, value in {"type": network, "alpha": alpha}.items() if value} or None,
        "quantize": {"yes": True, "no": False}.get(quantize, quantize) if quantize else None,
        "low_vram": low_vram,
        "ema": ema,
        "timestep_type": timestep_type,
        "num_frames": num_frames,
        "control": control or None,
        "validation": None if validation is None else {"share": validation},
        "sample_prompts": sample_prompt or None,
        "start_from": None if start_from is None else _start(start_from),
        "stop_when": None if patience is None else {"patience": patience},
        "limits": limits(max_time, until),
        "variants": variants(vary) if vary else None,
        "trainer": trainer,
        "upload": _object(upload_to),
        "force": force or None,
        "strict": None if strict else False,
    }
    with open_session(context, as_json=as_json) as session:
        if dry_run:
            _dry_run(context, session, fields)
            return
        _begin(session, fields, follow_it=follow_it)


def ended(process: dict[str, Any]) -> None:
    """Exit with success only if the process completed.

    Raises:
        ProcessEnded: it did not complete.
    """
    if process["status"] != "completed":
        raise ProcessEnded(process)


def _begin(session: CommandSession, fields: dict[str, Any], *, follow_it: bool) -> None:
    training = session.client.train(execution_timeout_s=EXECUTION_TIMEOUT_S, **fields)
    session.screen.warn(training.started.get("warnings", ()))
    warn_of_dataset(session.screen, training.started)
    if follow_it:
        ended(follow(session.client, training.process_id, session.screen))
        return
    if session.screen.as_json:
        session.screen.answer(training.started)
    session.screen.line(training.process_id)
    if text := estimate_text(training.started.get("estimate")):
        session.screen.note([text])
    for one in training.started.get("processes") or ():
        session.screen.line(f"  {one.get('process_id', 'not started')}  {said(one['variant'])}")


def _dry_run(context: typer.Context, session: CommandSession, fields: dict[str, Any]) -> None:
    answer = session.client.call("train", dry_run=True, **fields)
    session.screen.warn(answer["warnings"])
    warn_of_dataset(session.screen, answer)
    if session.screen.as_json:
        session.screen.answer(answer)
    elif answer["accepted"]:
        session.screen.line(f"The request is valid; {answer['trainer']} would train it, with this config:")
        config = json.dumps(answer.get("config"), indent=2, ensure_ascii=False)
        session.screen.console.out(config, highlight=False)
        if text := estimate_text(answer.get("estimate")):
            session.screen.line(text)
    else:
        session.screen.error(_refusal(context, answer["refused"]))
    if not answer["accepted"]:
        raise typer.Exit(ExitCode.USAGE)


def _refusal(context: typer.Context, refused: list[dict[str, Any]]) -> LorapodError:
    """Return all that would refuse a training as one error, in the command's words."""
    details: list[dict[str, Any]] = []
    hints: dict[str, None] = {}
    for problem in with_options(refused, context):
        if message := problem.get("message"):
            details.append({"error": message})
        if hint := problem.get("hint"):
            hints[with_commands(hint, context)] = None
        # What concerns the whole request has no option.
        unnamed = {"message", "hint"} | ({"field"} if problem.get("field") == "input" else set())
        details.append({key: value for key, value in problem.items() if key not in unnamed})
    return LorapodError("The worker would refuse this training.", details=details, hint=" ".join(hints))


def _text(config: Path) -> str:
    """Return a config's text.

    Raises:
        typer.BadParameter: it is not text.
    """
    data = config.read_bytes()
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding).replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise typer.BadParameter(
            f"{config} is not text in UTF-8; save it as YAML in UTF-8", param_hint="--config"
        ) from None


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


def _datasets(dataset: dict[str, Any] | None, regularisation: list[str] | None) -> dict[str, Any]:
    """Return the request's `dataset`, or its `datasets` if there are some for regularisation."""
    if not regularisation:
        return {"dataset": dataset}
    if dataset is None or "training_name" not in dataset:
        raise typer.BadParameter(
            "goes with --dataset, the name of a dataset on the worker", param_hint="--reg-dataset"
        )
    reg = [{"training_name": name, "is_reg": True} for name in regularisation]
    return {"datasets": [{"training_name": dataset["training_name"]}, *reg]}


def _start(text: str) -> dict[str, Any]:
    """Return `start_from`: a training, `ID:STEP`, or a path."""
    found = _PROCESS.fullmatch(text)
    if found is None:
        return {"path": text}
    step = found["step"]
    return {"process_id": found["id"], **({"step": int(step)} if step else {})}


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
