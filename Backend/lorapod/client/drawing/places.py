"""Places: the background of a picture, as a painter that knows where the ground begins."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorapod.client.drawing.things import Colour

if TYPE_CHECKING:
    from PIL import Image, ImageDraw


@dataclass(frozen=True, kw_only=True)
class Place:
    """A background."""

    #: Colours of the sky at its top and at the horizon, and of the ground.
    sky: tuple[Colour, Colour]
    ground: Colour
    #: Where the ground begins, 0 (top) to 1.
    horizon: float = 0.62
    #: Paints what belongs to the place only.
    detail: Callable[[ImageDraw.ImageDraw, int, random.Random], None] | None = None

    def paint(self, side: int, dice: random.Random, *, gradient: bool) -> Image.Image:
        """Return the place without things, `side` pixels wide and high."""
        from PIL import Image, ImageDraw

        top, bottom = self.sky
        horizon = min(side - 1, round(side * (self.horizon + dice.uniform(-0.05, 0.05))))
        if gradient:
            ramp = Image.linear_gradient("L").resize((side, side))
            picture = Image.composite(
                Image.new("RGB", (side, side), bottom), Image.new("RGB", (side, side), top), ramp
            )
        else:
            picture = Image.new("RGB", (side, side), top)
        canvas = ImageDraw.Draw(picture)
        if self.detail is not None:
            self.detail(canvas, side, dice)
        canvas.rectangle((0, horizon, side, side), fill=self.ground)
        if self.detail is _beach:
            canvas.rectangle((0, horizon, side, horizon + side // 9), fill=(50, 130, 200))
        return picture


def _sun(canvas: ImageDraw.ImageDraw, side: int, dice: random.Random) -> None:
    x = dice.choice((0.15, 0.85)) * side
    canvas.circle((x, 0.14 * side), 0.09 * side, fill=(255, 225, 90))


def _clouds(canvas: ImageDraw.ImageDraw, side: int, dice: random.Random) -> None:
    x, y = dice.uniform(0.1, 0.7) * side, dice.uniform(0.08, 0.2) * side
    for step in range(3):
        canvas.circle((x + step * 0.07 * side, y), 0.06 * side, fill=(250, 252, 255))


def _beach(canvas: ImageDraw.ImageDraw, side: int, dice: random.Random) -> None:
    _sun(canvas, side, dice)


def _night(canvas: ImageDraw.ImageDraw, side: int, dice: random.Random) -> None:
    x = dice.choice((0.18, 0.82)) * side
    canvas.circle((x, 0.16 * side), 0.09 * side, fill=(240, 240, 210))
    for _ in range(9):
        spot = dice.uniform(0, 1) * side, dice.uniform(0, 0.6) * side
        canvas.circle(spot, 0.014 * side, fill=(255, 255, 220))


def _snow(canvas: ImageDraw.ImageDraw, side: int, dice: random.Random) -> None:
    for _ in range(14):
        spot = dice.uniform(0, 1) * side, dice.uniform(0, 0.65) * side
        canvas.circle(spot, 0.018 * side, fill=(255, 255, 255))


def _water(canvas: ImageDraw.ImageDraw, side: int, dice: random.Random) -> None:
    for _ in range(6):
        spot = dice.uniform(0, 1) * side, dice.uniform(0, 0.8) * side
        canvas.circle(spot, dice.uniform(0.015, 0.035) * side, fill=(150, 215, 235))


PLACES: dict[str, Place] = {
    "on grass": Place(sky=((110, 180, 240), (200, 228, 250)), ground=(110, 185, 80), detail=_clouds),
    "on the beach": Place(sky=((120, 200, 245), (225, 240, 250)), ground=(240, 215, 150), detail=_beach),
    "in the snow": Place(sky=((150, 165, 190), (195, 205, 220)), ground=(240, 244, 250), detail=_snow),
    "at night": Place(sky=((18, 20, 60), (50, 45, 110)), ground=(30, 55, 50), detail=_night),
    "in the desert": Place(sky=((250, 170, 90), (255, 225, 160)), ground=(205, 135, 75), detail=_sun),
    "under water": Place(
        sky=((25, 120, 175), (10, 65, 120)), ground=(190, 170, 115), horizon=0.85, detail=_water
    ),
    "on a white background": Place(
        sky=((252, 252, 252), (244, 244, 244)), ground=(250, 250, 250), horizon=0.97
    ),
}
