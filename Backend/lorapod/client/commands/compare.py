"""`compare`: draw the same prompts with several checkpoints, and download the grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from lorapod.client.commands.grid import save_grid
from lorapod.client.commands.known_names import complete_process
from lorapod.client.commands.progress_bar import ImageBar
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import AsJson, ExitCode, open_session

Number = TypeVar("Number", int, float)

SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...",
        help="Trainings (train_…), sweeps (sweep_…: all their trainings), or LoRA files by their path in the workspace.",
        autocompletion=complete_process,
    ),
]


def compare(
    context: typer.Context,
    sources: SourcesArgument,
    *,
    steps: Annotated[
        str | None,
        typer.Option(help="Which checkpoints: all, last:4, or steps such as 500,1000. Default: all."),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt", "--prompts", help="May be repeated. Default: the sample prompts of the training."
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Such as 0.6,0.8,1; 0 is the base model alone. Default: 1.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Such as 1,2,3. Default: that of the training's samples.")
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File of the grid. Default: the process id and .png.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Base model. Default: the one that was trained on.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Default: diffusers.")] = None,
    sample_steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps of each image.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="In pixels.")] = None,
    height: Annotated[int | None, typer.Option(min=16, help="In pixels.")] = None,
    score: Annotated[bool, typer.Option("--score/--no-score", help="Score the images.")] = True,
    embedding_model: Annotated[
        str | None, typer.Option(help="Compares images, for the scores: a Hub id, or a folder there.")
    ] = None,
    text_image_model: Annotated[
        str | None, typer.Option(help="Compares images with prompts: a Hub id, or a folder there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the same prompts with several checkpoints, and download the grid. Ctrl-C stops the watching alone."""
    asked: dict[str, Any] = {
        "steps": _steps(steps),
        "prompts": prompt,
        "weights": _numbers(weights, float, "--weights"),
        "seeds": _numbers(seeds, int, "--seeds"),
        "model": model,
        "engine": engine,
        "sample_steps": sample_steps,
        "width": width,
        "height": height,
        "embedding_model": embedding_model,
        "text_image_model": text_image_model,
    }
    with open_session(context, as_json=as_json) as session:
        with ImageBar(session.screen) as shown:
            answer = session.client.compare(
                *sources,
                on_progress=lambda now: shown.show(now.answer),
                **asked,
                score=None if score else False,
            ).answer()
        session.screen.warn(answer.get("warnings", ()))
        saved = save_grid(session.client, answer, grid or Path(f"{answer['process_id']}.png"))
        if as_json:
            session.screen.answer({**answer, **({"grid": str(saved)} if saved is not None else {})})
        else:
            _report(session.screen, answer, saved)
        if answer["status"] != "completed":
            raise typer.Exit(ExitCode.FAILED)


def _report(screen: Screen, answer: Mapping[str, Any], saved: Path | None) -> None:
    """Say what was drawn, and what is best if there are scores."""
    cells = answer.get("cells", ())
    screen.line(
        f"{answer['process_id']} {answer['status']}: {len(cells)} cells, {answer.get('kept', 0)} of them drawn before"
    )
    ranking = answer.get("ranking", ())
    for number, one in enumerate(ranking, 1):
        screen.line(_ranked(one, one.get("place") or number, ranking))
    if best := answer.get("recommended"):
        screen.line(f"recommended: {_lora(best, ranking)}")
    if "failure" in answer:
        screen.warn([f"{answer['failure']['message']} {answer['failure'].get('hint', '')}".strip()])
    if saved is not None:
        screen.line(str(saved))


def _ranked(one: Mapping[str, Any], place: int, ranking: Sequence[Mapping[str, Any]]) -> str:
    """Return a line such as `1. step 500: 0.712  most like the dataset`."""
    reasons = "; ".join(one.get("reasons", ()))
    return f"{place}. {_lora(one, ranking)}: {one['score']:.3f}  {reasons}".rstrip()


def _lora(one: Mapping[str, Any], ranking: Sequence[Mapping[str, Any]]) -> str:
    """Name a LoRA by what tells it from the others."""
    known = one.get("step") is not None
    words = [f"step {one['step']}"] if known else [str(one.get("lora") or one.get("process_id"))]
    if known and len({other.get("process_id") for other in ranking}) > 1:
        words.insert(0, str(one.get("process_id") or one.get("lora")))
    if label := one.get("variant_label"):
        words.insert(1, f"({label})")
    return f"{' '.join(words)}, weight {one['weight']:g}"


def _steps(text: str | None) -> str | list[int] | None:
    if text is None or text == "all" or text.startswith("last:"):
        return text
    return _numbers(text, int, "--steps")


def _numbers(text: str | None, kind: Callable[[str], Number], option: str) -> list[Number] | None:
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers; write them with commas, for example 1,2", param_hint=option
        ) from None
