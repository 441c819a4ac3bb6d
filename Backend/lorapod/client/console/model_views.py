"""Models as the browser gets them: what the list tells, what the console knows of their training, an image of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lorapod.client.console.known_processes import KnownProcess
from lorapod.client.console.parts import ConsoleParts

#: Trainings whose checkpoints the playground offers.
_TRAININGS: Final = 50


def cards(parts: ConsoleParts) -> list[dict[str, Any]]:
    """Return every known model for a list: LoRAs first, the newest first."""
    processes: dict[str, KnownProcess | None] = {}
    drawn = _drawn_with(parts)
    shown = [_card(parts, model, processes, drawn) for model in parts.models.all()]
    return sorted(shown, key=lambda one: one.get("kind") != "lora")


def card(parts: ConsoleParts, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return one model."""
    return _card(parts, model, {}, _drawn_with(parts))


def trainings(parts: ConsoleParts) -> list[dict[str, Any]]:
    """Return the newest trainings that have checkpoints, with these."""
    found: list[dict[str, Any]] = []
    for brief in parts.processes.all():
        known = parts.processes.get(brief.process["process_id"]) if brief.process["type"] == "train" else None
        if known is None or not known.process.get("checkpoints"):
            continue
        shown = ("process_id", "name", "base_model", "trigger_word", "checkpoints")
        found.append({name: known.process.get(name) for name in shown})
        if len(found) == _TRAININGS:
            break
    return found


def _card(
    parts: ConsoleParts,
    model: Mapping[str, Any],
    processes: dict[str, KnownProcess | None],
    drawn: Mapping[str, str],
) -> dict[str, Any]:
    process_id = model.get("process_id")
    if process_id is not None and process_id not in processes:
        processes[process_id] = parts.processes.get(process_id)
    known = None if process_id is None else processes[process_id]
    told = _of_training(known, model) if known is not None else {}
    # A header names the family of the base model, such as `sd_v1`; the training knows the model itself.
    exact = {"base_model": told["base_model"]} if "base_model" in told else {}
    return {
        **told,
        **model,
        **exact,
        "picture": (known and _picture(parts, known, model.get("step"))) or drawn.get(model["path"]),
    }


def _of_training(known: KnownProcess, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training tells of a model that it wrote."""
    process = known.process
    saved: Mapping[str, Any] = next(
        (one for one in process.get("checkpoints") or () if one["path"] == model["path"]), {}
    )
    word = process.get("trigger_word")
    told = {
        "training": process.get("name"),
        "base_model": process.get("base_model"),
        "trigger_words": [word] if word else None,
        "rank": (process.get("settings") or {}).get("rank"),
        "step": saved.get("step"),
        "kind": "lora" if saved and (process.get("settings") or {}).get("rank") else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _picture(parts: ConsoleParts, known: KnownProcess, step: int | None) -> str | None:
    """Return the sample that was drawn last before a step, of those that are here; the newest if there is no step."""
    samples = known.process.get("samples") or ()
    folder = known.process.get("output_path") or f"output/{known.process['process_id']}"
    here = parts.pictures.below(f"{folder}/") if samples else {}
    shown = [
        (one["step"], -one["index"], here[one["path"]])
        for one in samples
        if one["path"] in here and (step is None or one["step"] <= step)
    ]
    return max(shown)[2] if shown else None


def _drawn_with(parts: ConsoleParts) -> Mapping[str, str]:
    """Return, by the path of a LoRA, the newest image of the playground that was drawn with it alone."""
    found: dict[str, str] = {}
    for entry in parts.generations.all():
        loras: Sequence[Mapping[str, Any]] = entry["request"].get("loras") or ()
        picture = next((one.get("picture") for one in pictured(parts, entry) if one.get("picture")), None)
        if len(loras) == 1 and picture is not None:
            found.setdefault(str(loras[0].get("path")), picture)
    return found


def pictured(parts: ConsoleParts, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the images of a generation, with the digests of those that are on this machine."""
    images = entry.get("images") or ()
    folder = images[0]["path"].rpartition("/")[0] if images else ""
    here = parts.pictures.below(f"{folder}/") if images else {}
    return [{**one, "picture": here.get(one["path"])} for one in images]
