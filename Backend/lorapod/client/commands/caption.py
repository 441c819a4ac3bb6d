"""`caption`: have a model write the captions of a dataset, with a bar on stderr."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from lorapod.client.commands.datasets import DatasetArgument
from lorapod.client.commands.progress_bar import ImageBar
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import AsJson, CommandSession, ExitCode, open_session

#: How long a captioning may run, its wait for the GPU included.
_EXECUTION_TIMEOUT_S = 6 * 3600

#: Failures that are listed.
_LISTED = 20


class CaptionStyleOption(StrEnum):
    """How captions are written."""

    NATURAL = "natural"
    TAGS = "tags"
    SHORT = "short"


def caption(
    context: typer.Context,
    name: DatasetArgument,
    *,
    style: Annotated[
        CaptionStyleOption | None,
        typer.Option(help="Sentences, tags, or one short sentence. Default: what suits --arch."),
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="Architecture of the model that you will train: sdxl, flux, wan21.")
    ] = None,
    trigger: Annotated[
        str | None, typer.Option(help="Trigger word: first in each caption that does not have it.")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Ask the model this instead; {trigger_word} and {filename} are filled in."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="HuggingFace id, or a folder of the workspace. Default: the worker's.")
    ] = None,
    captioner: Annotated[str | None, typer.Option(help="transformers or ai-toolkit.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Caption this image only. May be repeated.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the captions that are there, too.")
    ] = False,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest caption, in the model's tokens.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Have a model write captions for the images that have none. Ctrl-C stops the watching alone."""
    asked: dict[str, Any] = {
        "style": style.value if style is not None else None,
        "arch": arch,
        "trigger_word": trigger,
        "prompt": prompt,
        "model": model,
        "captioner": captioner,
        "limit_names": only,
        "overwrite": "all" if overwrite else None,
        "max_new_tokens": max_new_tokens,
    }
    with open_session(context, as_json=as_json) as session:
        answer = _captioned(session, name, {key: value for key, value in asked.items() if value})
        session.screen.warn(answer.get("warnings", ()))
        if as_json:
            session.screen.answer(answer)
        else:
            _report(session.screen, answer)
        if answer["status"] != "completed":
            raise typer.Exit(ExitCode.FAILED)


def _captioned(session: CommandSession, name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Have the dataset captioned, and show how far it is."""
    with ImageBar(session.screen) as shown:
        return session.client.call(
            "caption_dataset",
            training_name=name,
            wait=True,
            idempotency_key=uuid.uuid4().hex,
            policy={"executionTimeout": _EXECUTION_TIMEOUT_S * 1000},
            on_update=shown.show,
            **asked,
        )


def _report(screen: Screen, answer: Mapping[str, Any]) -> None:
    """Say what has become of the images."""
    outcome = answer.get("outcome", {})
    failed = outcome.get("failed", ())
    count = outcome.get("failed_count", len(failed))
    screen.warn(f"{one['name']}: {one['error']}" for one in failed[:_LISTED])
    screen.line(
        f"{answer['process_id']} {answer['status']}: {outcome.get('captioned', 0)} captioned, "
        f"{outcome.get('skipped', 0)} skipped, {count} failed"
    )
    if "failure" in answer:
        screen.warn([f"{answer['failure']['message']} {answer['failure'].get('hint', '')}".strip()])
