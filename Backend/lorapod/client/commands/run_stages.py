"""The stages of `run`, one after the other; what an earlier call has done is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from lorapod.client.commands.known_names import DATASETS, PROCESSES
from lorapod.client.commands.run_dataset import RunDataset
from lorapod.client.commands.run_results import RunResults
from lorapod.client.commands.run_screen import RunScreen
from lorapod.client.commands.run_training import RunTraining
from lorapod.client.commands.session import CommandSession
from lorapod.client.lora_run.content import FolderContent, dataset_name
from lorapod.client.lora_run.state import RunProgress, RunState, digest_of, state_path
from lorapod.client.money.price_book import PriceLookup


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `run`, those of the training apart."""

    folder: Path
    dataset: str | None
    trigger_word: str | None
    fix: bool
    caption: bool | None
    yes: bool
    compare: bool
    to: Path | None
    open_it: bool


def run_all(
    session: CommandSession,
    options: RunOptions,
    request: Mapping[str, Any],
    prices: PriceLookup,
    check: Callable[[dict[str, Any]], str],
) -> None:
    """Do what is left to do.

    Args:
        session: of the command.
        options: of the command.
        request: the fields of the training, without its dataset.
        prices: what a worker costs.
        check: has the worker check the whole request; returns what it says about time and cost.

    Raises:
        LorapodError: a stage failed.
        typer.BadParameter: an option does not fit.
    """
    screen = RunScreen(session.screen, yes=options.yes, prices=prices)
    if options.to is not None and options.to.resolve().is_relative_to(options.folder.resolve()):
        raise typer.BadParameter("is in the folder of the images, and would be trained on", param_hint="--to")
    session.screen.if_interrupted = "Nothing is lost. Run the same command again to continue."
    with screen.reading(f"{options.folder} is read"):
        content = FolderContent.read(options.folder)
    wanted = options.dataset or dataset_name(options.folder)
    state = RunState.load(
        state_path(session.client.url, wanted), on_unwritable=lambda text: session.screen.warn([text])
    )
    dataset = RunDataset(
        client=session.client,
        screen=screen,
        state=state,
        content=content,
        wanted=wanted,
        named=options.dataset is not None,
        fix=options.fix,
    )
    name = dataset.choose_name()
    fields = {key: value for key, value in request.items() if value is not None}
    whole = {**fields, "dataset": {"training_name": name}}
    # A budget is not what is trained: with another one, it is the same run.
    trained = {field: value for field, value in fields.items() if field != "limits"}
    key = digest_of([name, content.digest, trained, options.fix, options.compare])
    run = state.run(key)
    if options.caption and run.captions is False:
        # Another training: the one before has learnt from images without captions.
        state.document.runs[key] = run = RunProgress()
    if options.caption is not None:
        run.captions = options.caption
    results = RunResults(client=session.client, screen=screen, state=state, run=run)
    if results.complete() and options.to is None:
        screen.stage(
            "done", f"before: {run.training}, step {run.step}. Delete {run.folder} to have it fetched again."
        )
        results.show(name, open_it=options.open_it)
        return
    dataset.upload(name)
    session.remember(DATASETS, name)
    if run.training is None:
        sends = state.datasets[name].sends
        page = dataset.check(name, options.trigger_word)
        if not run.checked:
            screen.stage("check", check(whole) or "the worker accepts the training")
            run.checked = True
            state.save()
        caption = {"trigger_word": options.trigger_word} if options.trigger_word else {}
        dataset.caption(
            name,
            run,
            f"run-{digest_of([key, 'caption', sends])[:40]}",
            caption,
            without=max(0, page["images"] - page["captions"]),
        )
    training = RunTraining(client=session.client, screen=screen, state=state, run=run, key=key)
    process = training.train(whole)
    session.remember(PROCESSES, process["process_id"])
    training.choose(process, compare=options.compare)
    folder = results.choose_folder(options.to, name)
    results.fetch(folder)
    results.report(folder, prices)
    results.show(name, open_it=options.open_it)
