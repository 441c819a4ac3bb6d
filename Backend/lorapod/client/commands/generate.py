"""`generate`: images and videos, with the LoRAs that were trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lorapod.client.commands.generation_screen import GenerationScreen
from lorapod.client.commands.known_names import complete_training
from lorapod.client.commands.lora_refs import weighted_lora
from lorapod.client.commands.session import AsJson, open_session

PromptArgument = Annotated[
    str | None, typer.Argument(help="Prompt. Leave it out if the workflow contains it.")
]
LoraOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SOURCE[:WEIGHT]",
        help="LoRA to use: the process id of a training, or the path of a file. May be repeated.",
        autocompletion=complete_training,
    ),
]
ModelOption = Annotated[str | None, typer.Option(help="Base model. Default: the engine chooses.")]
NegativePromptOption = Annotated[str | None, typer.Option(help="What the image must not show.")]
WidthOption = Annotated[int | None, typer.Option(min=16, help="Width in pixels.")]
HeightOption = Annotated[int | None, typer.Option(min=16, help="Height in pixels.")]
StepsOption = Annotated[int | None, typer.Option(min=1, help="Denoising steps.")]
GuidanceScaleOption = Annotated[float | None, typer.Option(help="How closely to follow the prompt.")]
SeedOption = Annotated[int | None, typer.Option(help="Seed of the first image. Default: a random one.")]
NumImagesOption = Annotated[int, typer.Option(min=1, help="Number of images.")]
ImageOption = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Input image.")]
MaskOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="What to change of the input image: white is changed."),
]
InputOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--input",
        exists=True,
        dir_okay=False,
        help="Image, video or sound that the workflow names: sent under its file name. May be repeated.",
    ),
]
StrengthOption = Annotated[float | None, typer.Option(help="How much to change the input image, 0 to 1.")]
LengthOption = Annotated[int | None, typer.Option(min=1, help="Length of a video in frames.")]
EngineOption = Annotated[str | None, typer.Option(help="Engine: diffusers, comfyui, swarmui or ai-toolkit.")]
WorkflowOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="ComfyUI workflow, exported in API format (JSON)."),
]
WorkflowNameOption = Annotated[str | None, typer.Option(help="Name of a workflow template on the worker.")]
ToOption = Annotated[Path, typer.Option(file_okay=False, help="Folder for the results.")]


def generate(
    context: typer.Context,
    prompt: PromptArgument = None,
    *,
    lora: LoraOption = None,
    model: ModelOption = None,
    negative_prompt: NegativePromptOption = None,
    width: WidthOption = None,
    height: HeightOption = None,
    steps: StepsOption = None,
    guidance_scale: GuidanceScaleOption = None,
    seed: SeedOption = None,
    num_images: NumImagesOption = 1,
    image: ImageOption = None,
    mask: MaskOption = None,
    inputs: InputOption = None,
    strength: StrengthOption = None,
    length: LengthOption = None,
    engine: EngineOption = None,
    workflow: WorkflowOption = None,
    workflow_name: WorkflowNameOption = None,
    to: ToOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Generate images or videos and download them."""
    with open_session(context, as_json=as_json) as session:
        with GenerationScreen(session.screen) as shown:
            made = session.client.generate(
                prompt,
                to=to,
                on_progress=lambda now: shown.show(now.answer),
                negative_prompt=negative_prompt,
                loras=[weighted_lora(text, param_hint="--lora") for text in lora] if lora else None,
                model=model,
                width=width,
                height=height,
                steps=steps,
                guidance_scale=guidance_scale,
                seed=seed,
                num_images=num_images,
                image=image,
                mask=mask,
                images=inputs,
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


def _json(path: Path) -> dict[str, Any]:
    try:
        workflow = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not valid JSON: {error}", param_hint="--workflow") from None
    if not isinstance(workflow, dict):
        raise typer.BadParameter(
            f"{path} must hold a JSON object, the graph of the workflow", param_hint="--workflow"
        )
    return workflow
