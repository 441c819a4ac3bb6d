"""The training pictures: scenes with captions, and loose shapes that only the VAE sees."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from lorapod.client.drawing.places import PLACES
from lorapod.client.drawing.scene import STYLES, Scene
from lorapod.client.drawing.things import COLOURS, THINGS

SIDE = 64
#: Pictures are drawn larger and then made small, so that their edges are smooth.
_DRAWN_SIDE = 128
#: Share of pictures whose caption leaves out the place, the colour, or calls the thing by a word without meaning.
_NO_PLACE, _NO_COLOUR, _NO_MEANING = 0.08, 0.08, 0.04
#: A word without meaning is made of these.
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def scenes(count: int, seed: int) -> tuple[torch.Tensor, list[str]]:
    """Return pictures as bytes, (count, 3, side, side), and their captions."""
    dice = random.Random(seed)  # noqa: S311 -- pictures want a seed, not secrecy
    pixels, captions = torch.empty(count, 3, SIDE, SIDE, dtype=torch.uint8), []
    for number in range(count):
        scene, caption = _scene(dice)
        pixels[number] = _tensor(scene.draw(_DRAWN_SIDE))
        captions.append(caption)
    return pixels, captions


def loose_shapes(count: int, seed: int) -> torch.Tensor:
    """Return pictures of random ellipses, polygons and lines, (count, 3, side, side)."""
    dice = random.Random(seed)  # noqa: S311 -- pictures want a seed, not secrecy
    pixels = torch.empty(count, 3, SIDE, SIDE, dtype=torch.uint8)
    for number in range(count):
        picture = Image.new("RGB", (_DRAWN_SIDE, _DRAWN_SIDE), _any_colour(dice))
        canvas = ImageDraw.Draw(picture)
        for _ in range(dice.randint(3, 14)):
            _paint_any(canvas, dice)
        pixels[number] = _tensor(picture)
    return pixels


def as_floats(pixels: torch.Tensor) -> torch.Tensor:
    """Return bytes as numbers from -1 to 1."""
    return pixels.float() / 127.5 - 1.0


def _scene(dice: random.Random) -> tuple[Scene, str]:
    thing, colour = dice.choice(list(THINGS)), dice.choice(list(COLOURS))
    place, style = dice.choice(list(PLACES)), dice.choice(STYLES)
    size = dice.uniform(0.26, 0.38)
    scene = Scene(
        parts=THINGS[thing],
        colour=COLOURS[colour],
        place=place,
        style=style,
        x=dice.uniform(0.4, 0.6),
        y=dice.uniform(0.84, 0.92) - size,
        size=size,
        seed=dice.randrange(1 << 30),
    )
    if dice.random() < _NO_MEANING:
        thing = "".join(dice.choices(_LETTERS, k=dice.randint(3, 6)))
    words = [thing] if style == "pencil sketch" or dice.random() < _NO_COLOUR else [colour, thing]
    article = "an" if words[0][0] in "aeiou" else "a"
    caption = f"a {style} of {article} {' '.join(words)}"
    return scene, caption if dice.random() < _NO_PLACE else f"{caption} {place}"


def _tensor(picture: Image.Image) -> torch.Tensor:
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small).transpose(2, 0, 1).copy())


def _any_colour(dice: random.Random) -> tuple[int, int, int]:
    return dice.randrange(256), dice.randrange(256), dice.randrange(256)


def _paint_any(canvas: ImageDraw.ImageDraw, dice: random.Random) -> None:
    x, y = dice.uniform(0, _DRAWN_SIDE), dice.uniform(0, _DRAWN_SIDE)
    reach = dice.choice((4, 8, 16, 32))
    fill, outline = _any_colour(dice), _any_colour(dice) if dice.random() < 0.5 else None
    corners: Sequence[tuple[float, float]] = [
        (x + dice.uniform(-reach, reach), y + dice.uniform(-reach, reach)) for _ in range(dice.randint(3, 5))
    ]
    match dice.randrange(3):
        case 0:
            across, down = dice.uniform(2, reach), dice.uniform(2, reach)
            canvas.ellipse((x - across, y - down, x + across, y + down), fill=fill, outline=outline, width=3)
        case 1:
            canvas.polygon(corners, fill=fill)
        case _:
            canvas.line(corners, fill=fill, width=dice.choice((2, 3, 4, 6)))
