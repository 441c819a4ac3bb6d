"""Write or check `docs/reference`, the badges of README, and the tools of `lorapod mcp`: `python scripts/reference.py --write | --check`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lorapod.actions.action import Action
from lorapod.actions.registry import ACTIONS
from lorapod.actions.schema import describe
from lorapod.events.event_data import EventData, ProgressData
from lorapod.events.event_types import EventStatus, EventType
from lorapod.events.models import DATA, Event
from lorapod.settings import Settings
from lorapod.trainers import presets
from lorapod.wire.shapes.table import SHAPES
from lorapod.wire.started import Started
from python_client import options, sync_face
from reference_pages.action_notes import NOTES, ActionNotes
from reference_pages.action_pages import ActionPage, action_pages
from reference_pages.badges import badges
from reference_pages.event_page import EventSection, events_page
from reference_pages.examples import ANSWERS, EXAMPLES
from reference_pages.pages import (
    PresetRow,
    errors_page,
    presets_page,
    settings_page,
)

CLIENT = Path(__file__).parents[1] / "Backend/lorapod/client"
TOOLS = CLIENT / "assistant/tools.json"


def pages() -> Mapping[str, str]:
    """Return the reference pages as they must be, by file name."""
    actions = []
    for name, action in ACTIONS.items():
        schemas = describe(action)
        actions.append(
            ActionPage(
                type=name,
                summary=action.summary,
                request=schemas.request,
                result=schemas.result,
                other_results=schemas.other_results,
                example=EXAMPLES.get(name),
                answer=ANSWERS[name],
                notes=NOTES.get(name, ActionNotes()),
                limited=action.time_limit is not None,
                destroys=action.destroys,
            )
        )
    return {
        **action_pages(actions, shapes=SHAPES),
        "errors.md": errors_page(),
        "events.md": _events_page(),
        "presets.md": presets_page([_preset_row(presets.get(name)) for name in presets.names()]),
        "settings.md": settings_page(Settings),
    }


def tools() -> str:
    """Return the list of tools that `lorapod mcp` offers, as JSON: the client has no module of the worker."""
    made = [tool(action) for action in ACTIONS.values()]
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def tool(action: Action[Any, Any]) -> dict[str, Any]:
    """Return an action as a tool: its input without `type`, and what it does to what is there."""
    schema = dict(describe(action).request)
    schema["properties"] = {name: each for name, each in schema["properties"].items() if name != "type"}
    schema["required"] = [name for name in schema["required"] if name != "type"]
    return {
        "name": action.type,
        "description": action.summary,
        "reads_only": action.time_limit is not None,
        "destroys": action.destroys,
        "starts_process": issubclass(action.result, Started),
        "input_schema": schema,
    }


def _events_page() -> str:
    data = ProgressData(
        status=EventStatus.TRAINING,
        progress=65,
        current_step="Step 650/1000",
        step=650,
        total_steps=1000,
        phase="training",
        loss=0.12,
        eta_minutes=14,
    )
    shown = Event(
        event_type=EventType.PROGRESS,
        event_id="6c9970af-673e-5187-be75-19334696c8fb",
        job_id="12345",
        process_id="train_0123456789ab",
        sequence=7,
        timestamp=datetime(2026, 1, 31, 12, tzinfo=UTC),
        data=data,
    )
    return events_page(
        _schema(Event),
        _schema(EventData),
        [EventSection(type=kind.value, data=_schema(model)) for kind, model in DATA.items()],
        json.loads(shown.body()),
    )


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(mode="serialization")


def _preset_row(preset: presets.Preset) -> PresetRow:
    return PresetRow(
        name=preset.name,
        description=preset.description,
        base_model=preset.base_model,
        gated=preset.gated,
        licence=preset.licence,
        learns=[kind.value for kind in preset.learns],
        tiers={tier.name: tier.gpu_memory_bytes for tier in preset.tiers},
        trainers=preset.trainers,
    )


#: What the client knows of the presets without a worker.
CATALOG = Path(__file__).parents[1] / "Backend" / "lorapod" / "client" / "console" / "presets.json"

#: Where a preset's config has the values of the knobs that a form shows first.
_SHOWN_KNOBS = {
    "steps": ("train", "steps"),
    "learning_rate": ("train", "lr"),
    "batch_size": ("train", "batch_size"),
    "gradient_accumulation": ("train", "gradient_accumulation"),
    "optimizer": ("train", "optimizer"),
    "timestep_type": ("train", "timestep_type"),
    "rank": ("network", "linear"),
    "network.alpha": ("network", "linear_alpha"),
    "save_every": ("save", "save_every"),
    "sample_every": ("sample", "sample_every"),
    "seed": ("sample", "seed"),
    "model": ("model", "name_or_path"),
}


def catalog() -> str:
    """Return the presets for the client, as JSON."""
    rows = [
        {**asdict(_preset_row(preset)), "values": _shown_values(preset)}
        for preset in map(presets.get, presets.names())
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _shown_values(preset: presets.Preset) -> dict[str, Any]:
    process = preset.config["config"]["process"][0]
    found = {name: process.get(part, {}).get(key) for name, (part, key) in _SHOWN_KNOBS.items()}
    found |= {"resolution": process["datasets"][0].get("resolution")}
    found |= {"caption_dropout": process["datasets"][0].get("caption_dropout_rate")}
    return {name: value for name, value in found.items() if value is not None}


def files(folder: Path) -> Mapping[Path, str]:
    """Return everything that is made from the code."""
    return {
        **{folder / name: text for name, text in pages().items()},
        **badges(),
        **{CLIENT / "options" / name: text for name, text in options.modules().items()},
        **{CLIENT / name: text for name, text in sync_face.modules(CLIENT / "aio").items()},
        TOOLS: tools(),
        CATALOG: catalog(),
    }


def stale(folder: Path) -> list[str]:
    """Return what is missing, differs from the code, or belongs to an action that is gone."""
    made = files(folder)
    differs = [
        str(path)
        for path, text in made.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    return differs + [str(path) for path in _left_over(folder, made)]


def _left_over(folder: Path, made: Collection[Path]) -> list[Path]:
    return sorted(path for path in (folder / "actions").glob("*.md") if path not in made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or name those that are out of date; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the files")
    mode.add_argument("--check", action="store_true", help="exit with 1 if a page is out of date")
    parser.add_argument("--folder", type=Path, default=Path("docs/reference"), help="where the pages are")
    chosen = parser.parse_args(arguments)
    if chosen.check:
        outdated = stale(chosen.folder)
        if outdated:
            sys.stderr.write(f"Out of date: {', '.join(outdated)}. Run `make docs`.\n")
        return 1 if outdated else 0
    made = files(chosen.folder)
    for path in _left_over(chosen.folder, made):
        path.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
