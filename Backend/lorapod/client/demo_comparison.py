"""The demo's comparison of its checkpoints: the grid, which one is recommended, why, and by which model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.client.client import Client
from lorapod.client.demo_recipe import OWN_SCORES, DemoRecipe
from lorapod.client.demo_terminal import CONSOLE, print_line
from lorapod.client.errors import LorapodError

#: How the demo calls the models that it brings along.
_OWN = "the demo's own, trained on drawn scenes"


def compare_checkpoints(
    client: Client, process: Mapping[str, Any], recipe: DemoRecipe, out: Path
) -> Mapping[str, Path]:
    """Draw the prompts with each checkpoint, on the model that is still loaded; print what the scores say.

    Args:
        client: of the endpoint.
        process: the training, as its worker shows it.
        recipe: of the demo.
        out: the demo's folder.

    Returns:
        The grid, and the recommended checkpoint if there is one, by their names in the results.
    """
    try:
        answer = client.call("compare", process_ids=[process["process_id"]], **recipe.comparison(), wait=True)
    except LorapodError as error:
        CONSOLE.print(f"  The checkpoints could not be compared: {error}", style="yellow", markup=False)
        return {}
    results = {"Checkpoints side by side": client.download(answer["grid_path"], out / "compare.png")}
    for line in told_of(answer):
        print_line(line)
    for checkpoint in process.get("checkpoints", ()):
        if checkpoint["step"] == answer.get("recommended", {}).get("step"):
            results["Recommended LoRA"] = client.download(checkpoint["path"], out / "recommended.safetensors")
    return results


def told_of(answer: Mapping[str, Any]) -> Sequence[str]:
    """Return what a comparison found, in sentences."""
    lines = [f"{_role(one['scores'])}: {_name(one['model'])}" for one in answer.get("score_models", ())]
    if recommended := answer.get("recommended"):
        lines.append(f"recommended: step {recommended['step']}")
    for one in answer.get("ranking", ()):
        reasons = "; ".join(one["reasons"]) or "in the middle"
        lines.append(f"{one['place']}. step {one['step']}, score {one['score']:.2f}: {reasons}")
    return [*lines, *answer.get("warnings", ())]


def _role(scores: Sequence[str]) -> str:
    return "embedding model" if "likeness" in scores else "text-image model"


def _name(model: str) -> str:
    return f"{_OWN} ({model})" if Path(model).name in OWN_SCORES else model
