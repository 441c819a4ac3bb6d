"""What the console knows, as its pages get it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lorapod.client.console.known_processes import KnownProcess
from lorapod.client.console.parts import ConsoleParts

#: Fields of a process that a card shows.
_OF_A_CARD: Final = (
    *(
        "process_id",
        "type",
        "name",
        "status",
        "phase",
        "progress",
        "estimate",
        "created_at",
        "started_at",
        "ended_at",
    ),
    *("sweep_id", "failure", "reason", "base_model", "trigger_word", "gpu", "trainer"),
)


def card(parts: ConsoleParts, known: KnownProcess) -> dict[str, Any]:
    """Return a process for a list, with its newest image and its loss in a few points."""
    shown = {name: known.process[name] for name in _OF_A_CARD if name in known.process}
    return {
        **shown,
        "known_at": known.known_at,
        "spark": known.spark,
        "picture": _newest_picture(parts, known),
        "cost": parts.prices.of_training(known.process),
    }


def asked(parts: ConsoleParts, subject: str) -> dict[str, Any]:
    """Return the newest question to a worker about a subject, and whether the volume is being read for it."""
    return {
        "ask": parts.asks.view(subject),
        "looking": parts.looks.is_open(subject),
        "look_problem": (parts.looks.view(subject) or {}).get("problem"),
    }


def training_view(parts: ConsoleParts, known: KnownProcess) -> dict[str, Any]:
    """Return a training with its samples' images and its curves."""
    process = known.process
    here = _pictures(parts, process)
    prompts = process.get("sample_prompts") or []
    samples = [
        {
            "step": sample["step"],
            "index": sample["index"],
            "prompt": prompts[sample["index"]] if sample["index"] < len(prompts) else "",
            "picture": here.get(sample["path"]),
        }
        for sample in process.get("samples") or ()
    ]
    curves = {
        key: {"digest": curve.digest, "points": curve.points}
        for key, curve in parts.curves.all_of(process["process_id"]).items()
    }
    left_out = {"samples", "output_files"}
    return {
        "process": {name: value for name, value in process.items() if name not in left_out},
        "known_at": known.known_at,
        "whole": known.whole,
        "cost": parts.prices.of_training(process),
        "follows": parts.volume is not None,
        "samples": samples,
        "curves": curves,
        "gpus": [] if known.ended else parts.processes.gpus_of(process["process_id"]),
        "sheet": here.get(str((process.get("dataset") or {}).get("contact_sheet"))),
        **asked(parts, process["process_id"]),
    }


def comparison_view(parts: ConsoleParts, known: KnownProcess) -> dict[str, Any]:
    """Return a comparison with the images of its cells."""
    process = known.process
    here = _pictures(parts, process)
    cells = [{**cell, "picture": here.get(cell["path"])} for cell in process.get("cells") or ()]
    left_out = {"cells", "outcome", "output_files"}
    return {
        "process": {name: value for name, value in process.items() if name not in left_out},
        "known_at": known.known_at,
        "whole": known.whole,
        "cells": cells,
        **asked(parts, process["process_id"]),
    }


def _pictures(parts: ConsoleParts, process: Mapping[str, Any]) -> Mapping[str, str]:
    folder = process.get("output_path") or f"output/{process['process_id']}"
    return parts.pictures.below(f"{folder}/")


def _newest_picture(parts: ConsoleParts, known: KnownProcess) -> str | None:
    samples = known.process.get("samples") or []
    here = _pictures(parts, known.process) if samples else {}
    shown = [
        (sample["step"], -sample["index"], here[sample["path"]])
        for sample in samples
        if sample["path"] in here
    ]
    return max(shown)[2] if shown else None
