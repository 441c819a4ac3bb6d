"""Models as the browser gets them: what the list tells, what the console knows of their training, an image of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lorapod.client.console.parts import ConsoleParts

#: Trainings whose checkpoints the playground offers.
_TRAININGS: Final = 50


def cards(parts: ConsoleParts) -> list[dict[str, Any]]:
    """Return every known model for a list: LoRAs first, the newest first."""
    origins: dict[str, _Origin | None] = {}
    drawn = _drawn_with(parts)
    shown = [_card(parts, model, origins, drawn) for model in parts.models.all()]
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


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """The training of some models: what is known of it, and the digests of its samples that are on this machine."""

    process: Mapping[str, Any]
    pictures: Mapping[str, str]


def _origin(parts: ConsoleParts, process_id: str) -> _Origin | None:
    known = parts.processes.get(process_id)
    if known is None:
        return None
    folder = known.process.get("output_path") or f"output/{process_id}"
    return _Origin(process=known.process, pictures=parts.pictures.below(f"{folder}/"))


def _card(
    parts: ConsoleParts,
    model: Mapping[str, Any],
    origins: dict[str, _Origin | None],
    drawn: Mapping[str, str],
) -> dict[str, Any]:
    process_id = model.get("process_id")
    if process_id is not None and process_id not in origins:
        origins[process_id] = _origin(parts, process_id)
    origin = None if process_id is None else origins[process_id]
    told = _of_training(origin.process, model) if origin is not None else {}
    # A header names the family of the base model, such as `sd_v1`; the training knows the model itself.
    exact = {"base_model": told["base_model"]} if "base_model" in told else {}
    return {
        **told,
        **model,
        **exact,
        "picture": (origin and _picture(origin, model.get("step"))) or drawn.get(model["path"]),
    }


def _of_training(process: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training tells of a model that it wrote."""
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


def _picture(origin: _Origin, step: int | None) -> str | None:
    """Return the sample that was drawn last before a step, of those that are here; the newest if there is no step."""
    here = origin.pictures
    shown = [
        (one["step"], -one["index"], here[one["path"]])
        for one in origin.process.get("samples") or ()
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
