"""Answers to inputs of a worker that serves SwarmUI, as its callers know them."""

from __future__ import annotations

from collections.abc import Mapping

from lorapod.wire.shapes.shape import Fields

#: The engine that answers them.
ENGINE = "swarmui"


def told(_sent: Fields, answer: Fields) -> Fields:
    """Add `success` to the worker's own answer."""
    return {"success": "error" not in answer, **answer}


def told_download(sent: Fields, answer: Fields) -> Fields:
    """Add `success`; a download that was waited for may have failed: its status shows it."""
    ended_badly = answer.get("status") in {"failed", "cancelled", "interrupted"}
    return {**told(sent, answer), **({"success": False} if ended_badly else {})}


def told_generation(sent: Fields, answer: Fields) -> Fields:
    """Add `success`, and `metadata` with the seed and the number of images."""
    if "error" in answer:
        return told(sent, answer)
    pictures = answer.get("images")
    made = len(pictures) if isinstance(pictures, list) else 0
    return {**told(sent, answer), "metadata": {"seed": answer.get("seed"), "images": made}}


def told_list(sent: Fields, answer: Fields) -> Fields:
    """Return the models below a folder, and its folders, down to the requested depth."""
    if "error" in answer:
        return told(sent, answer)
    payload = sent.get("payload")
    fields = {**sent, **payload} if isinstance(payload, Mapping) else sent
    folder = str(fields.get("path") or "").strip("/")
    depth = fields.get("depth")
    deepest = depth if isinstance(depth, int) and depth > 0 else 2
    below = f"{folder}/" if folder else ""
    models, folders = [], set()
    for model in answer["models"]:
        if not model["name"].startswith(below):
            continue
        parts = model["name"].removeprefix(below).split("/")
        folders |= {"/".join(parts[:count]) for count in range(1, min(deepest, len(parts) - 1) + 1)}
        if len(parts) <= deepest:
            models.append(model)
    if fields.get("sort_reverse") is True:
        models.reverse()
    return {**told(sent, answer), "models": models, "folders": sorted(folders)}


def told_keeping(sent: Fields, answer: Fields) -> Fields:
    """Add `success`, `pings`, `duration` and `last_error`."""
    if "error" in answer:
        return told(sent, answer)
    kept = [engine for engine in answer["engines"] if engine["name"] == ENGINE]
    errors = [engine["last_error"] for engine in kept if engine.get("last_error")]
    known = {**answer, "success": not errors, "pings": sum(engine["pings"] for engine in kept)}
    return {**known, "duration": answer["kept_alive_s"], **({"last_error": errors[0]} if errors else {})}
