"""`train`: start a training."""

from __future__ import annotations

import json
from typing import Any

import typer

from lorapod.client.commands.endings import ended
from lorapod.client.commands.known_names import PROCESSES
from lorapod.client.commands.live import follow, warn_of_dataset
from lorapod.client.commands.money_options import IdleAfterOption, MaxCostOption, PricePerHourOption
from lorapod.client.commands.session import AsJson, CommandSession, ExitCode, open_session
from lorapod.client.commands.times import limits, seconds
from lorapod.client.commands.train_fields import (
    config_text,
    dataset_fields,
    json_object,
    named_dataset,
    one_or_more,
    start_from_field,
    stop_when_field,
)
from lorapod.client.commands.train_money import TrainingMoney
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
    EmbeddingModelOption,
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
    PatienceOption,
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
from lorapod.client.errors import LorapodError

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
    stop_when: StopWhenOption = None,
    patience: PatienceOption = None,
    embedding_model: EmbeddingModelOption = None,
    max_time: MaxTimeOption = None,
    until: UntilOption = None,
    max_cost: MaxCostOption = None,
    price_per_hour: PricePerHourOption = None,
    idle_after: IdleAfterOption = None,
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
        "config": None if config is None else config_text(config),
        **dataset_fields(named_dataset(dataset, dataset_url, dataset_repo, fix=fix), reg_dataset),
        "name": name,
        "model": model,
        "trigger_word": trigger_word,
        "steps": steps,
        "rank": rank,
        "learning_rate": learning_rate,
        "resolution": one_or_more(resolution),
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
        "start_from": None if start_from is None else start_from_field(start_from),
        "stop_when": stop_when_field(stop_when, patience, embedding_model),
        "limits": limits(max_time, until),
        "variants": variants(vary) if vary else None,
        "trainer": trainer,
        "upload": json_object(upload_to),
        "force": force or None,
        "strict": None if strict else False,
    }
    if idle_after is not None and not follow_it:
        raise typer.BadParameter(
            "goes with --follow: it looks after the training has ended", param_hint="--idle-after"
        )
    left_on_after_s = None if idle_after is None else seconds(idle_after, "--idle-after")
    with open_session(context, as_json=as_json) as session:
        money = TrainingMoney.begin(context, session.screen, price_per_hour)
        if max_cost is not None:
            fields["limits"] = money.limited(
                max_cost, fields["limits"], trainings=len(fields["variants"] or [None])
            )
        if dry_run:
            _dry_run(context, session, fields, money)
            return
        _begin(session, fields, money, follow_it=follow_it, left_on_after_s=left_on_after_s)


def _begin(
    session: CommandSession,
    fields: dict[str, Any],
    money: TrainingMoney,
    *,
    follow_it: bool,
    left_on_after_s: float | None,
) -> None:
    training = session.client.train(execution_timeout_s=EXECUTION_TIMEOUT_S, **fields)
    session.remember(PROCESSES, training.process_id)
    session.screen.warn(training.answer.get("warnings", ()))
    warn_of_dataset(session.screen, training.answer)
    if follow_it:
        money.warn(training.answer)
        process = follow(session.client, training.process_id, session.screen, prices=money.prices)
        if left_on_after_s is not None:
            money.warn_of_workers_left_on(left_on_after_s)
        ended(process)
        return
    if session.screen.as_json:
        session.screen.answer({**training.answer, "cost": money.as_json(training.answer)})
    session.screen.line(training.process_id)
    if not session.screen.as_json and (text := money.estimate_text(training.answer)):
        session.screen.note([text])
    money.warn(training.answer)
    for one in training.answer.get("processes") or ():
        session.screen.line(f"  {one.get('process_id', 'not started')}  {said(one['variant'])}")


def _dry_run(
    context: typer.Context, session: CommandSession, fields: dict[str, Any], money: TrainingMoney
) -> None:
    answer = session.client.call("train", dry_run=True, **fields)
    session.screen.warn(answer["warnings"])
    warn_of_dataset(session.screen, answer)
    if session.screen.as_json:
        session.screen.answer({**answer, "cost": money.as_json(answer)})
    elif answer["accepted"]:
        session.screen.line(f"The request is valid; {answer['trainer']} would train it, with this config:")
        config = json.dumps(answer.get("config"), indent=2, ensure_ascii=False)
        session.screen.console.out(config, highlight=False)
        if text := money.estimate_text(answer):
            session.screen.line(text)
        money.warn(answer)
    else:
        session.screen.error(refusal(context, answer["refused"]))
    if not answer["accepted"]:
        raise typer.Exit(ExitCode.USAGE)


def refusal(context: typer.Context, refused: list[dict[str, Any]]) -> LorapodError:
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
