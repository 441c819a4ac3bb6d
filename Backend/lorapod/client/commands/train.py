"""`train` and `presets`: start a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lorapod.client.commands.live import follow
from lorapod.client.commands.session import AsJson, CommandSession, ExitCode, open_session
from lorapod.client.errors import LorapodError, ProcessEnded

#: Seconds for which RunPod may keep a training's job: as long as it lets any.
EXECUTION_TIMEOUT_S = 7 * 86_400.0


def train(
    context: typer.Context,
    *,
    preset: Annotated[
        str | None, typer.Option(help="Config to begin with; `lorapod presets` lists them.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="An AI Toolkit config (YAML) instead.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset on the worker, by its name.")] = None,
    dataset_url: Annotated[
        list[str] | None, typer.Option(help="A zip or a file of the dataset; repeat it.")
    ] = None,
    dataset_repo: Annotated[str | None, typer.Option(help="A dataset on the HuggingFace Hub.")] = None,
    name: Annotated[str | None, typer.Option(help="The model's name, where the config has none.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model in place of the preset's.")] = None,
    trigger_word: Annotated[str | None, typer.Option(help="The word that will call the subject.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps in all.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Rank of the LoRA.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="For example 0.0001.")] = None,
    resolution: Annotated[
        list[int] | None, typer.Option(help="Edge in pixels; repeat it for buckets.")
    ] = None,
    sample_prompt: Annotated[list[str] | None, typer.Option(help="Of a sample picture; repeat it.")] = None,
    trainer: Annotated[str | None, typer.Option(help="ai-toolkit, builtin or auto.")] = None,
    upload_to: Annotated[
        str | None,
        typer.Option(metavar="JSON", help='Where artifacts go live, e.g. \'{"s3": {"prefix": "loras"}}\'.'),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be refused.")] = False,
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Show it until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a training; prints its process id."""
    fields: dict[str, Any] = {
        "preset": preset,
        "config": None if config is None else config.read_text("utf-8"),
        "dataset": _dataset(dataset, dataset_url, dataset_repo),
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
    }
    with open_session(context, as_json=as_json) as session:
        if dry_run:
            _rehearse(session, fields)
            return
        training = session.client.train(execution_timeout_s=EXECUTION_TIMEOUT_S, **fields)
        session.screen.warn(training.started.get("warnings", ()))
        if not follow_it:
            if as_json:
                session.screen.answer(training.started)
            session.screen.line(training.process_id)
            return
        ended(follow(session.client, training.process_id, session.screen))


def presets(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the presets, and the GPU memory that they need."""
    with open_session(context, as_json=as_json) as session:
        found = session.client.call("schema", action="train")["presets"]
        if as_json:
            session.screen.answer({"presets": found})
            return
        rows = [
            (
                one["name"],
                f"{one['min_gpu_memory_bytes'] / 1e9:.0f} GB",
                ", ".join(one["trainers"]),
                one["description"],
            )
            for one in found
        ]
        session.screen.table(("preset", "GPU memory", "trainers", "what it trains"), rows, right=(1,))


def ended(process: dict[str, Any]) -> None:
    """End the command well only where the process did.

    Raises:
        ProcessEnded: it did not complete.
    """
    if process["status"] != "completed":
        raise ProcessEnded(process)


def _rehearse(session: CommandSession, fields: dict[str, Any]) -> None:
    answer = session.client.call("train", dry_run=True, **fields)
    session.screen.warn(answer["warnings"])
    if session.screen.as_json:
        session.screen.answer(answer)
    elif answer["accepted"]:
        session.screen.line(f"It would be trained with {answer['trainer']}.")
    else:
        session.screen.tell_error(LorapodError("It would be refused.", details=answer["refused"]))
    if not answer["accepted"]:
        raise typer.Exit(ExitCode.USAGE)


def _dataset(name: str | None, urls: list[str] | None, repo: str | None) -> dict[str, Any] | None:
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
        raise typer.BadParameter("name the dataset in one way", param_hint="--dataset")
    return named or None


def _one_or_more(sides: list[int] | None) -> int | list[int] | None:
    return sides[0] if sides and len(sides) == 1 else sides or None


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"it is no JSON: {error}", param_hint="--upload-to") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("it is no JSON object", param_hint="--upload-to")
    return value
