"""`generate`: pictures and videos with what was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lorapod.client.commands.session import AsJson, open_session


def generate(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(help="What to show; a workflow or config may say it.")
    ] = None,
    *,
    lora: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE[:WEIGHT]", help="A training's process id, or a file's path; repeat it."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Base model; else the engine's own choice.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What not to show.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="In pixels.")] = None,
    height: Annotated[int | None, typer.Option(min=16, help="In pixels.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="How closely the prompt is followed.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the first picture; chosen where left out.")] = None,
    num_images: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 1,
    image: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="An input picture.")] = None,
    strength: Annotated[float | None, typer.Option(help="How much of it is changed, 0 to 1.")] = None,
    length: Annotated[int | None, typer.Option(min=1, help="Frames of a video.")] = None,
    engine: Annotated[str | None, typer.Option(help="diffusers, comfyui, swarmui, ai-toolkit.")] = None,
    workflow: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A ComfyUI workflow (API form, JSON).")
    ] = None,
    workflow_name: Annotated[str | None, typer.Option(help="One of the worker's templates.")] = None,
    to: Annotated[Path, typer.Option(file_okay=False, help="Where results go.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Generate pictures or videos, and fetch them."""
    with open_session(context, as_json=as_json) as session:
        made = session.client.generate(
            prompt,
            to=to,
            negative_prompt=negative_prompt,
            loras=[_lora(text) for text in lora] if lora else None,
            model=model,
            width=width,
            height=height,
            steps=steps,
            guidance_scale=guidance_scale,
            seed=seed,
            num_images=num_images,
            image=image,
            strength=strength,
            length=length,
            engine=engine,
            workflow=None if workflow is None else _json(workflow),
            comfyui_workflow_name=workflow_name,
        )
        session.screen.warn(made.warnings)
        if as_json:
            session.screen.answer({**made.answer, "files": [str(path) for path in made.files]})
        for path in made.files:
            session.screen.line(str(path))


def _lora(text: str) -> dict[str, Any]:
    source, _, weight = text.rpartition(":")
    if not source:
        source, weight = weight, "1"
    try:
        strength = float(weight)
    except ValueError:
        raise typer.BadParameter(f"{weight!r} is no weight", param_hint="--lora") from None
    kind = "path" if "/" in source or "." in source else "process_id"
    return {kind: source, "weight": strength}


def _json(path: Path) -> dict[str, Any]:
    try:
        workflow = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is no JSON: {error}", param_hint="--workflow") from None
    if not isinstance(workflow, dict):
        raise typer.BadParameter(f"{path} holds no JSON object", param_hint="--workflow")
    return workflow
