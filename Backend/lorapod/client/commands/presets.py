"""`presets`: list the configs that a training can begin with."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lorapod.client.commands.session import AsJson, open_session

OfTrainerOption = Annotated[
    str | None, typer.Option("--trainer", help="List only presets that this trainer can run.")
]
GpuMemoryOption = Annotated[
    float | None,
    typer.Option(
        metavar="GB", min=0, help="Judge by a GPU with this much memory instead of the worker's GPU."
    ),
]


def presets(
    context: typer.Context,
    *,
    trainer: OfTrainerOption = None,
    gpu_memory: GpuMemoryOption = None,
    as_json: AsJson = False,
) -> None:
    """List the presets, the GPU memory that they need, and whether the worker can train them."""
    with open_session(context, as_json=as_json) as session:
        memory_bytes = None if gpu_memory is None else round(gpu_memory * 1e9)
        answer = session.client.call("list_presets", trainer=trainer, gpu_memory_bytes=memory_bytes)
        if as_json:
            session.screen.answer(answer)
            return
        session.screen.table(
            ("preset", "learns from", "tiers", "here", "what it trains", "licence"),
            [_row(preset) for preset in answer["presets"]],
        )
        for reason, names in _reasons(answer["presets"]).items():
            session.screen.line(f"Not here: {', '.join(names)}. {reason}")


def _row(preset: dict[str, Any]) -> tuple[str, ...]:
    return (
        preset["name"],
        ", ".join(preset["learns"]),
        ", ".join(tier["name"] for tier in preset["tiers"]),
        "yes" if preset["available"] else "no",
        preset["description"],
        f"{preset['licence']}{' (gated)' if preset['gated'] else ''}",
    )


def _reasons(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the names of the presets that are not available, by reason."""
    reasons: dict[str, list[str]] = {}
    for preset in found:
        if not preset["available"]:
            reasons.setdefault(preset.get("reason", ""), []).append(preset["name"])
    return reasons
