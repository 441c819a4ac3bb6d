"""A picture of one thing at one place in one style. Drawing needs Pillow, which the `report` extra has."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorapod.client.drawing.places import PLACES
from lorapod.client.drawing.things import Colour, DrawnPart, mixed

if TYPE_CHECKING:
    from PIL import Image

STYLES = ("photo", "drawing", "pixel art", "pencil sketch")

_PAPER: Colour = (246, 242, 230)
_GRAPHITE: Colour = (80, 80, 88)
_INK: Colour = (25, 22, 30)
#: Side of a pixel art in its own pixels.
_COARSE = 16


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is in a picture, and where."""

    parts: Sequence[DrawnPart]
    colour: Colour
    place: str
    style: str
    #: Middle of the thing and half of its height, 0 to 1.
    x: float = 0.5
    y: float = 0.58
    size: float = 0.3
    #: It decides clouds, stars and grain.
    seed: int = 0

    def draw(self, side: int) -> Image.Image:
        """Return the picture, `side` pixels wide and high."""
        from PIL import Image

        dice = random.Random(self.seed)  # noqa: S311 -- the places of stars want a seed, not secrecy
        match self.style:
            case "drawing":
                picture = PLACES[self.place].paint(side, dice, gradient=False)
                self._paint(picture, outline=_INK, width=max(1, round(side * 0.022)))
                return picture
            case "pencil sketch":
                return self._sketch(side, dice)
            case "pixel art":
                picture = PLACES[self.place].paint(side, dice, gradient=False)
                self._paint(picture)
                small = picture.resize((_COARSE, _COARSE), Image.Resampling.BOX)
                small = small.quantize(16, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
                return small.resize((side, side), Image.Resampling.NEAREST)
        return self._photo(side, dice)

    def _paint(
        self,
        picture: Image.Image,
        *,
        outline: Colour | None = None,
        width: int = 1,
        flat: Colour | None = None,
    ) -> None:
        from PIL import ImageDraw

        canvas, side = ImageDraw.Draw(picture), picture.width
        for part in self.parts:
            points = [
                ((self.x + x * self.size) * side, (self.y + y * self.size) * side) for x, y in part.points
            ]
            fill = flat or part.colour(self.colour)
            if part.is_ellipse:
                canvas.ellipse(points, fill=fill, outline=outline, width=width)
            else:
                canvas.polygon(points, fill=fill)
                if outline is not None:
                    canvas.line([*points, points[0]], fill=outline, width=width, joint="curve")

    def _sketch(self, side: int, dice: random.Random) -> Image.Image:
        from PIL import Image, ImageChops, ImageDraw, ImageFilter

        place = PLACES[self.place].paint(side, dice, gradient=False).convert("L")
        edges = place.filter(ImageFilter.FIND_EDGES).point(lambda level: 255 if level > 12 else 0)
        ImageDraw.Draw(edges).rectangle((0, 0, side - 1, side - 1), outline=0, width=2)
        shade = mixed(_PAPER, _GRAPHITE, 0.45)
        tone = Image.blend(Image.new("L", (side, side), 238), place, 0.14)
        picture = ImageChops.multiply(
            Image.merge("RGB", (tone, tone, tone)), Image.new("RGB", (side, side), _PAPER)
        )
        picture.paste(shade, mask=edges)
        self._paint(picture, outline=_GRAPHITE, width=max(1, round(side * 0.018)), flat=_PAPER)
        return picture

    def _photo(self, side: int, dice: random.Random) -> Image.Image:
        from PIL import Image, ImageChops, ImageDraw, ImageFilter

        picture = PLACES[self.place].paint(side, dice, gradient=True)
        bottom = self.y + self.size
        if self.place != "under water":
            shadow = Image.new("L", (side, side), 0)
            half = self.size * 0.9
            box = [
                (self.x - half) * side,
                (bottom - 0.05) * side,
                (self.x + half) * side,
                (bottom + 0.05) * side,
            ]
            ImageDraw.Draw(shadow).ellipse(box, fill=110)
            picture.paste((20, 20, 40), mask=shadow.filter(ImageFilter.GaussianBlur(side * 0.015)))
        mask = Image.new("RGB", (side, side))
        self._paint(mask, flat=(255, 255, 255))
        lit = picture.copy()
        self._paint(lit)
        # Light falls from the upper left; the gradient's level is the distance from there.
        left, top = (
            round(side * (1 - self.x + self.size * 0.4)),
            round(side * (1 - self.y + self.size * 0.45)),
        )
        distance = Image.radial_gradient("L").resize((2 * side, 2 * side))
        distance = distance.crop((left, top, left + side, top + side))
        fall = 0.32 / self.size
        shade = distance.point([max(90, min(255, round(275 - level * fall))) for level in range(256)])
        lit = ImageChops.multiply(lit, Image.merge("RGB", (shade, shade, shade)))
        picture.paste(lit, mask=mask.convert("L"))
        return picture
