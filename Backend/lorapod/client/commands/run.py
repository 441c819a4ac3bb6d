"""`run`: from a folder of images to a LoRA, in one command that can be repeated."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

import typer

from lorapod.client.commands.estimates import estimate_text
from lorapod.client.commands.known_names import complete_dataset
from lorapod.client.commands.money_options import MaxCostOption, PricePerHourOption
from lorapod.client.commands.session import AsJson, CommandSession, ExitCode, open_session
from lorapod.client.commands.times import limits
from lorapod.client.commands.train import refusal
from lorapod.client.commands.train_fields import config_text, one_or_more
from lorapod.client.commands.train_money import TrainingMoney
from lorapod.client.commands.train_options import (
    ClassWordOption,
    ConfigOption,
    LearningRateOption,
    MaxTimeOption,
    ModelOption,
    NameOption,
    PresetOption,
    RankOption,
    ResolutionOption,
    SamplePromptOption,
    StepsOption,
    TierOption,
    TrainerOption,
    UntilOption,
)
from lorapod.wire.presets import PRESET_NAMES


def run(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, metavar="FOLDER", help="Folder with images, captions, videos or zips, or one zip."
        ),
    ],
    *,
    trigger_word: Annotated[
        str | None,
        typer.Option("--trigger", "--trigger-word", help="Word that stands for the subject in prompts."),
    ] = None,
    preset: PresetOption = None,
    tier: TierOption = None,
    config: ConfigOption = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Name of the dataset on the worker. Default: the folder's.", autocompletion=complete_dataset
        ),
    ] = None,
    name: NameOption = None,
    model: ModelOption = None,
    steps: StepsOption = None,
    rank: RankOption = None,
    learning_rate: LearningRateOption = None,
    resolution: ResolutionOption = None,
    class_word: ClassWordOption = None,
    sample_prompt: SamplePromptOption = None,
    max_time: MaxTimeOption = None,
    until: UntilOption = None,
    max_cost: MaxCostOption = None,
    trainer: TrainerOption = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Convert images that trainers see differently from you, on copies.")
    ] = False,
    caption: Annotated[
        bool | None,
        typer.Option(
            "--caption/--no-caption",
            help="Have a model write the captions that are missing, or train without them. Default: ask on a terminal, "
            "else write them.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Compare the checkpoints and take the best.")
    ] = True,
    to: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="Folder for the results. Default: a new one here, named after the dataset."
        ),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open the report in the browser.")] = True,
    price_per_hour: PricePerHourOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a LoRA of a folder: upload, check, caption, train, compare, download. Run it again to continue where it stopped."""
    if (preset is None) == (config is None):
        raise typer.BadParameter(
            "give either a preset or a config (--config); `lorapod presets` lists the presets",
            param_hint="--preset",
        )
    request: dict[str, Any] = {
        "preset": preset,
        "tier": tier,
        "config": None if config is None else config_text(config),
        "name": name,
        "model": model,
        "trigger_word": trigger_word,
        "steps": steps,
        "rank": rank,
        "learning_rate": learning_rate,
        "resolution": one_or_more(resolution),
        "class_word": class_word,
        "sample_prompts": sample_prompt or None,
        "trainer": trainer,
        "limits": limits(max_time, until),
    }
    with open_session(context, as_json=as_json) as session:
        if preset is not None:
            _check_preset(session, preset)
        money = TrainingMoney.begin(context, session.screen, price_per_hour)
        if max_cost is not None:
            request["limits"] = money.limited(max_cost, request["limits"])
        # Half of a command's start, which other commands need not wait for.
        from lorapod.client.commands.run_stages import RunOptions, run_all

        options = RunOptions(
            folder=folder,
            dataset=dataset,
            trigger_word=trigger_word,
            fix=fix,
            caption=caption,
            yes=yes,
            compare=compare,
            to=to,
            open_it=open_it,
        )
        check = lambda whole: _check(context, session, whole, money)  # noqa: E731
        run_all(session, options, request, money.prices, check)


def _check_preset(session: CommandSession, name: str) -> None:
    """Have a preset that this client does not know looked up by the worker, before anything is uploaded.

    Raises:
        typer.BadParameter: the worker does not know it either.
    """
    if name in PRESET_NAMES:
        return
    known = [preset["name"] for preset in session.client.call("list_presets")["presets"]]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else "`lorapod presets` lists them"
        raise typer.BadParameter(f"there is no preset {name!r}: {hint}", param_hint="--preset")


def _check(
    context: typer.Context, session: CommandSession, request: dict[str, Any], money: TrainingMoney
) -> str:
    """Have the worker check the training before anything costs money; return how long it takes, and what that costs.

    Raises:
        typer.Exit: it would be refused.
    """
    answer = session.client.call("train", dry_run=True, **request)
    session.screen.warn(answer["warnings"])
    if not answer["accepted"]:
        session.screen.error(refusal(context, answer["refused"]))
        raise typer.Exit(ExitCode.USAGE)
    book = money.prices.book()
    # Who rents no GPU wants to know no price.
    priced = book.given is not None or book.endpoint is not None
    return estimate_text(answer.get("estimate"), book=book if priced else None)
