from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from lorapod.client.drawing.creature import PROMPTS, VIEWS, draw_creatures, mimo_scene
from lorapod.client.drawing.places import PLACES
from lorapod.client.drawing.scene import STYLES, Scene
from lorapod.client.drawing.things import COLOURS, THINGS


def scene(thing: str = "ball", colour: str = "red", place: str = "on grass", style: str = "photo") -> Scene:
    return Scene(parts=THINGS[thing], colour=COLOURS[colour], place=place, style=style)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("place", PLACES)
def test_each_place_is_drawn_in_each_style(place: str, style: str) -> None:
    picture = scene(place=place, style=style).draw(64)

    assert picture.size == (64, 64)
    assert len(picture.getcolors(64 * 64) or []) >= 3


@pytest.mark.parametrize("thing", THINGS)
def test_each_thing_stands_on_its_place_in_its_colour(thing: str) -> None:
    red, blue = scene(thing).draw(64), scene(thing, "blue").draw(64)

    changed = ImageChops.difference(red, blue).getbbox()
    assert changed is not None
    left, top, right, bottom = changed
    # Between 0.5 - 0.3 and 0.58 + 0.3 of the picture.
    assert (left, top) >= (12, 17)
    assert (right, bottom) <= (52, 57)


@pytest.mark.parametrize("style", STYLES)
def test_only_a_pencil_sketch_has_no_colour(style: str) -> None:
    red, blue = scene(style=style).draw(64), scene(colour="blue", style=style).draw(64)

    assert (red.tobytes() == blue.tobytes()) == (style == "pencil sketch")


def test_the_creature_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    draw_creatures(tmp_path / "one")
    draw_creatures(tmp_path / "two")

    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 2 * len(VIEWS)
    assert all(
        (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names
    )


def test_the_prompts_ask_for_more_than_the_pictures_show(tmp_path: Path) -> None:
    draw_creatures(tmp_path)
    captions = {path.read_text() for path in tmp_path.glob("*.txt")}

    first, *others = PROMPTS
    assert first in captions
    assert not captions & set(others)
    for name in PROMPTS.values():
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (256, 256)


def test_a_caption_says_style_and_place() -> None:
    _, caption = mimo_scene("drawing", "in the snow", random.Random(0))

    assert caption == "a drawing of a mimo in the snow"
