"""`merge`, `resize` and `convert`: make a new LoRA of trained ones."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from lorapod.client.commands.endings import ended
from lorapod.client.commands.live import follow
from lorapod.client.commands.lora_refs import lora_source, weighted_lora
from lorapod.client.commands.screen import size
from lorapod.client.commands.session import AsJson, open_session
from lorapod.client.commands.train import EXECUTION_TIMEOUT_S

NewName = Annotated[
    str | None, typer.Option("--name", help="Name of the new LoRA. Default: made of the old one's.")
]
Source = Annotated[str, typer.Argument(metavar="LORA", help="A training's id, or a path on the volume.")]


class MergeMethodOption(StrEnum):
    """How several LoRAs become one."""

    CAT = "cat"
    SVD = "svd"
    TIES = "ties"
    DARE = "dare"
    LINEAR = "linear"


class FormatOption(StrEnum):
    """The programs whose names a LoRA can get."""

    DIFFUSERS = "diffusers"
    KOHYA = "kohya"
    COMFYUI = "comfyui"


def merge(
    context: typer.Context,
    loras: Annotated[
        list[str],
        typer.Argument(
            metavar="LORA:WEIGHT...",
            help="Each a training's id or a path on the volume; weight 1 if left out.",
        ),
    ],
    *,
    name: Annotated[str, typer.Option("--name", help="Name of the new LoRA.")],
    method: Annotated[
        MergeMethodOption,
        typer.Option(
            help="cat: exactly the effect of all; svd: the same at --rank; ties and dare: a part of each."
        ),
    ] = MergeMethodOption.CAT,
    rank: Annotated[int | None, typer.Option(min=1, help="Rank of the result of svd, ties and dare.")] = None,
    density: Annotated[
        float | None, typer.Option(help="Share of each LoRA that ties and dare keep. Default: 0.5.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make one LoRA of several of one base model."""
    asked = {
        "loras": [weighted_lora(text, param_hint="LORA:WEIGHT") for text in loras],
        "name": name,
        "method": method.value,
        "rank": rank,
        "density": density,
    }
    _make(context, "merge_loras", asked, as_json=as_json)


def resize(
    context: typer.Context,
    lora: Source,
    *,
    rank: Annotated[int | None, typer.Option(min=1, help="The new rank. Give it or --energy.")] = None,
    energy: Annotated[
        float | None, typer.Option(help="Share of each module's change to keep at least, e.g. 0.95.")
    ] = None,
    name: NewName = None,
    as_json: AsJson = False,
) -> None:
    """Make a LoRA smaller."""
    if (rank is None) == (energy is None):
        raise typer.BadParameter("Give either --rank or --energy.", param_hint="--rank")
    suffix = f"rank{rank}" if rank is not None else f"energy{energy:g}"
    asked = {**lora_source(lora), "rank": rank, "energy": energy}
    _make(context, "resize_lora", {**asked, "name": name or _name(lora, suffix)}, as_json=as_json)


def convert(
    context: typer.Context,
    lora: Source,
    *,
    to_format: Annotated[
        FormatOption, typer.Option("--format", help="kohya also serves AUTOMATIC1111, Forge and SwarmUI.")
    ],
    name: NewName = None,
    as_json: AsJson = False,
) -> None:
    """Name a LoRA's tensors as another program reads them."""
    asked = {**lora_source(lora), "format": to_format.value}
    _make(context, "convert_lora", {**asked, "name": name or _name(lora, to_format.value)}, as_json=as_json)


def _name(lora: str, suffix: str) -> str:
    return f"{lora.rpartition('/')[2].removesuffix('.safetensors')}-{suffix}"


def _make(context: typer.Context, action: str, asked: Mapping[str, Any], *, as_json: bool) -> None:
    with open_session(context, as_json=as_json) as session:
        started = session.client.start(action, execution_timeout_s=EXECUTION_TIMEOUT_S, **asked)
        made = follow(session.client, started.process_id, session.screen)
        ended(made)
        session.screen.warn(made.get("warnings", ()))
        if not as_json:
            session.screen.line(_summary(made))


def _summary(made: Mapping[str, Any]) -> str:
    """Return the new LoRA as one line."""
    parts = [f"{made['path']}: rank {made['rank']}", size(made["size_bytes"])]
    if (kept := made.get("kept_energy")) is not None:
        parts.append(f"{kept:.1%} of the change kept")
    return ", ".join(parts)
