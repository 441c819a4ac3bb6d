"""Random subjects, each in two pictures: what teaches a model to recognise a subject in another place and style."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from demo_base_parts.pictures import SIDE
from lorapod.client.drawing.places import PLACES
from lorapod.client.drawing.scene import STYLES, Scene
from lorapod.client.drawing.things import COLOURS, THINGS, Colour, DrawnPart, box, ellipse, polygon

_DRAWN_SIDE = 128
#: Pictures of each subject.
VIEWS = 2
#: Share of the subjects that are things of the base model.
_THINGS = 0.2
_ROLES = ("main", "dark", "light", "white", "black", "grey")

Subject = tuple[Sequence[DrawnPart], Colour]


def subjects(count: int, seed: int) -> torch.Tensor:
    """Return pictures as bytes, (count, VIEWS, 3, side, side).

    Each subject at an odd place is the one before it with one part changed, so that colours alone do not tell them apart.
    """
    dice = random.Random(seed)  # noqa: S311 -- pictures want a seed, not secrecy
    pixels = torch.empty(count, VIEWS, 3, SIDE, SIDE, dtype=torch.uint8)
    subject = any_subject(dice)
    for number in range(count):
        subject = _changed(subject, dice) if number % 2 else any_subject(dice)
        for view in range(VIEWS):
            pixels[number, view] = _tensor(_view(subject, dice).draw(_DRAWN_SIDE))
    return pixels


def any_subject(dice: random.Random) -> Subject:
    """Return a thing that the base model knows, or parts put together by chance."""
    colour = COLOURS[dice.choice(list(COLOURS))]
    if dice.random() < _THINGS:
        return THINGS[dice.choice(list(THINGS))], colour
    parts = [*_limbs(dice), _body(dice)]
    parts.extend(_stripe(dice) for _ in range(dice.randint(0, 2)))
    if dice.random() < 0.75:
        parts += _eyes(dice)
    return parts, colour


def _view(subject: Subject, dice: random.Random) -> Scene:
    parts, colour = subject
    size = dice.uniform(0.28, 0.4)
    return Scene(
        parts=parts,
        colour=colour,
        place=dice.choice(list(PLACES)),
        style=dice.choices(STYLES, (5, 4, 1, 1))[0],
        x=dice.uniform(0.42, 0.58),
        y=dice.uniform(0.84, 0.92) - size,
        size=size,
        seed=dice.randrange(1 << 30),
    )


def _changed(subject: Subject, dice: random.Random) -> Subject:
    """Return a subject with another colour, or without one part, or with one of another colour or one more."""
    parts, colour = list(subject[0]), subject[1]
    match dice.randrange(4):
        case 0:
            return parts, COLOURS[dice.choice([name for name, value in COLOURS.items() if value != colour])]
        case 1 if len(parts) > 2:
            del parts[dice.randrange(len(parts))]
        case 2:
            place = dice.randrange(len(parts))
            others = [role for role in _ROLES if role != parts[place].role]
            parts[place] = replace(parts[place], role=dice.choice(others))
        case _:
            parts += dice.choice((_eyes, _limbs))(dice)
    return parts, colour


def _body(dice: random.Random) -> DrawnPart:
    width, top = dice.uniform(0.45, 0.85), dice.uniform(-0.75, -0.1)
    match dice.randrange(3):
        case 0:
            return ellipse(0, (top + 1) / 2, width, (1 - top) / 2)
        case 1:
            return box(-width, top, width, 1)
        case _:
            narrow = width * dice.uniform(0.2, 1)
            return polygon((-narrow, top), (narrow, top), (width, 1), (-width, 1))


def _limbs(dice: random.Random) -> list[DrawnPart]:
    """Return pairs of ears, horns, arms or feet."""
    parts: list[DrawnPart] = []
    for _ in range(dice.randint(1, 2)):
        role = dice.choice(("main", "main", "dark", "light", "white"))
        x, y = dice.uniform(0.2, 0.75), dice.choice((dice.uniform(-0.9, -0.3), dice.uniform(0.3, 0.9)))
        width, height = dice.uniform(0.12, 0.35), dice.uniform(0.12, 0.45)
        for side in (-1, 1):
            parts.append(
                ellipse(side * x, y, width, height, role)
                if len(parts) % 4 < 2 and role != "main"
                else polygon(
                    (side * (x - width), y + height),
                    (side * (x + width / 2), y - height),
                    (side * (x + width), y + height),
                    role=role,
                )
            )
    return parts


def _stripe(dice: random.Random) -> DrawnPart:
    top, width = dice.uniform(-0.1, 0.75), dice.uniform(0.3, 0.8)
    return box(
        -width, top, width, top + dice.uniform(0.1, 0.3), dice.choice(("white", "dark", "light", "black"))
    )


def _eyes(dice: random.Random) -> list[DrawnPart]:
    x, y, size = dice.uniform(0.2, 0.45), dice.uniform(-0.3, 0.3), dice.uniform(0.12, 0.3)
    pupil = size * dice.uniform(0.35, 0.7)
    middles = (-x, x) if dice.random() < 0.8 else (0.0,)
    return [
        *(ellipse(middle, y, size, size, "white") for middle in middles),
        *(ellipse(middle, y + size * 0.1, pupil, pupil, "black") for middle in middles),
    ]


def _tensor(picture: Image.Image) -> torch.Tensor:
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small).transpose(2, 0, 1).copy())
