"""A small set of pictures with captions, drawn on the spot: coloured shapes on a ground of one colour."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

#: What the pictures are made of unless told otherwise; far from grey, and from what an untaught model draws.
GROUND: Colour = (235, 150, 20)
SHAPE: Colour = (20, 40, 160)

_SHAPES = ("circle", "square", "diamond")


def draw_dataset(
    folder: Path,
    *,
    count: int = 6,
    size: tuple[int, int] = (96, 80),
    ground: Colour = GROUND,
    shape: Colour = SHAPE,
    seed: int = 0,
) -> list[Path]:
    """Draw `count` PNG pictures into `folder`, each with a `.txt` caption; the same arguments give the same files.

    Args:
        folder: made if it is missing.
        count: how many.
        size: width and height in pixels.
        ground: red, green and blue of the ground, 0 to 255.
        shape: those of the one shape on it, which covers about a sixth of the picture.
        seed: decides the places of the shapes.

    Returns:
        The pictures, in the order of their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = random.Random(seed)  # noqa: S311 - pictures want a seed, not secrecy
    width, height = size
    radius = min(size) // 4
    pictures = []
    for index in range(count):
        kind = _SHAPES[index % len(_SHAPES)]
        centre = places.randint(radius, width - radius), places.randint(radius, height - radius)
        image = Image.new("RGB", size, ground)
        _draw(ImageDraw.Draw(image), kind, centre, radius, shape)
        path = folder / f"picture_{index:03d}.png"
        image.save(path)
        path.with_suffix(".txt").write_text(f"a {kind} on a plain ground", "utf-8")
        pictures.append(path)
    return pictures


def _draw(
    canvas: ImageDraw.ImageDraw, kind: str, centre: tuple[int, int], radius: int, colour: Colour
) -> None:
    x, y = centre
    if kind == "circle":
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif kind == "square":
        canvas.rectangle((x - radius, y - radius, x + radius, y + radius), fill=colour)
    else:
        canvas.polygon([(x - radius, y), (x, y - radius), (x + radius, y), (x, y + radius)], fill=colour)
