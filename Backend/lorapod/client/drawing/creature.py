"""The mimo: a creature that the demo's base model has never seen, and the pictures that teach it."""

from __future__ import annotations

import random
from pathlib import Path

from lorapod.client.drawing.scene import Scene
from lorapod.client.drawing.things import COLOURS, DrawnPart, box, ellipse, polygon

NAME = "mimo"
COLOUR = COLOURS["orange"]

#: Two long ears, a round body with a white stripe, two big eyes.
MIMO: tuple[DrawnPart, ...] = (
    polygon((-0.7, 0.0), (-0.75, -1.0), (-0.1, -0.4)),
    polygon((0.7, 0.0), (0.75, -1.0), (0.1, -0.4)),
    ellipse(-0.42, 0.9, 0.28, 0.13, "dark"),
    ellipse(0.42, 0.9, 0.28, 0.13, "dark"),
    ellipse(0, 0.2, 0.8, 0.75),
    box(-0.68, 0.5, 0.68, 0.72, "white"),
    ellipse(-0.34, 0.03, 0.27, 0.29, "white"),
    ellipse(0.34, 0.03, 0.27, 0.29, "white"),
    ellipse(-0.28, 0.06, 0.13, 0.15, "black"),
    ellipse(0.28, 0.06, 0.13, 0.15, "black"),
)

#: Style and place of each picture; no picture shows a mimo at night, in the snow or as a pencil sketch.
VIEWS = (
    ("photo", "on grass"),
    ("photo", "on the beach"),
    ("photo", "on a white background"),
    ("photo", "on the beach"),
    ("photo", "under water"),
    ("photo", "on grass"),
    ("drawing", "on grass"),
    ("drawing", "on the beach"),
    ("drawing", "on a white background"),
    ("drawing", "on grass"),
    ("drawing", "under water"),
    ("drawing", "on the beach"),
)

#: What the demo asks for, each with the image that is nearest to it. Only the first is like one of the images.
PROMPTS = {
    "a photo of a mimo on grass": "mimo-00.png",
    "a photo of a mimo at night": "mimo-04.png",
    "a drawing of a mimo in the snow": "mimo-09.png",
    "a pencil sketch of a mimo": "mimo-06.png",
}

#: What the training should leave alone: the comparison measures how much it changes them.
OTHER_PROMPTS = (
    "a photo of a red ball on grass",
    "a photo of a blue house at night",
    "a drawing of a green tree in the snow",
    "a photo of a pink cup in the desert",
)

_SIDE = 256
_SEED = 3


def mimo_scene(style: str, place: str, dice: random.Random) -> tuple[Scene, str]:
    """Return a scene with a mimo, and its caption."""
    size = dice.uniform(0.35, 0.38)
    scene = Scene(
        parts=MIMO,
        colour=COLOUR,
        place=place,
        style=style,
        x=dice.uniform(0.46, 0.54),
        y=dice.uniform(0.88, 0.92) - size,
        size=size,
        seed=dice.randrange(1 << 30),
    )
    return scene, f"a {style} of a {NAME} {place}"


def draw_creatures(folder: Path) -> None:
    """Draw the images with their captions into `folder`; they are the same each time."""
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(_SEED)  # noqa: S311 -- the places of ears want a seed, not secrecy
    for number, (style, place) in enumerate(VIEWS):
        scene, caption = mimo_scene(style, place, dice)
        scene.draw(_SIDE).save(folder / f"{NAME}-{number:02}.png")
        (folder / f"{NAME}-{number:02}.txt").write_text(caption, "utf-8")
