"""Things as parts: ellipses and polygons between -1 and 1, standing at y = 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Red, green and blue, 0 to 255.
Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (220, 45, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 215, 50),
    "green": (50, 165, 75),
    "blue": (45, 100, 220),
    "purple": (140, 70, 190),
    "pink": (245, 140, 185),
    "brown": (130, 80, 45),
}

#: What is painted in no colour of the thing's own.
_FIXED: dict[str, Colour] = {
    "white": (248, 248, 244),
    "black": (35, 32, 40),
    "trunk": (115, 75, 45),
    "leaf": (70, 150, 70),
    "glass": (175, 220, 240),
    "grey": (120, 120, 128),
    "rose": (250, 130, 140),
}


@dataclass(frozen=True, kw_only=True)
class DrawnPart:
    """One ellipse (two corners) or polygon (three points or more), painted in a role's colour."""

    points: tuple[tuple[float, float], ...]
    role: str = "main"

    @property
    def is_ellipse(self) -> bool:
        """Return whether the points are the corners of an ellipse's box."""
        return len(self.points) == 2

    def colour(self, main: Colour) -> Colour:
        """Return the part's colour on a thing of the colour `main`."""
        match self.role:
            case "main":
                return main
            case "dark":
                return mixed(main, (0, 0, 0), 0.4)
            case "light":
                return mixed(main, (255, 255, 255), 0.6)
        return _FIXED[self.role]


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return `first` with a share of `second`, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def ellipse(x: float, y: float, width: float, height: float, role: str = "main") -> DrawnPart:
    """Return an ellipse around a point, by half its width and height."""
    return DrawnPart(points=((x - width, y - height), (x + width, y + height)), role=role)


def box(left: float, top: float, right: float, bottom: float, role: str = "main") -> DrawnPart:
    """Return a rectangle."""
    return DrawnPart(points=((left, top), (right, top), (right, bottom), (left, bottom)), role=role)


def polygon(*points: tuple[float, float], role: str = "main") -> DrawnPart:
    """Return a polygon."""
    return DrawnPart(points=points, role=role)


def _star() -> Sequence[DrawnPart]:
    corners = [
        (
            math.sin(place * math.pi / 5) * (1.0 if place % 2 == 0 else 0.42),
            0.08 - math.cos(place * math.pi / 5) * (1.0 if place % 2 == 0 else 0.42),
        )
        for place in range(10)
    ]
    return [polygon(*corners)]


def _heart() -> Sequence[DrawnPart]:
    turns = [place * math.tau / 40 for place in range(40)]
    curve = [
        (
            math.sin(turn) ** 3,
            -(13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)) / 16
            - 0.05,
        )
        for turn in turns
    ]
    return [polygon(*curve)]


def _flower() -> Sequence[DrawnPart]:
    petals = [
        ellipse(math.cos(turn) * 0.42, -0.35 + math.sin(turn) * 0.42, 0.28, 0.28)
        for turn in (place * math.tau / 6 for place in range(6))
    ]
    stem = box(-0.06, 0.0, 0.06, 1.0, "leaf")
    return [stem, ellipse(0.28, 0.68, 0.24, 0.1, "leaf"), *petals, ellipse(0, -0.35, 0.24, 0.24, "white")]


THINGS: dict[str, Sequence[DrawnPart]] = {
    "ball": [
        ellipse(0, 0.1, 0.9, 0.9),
        polygon((-0.88, -0.08), (0.88, -0.08), (0.88, 0.28), (-0.88, 0.28), role="light"),
    ],
    "box": [box(-0.85, -0.5, 0.85, 1.0), box(-0.95, -0.85, 0.95, -0.5, "dark")],
    "star": _star(),
    "heart": _heart(),
    "house": [
        box(-0.75, -0.15, 0.75, 1.0),
        polygon((-1.0, -0.15), (0.0, -1.0), (1.0, -0.15), role="dark"),
        box(-0.2, 0.35, 0.2, 1.0, "trunk"),
        box(0.34, 0.1, 0.64, 0.42, "glass"),
        box(-0.64, 0.1, -0.34, 0.42, "glass"),
    ],
    "tree": [
        box(-0.16, 0.2, 0.16, 1.0, "trunk"),
        ellipse(-0.4, -0.05, 0.45, 0.42),
        ellipse(0.4, -0.05, 0.45, 0.42),
        ellipse(0, -0.45, 0.55, 0.55),
    ],
    "fish": [
        polygon((0.45, 0.2), (1.0, -0.3), (1.0, 0.7), role="dark"),
        ellipse(-0.15, 0.2, 0.8, 0.55),
        ellipse(-0.55, 0.08, 0.14, 0.14, "white"),
        ellipse(-0.58, 0.08, 0.07, 0.07, "black"),
    ],
    "car": [
        polygon((-0.6, 0.2), (-0.4, -0.3), (0.35, -0.3), (0.6, 0.2)),
        polygon((-0.45, 0.15), (-0.3, -0.18), (-0.03, -0.18), (-0.03, 0.15), role="glass"),
        polygon((0.07, 0.15), (0.07, -0.18), (0.28, -0.18), (0.45, 0.15), role="glass"),
        box(-1.0, 0.15, 1.0, 0.75),
        ellipse(-0.55, 0.75, 0.25, 0.25, "black"),
        ellipse(0.55, 0.75, 0.25, 0.25, "black"),
    ],
    "boat": [
        box(-0.05, -0.95, 0.05, 0.45, "trunk"),
        polygon((0.1, -0.9), (0.8, 0.3), (0.1, 0.3), role="white"),
        polygon((-0.1, -0.6), (-0.6, 0.3), (-0.1, 0.3), role="light"),
        polygon((-1.0, 0.42), (1.0, 0.42), (0.65, 0.95), (-0.65, 0.95)),
    ],
    "flower": _flower(),
    "mushroom": [
        polygon((-0.25, 0.0), (0.25, 0.0), (0.35, 1.0), (-0.35, 1.0), role="white"),
        polygon(
            *(
                (
                    math.cos(math.pi + place * math.pi / 16) * 0.95,
                    0.15 + math.sin(math.pi + place * math.pi / 16) * 1.0,
                )
                for place in range(17)
            )
        ),
        ellipse(-0.4, -0.2, 0.16, 0.14, "white"),
        ellipse(0.3, -0.4, 0.18, 0.15, "white"),
        ellipse(0.5, -0.02, 0.11, 0.09, "white"),
    ],
    "balloon": [
        box(-0.03, 0.4, 0.03, 1.0, "grey"),
        ellipse(0, -0.3, 0.62, 0.72),
        polygon((0, 0.36), (0.14, 0.54), (-0.14, 0.54), role="dark"),
    ],
    "cup": [
        ellipse(0.6, 0.25, 0.38, 0.4, "dark"),
        ellipse(0.6, 0.25, 0.2, 0.22, "white"),
        polygon((-0.75, -0.5), (0.65, -0.5), (0.5, 1.0), (-0.6, 1.0)),
        ellipse(-0.05, -0.5, 0.7, 0.16, "light"),
    ],
    "umbrella": [
        box(-0.05, -0.2, 0.05, 0.95, "trunk"),
        polygon(
            *(
                (
                    math.cos(math.pi + place * math.pi / 16),
                    0.05 + math.sin(math.pi + place * math.pi / 16) * 0.95,
                )
                for place in range(17)
            )
        ),
        polygon((-0.33, 0.05), (-0.2, -0.55), (0.0, -0.9), (0.2, -0.55), (0.33, 0.05), role="light"),
    ],
}
