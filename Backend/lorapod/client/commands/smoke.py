"""`smoke`: generate one image, to see that an endpoint works."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lorapod.client.commands.session import AsJson, open_session
from lorapod.client.errors import LorapodError

PROMPT = "a red apple on a wooden table, studio light"

#: One image fits into the answer, so that no object store is needed.
_IN_THE_ANSWER: Mapping[str, Any] = {"return": "base64"}


def smoke(
    context: typer.Context,
    *,
    prompt: Annotated[str, typer.Option(help="What to draw.")] = PROMPT,
    model: Annotated[str | None, typer.Option(help="Base model. Default: the engine chooses.")] = None,
    engine: Annotated[str | None, typer.Option(help="Engine: diffusers, comfyui or swarmui.")] = None,
    size: Annotated[int, typer.Option(min=16, help="Side of the image in pixels.")] = 512,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 20,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", min=1, help="Seconds to wait for the first answer, cold start included."),
    ] = 1800,
    to: Annotated[Path, typer.Option(file_okay=False, help="Folder for the image.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Generate one image, keep it, and show how long each part took."""
    with open_session(context, as_json=as_json) as session:
        began = time.perf_counter()
        session.client.call("ping", timeout_s=timeout_s)
        pinged_s = time.perf_counter() - began
        made = session.client.generate(
            prompt, to=to, model=model, engine=engine, width=size, height=size, steps=steps, **_IN_THE_ANSWER
        )
        took_s = time.perf_counter() - began
        if not made.files:
            raise LorapodError(
                "The endpoint answered without an image.",
                hint="Look at its log: lorapod processes, lorapod logs.",
            )
        if as_json:
            session.screen.answer(
                {
                    "files": [str(path) for path in made.files],
                    "ping_s": round(pinged_s, 3),
                    "took_s": round(took_s, 3),
                    "timings": dict(made.timings),
                }
            )
            return
        session.screen.line(f"answered after {pinged_s:.1f} s, image after {took_s:.1f} s ({made.engine})")
        for path in made.files:
            session.screen.line(str(path))
