"""The demo's dataset: a dozen little sunsets, drawn here, with captions beside them."""

from __future__ import annotations

import random
from pathlib import Path

CAPTIONS = ("a quiet bay at dusk", "a sunset over the sea", "the evening sun")

_PICTURES = 12
_SIDE = 256
_SKY, _SUN, _SEA = "#3b1f6b", "#ff9f1c", "#0fa3b1"


def draw_pictures(folder: Path) -> None:
    """Draw the pictures into `folder`; the same ones each time."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    places = random.Random(3)  # noqa: S311 -- the places of suns want a seed, not secrecy
    for number in range(_PICTURES):
        picture = Image.new("RGB", (_SIDE, _SIDE), _SKY)
        canvas = ImageDraw.Draw(picture)
        canvas.circle((places.randint(116, 140), places.randint(96, 112)), 60, fill=_SUN)
        canvas.rectangle((0, 192, _SIDE, _SIDE), fill=_SEA)
        picture.save(folder / f"sunset-{number:02}.png")
        (folder / f"sunset-{number:02}.txt").write_text(CAPTIONS[number % len(CAPTIONS)], "utf-8")
