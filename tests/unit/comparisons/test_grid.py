"""The grid of a comparison: every cell in its place, and labels that can be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from lorapod.comparisons import grid_fonts
from lorapod.comparisons.candidates import Candidate
from lorapod.comparisons.cells import Cell, PictureSettings
from lorapod.comparisons.grid import CELL_PX, HEIGHT_PX, draw_grid
from lorapod.comparisons.grid_text import LINE_PX, TextBlock
from lorapod.comparisons.scoring import DrawnCell

TRAINED = "train_0123456789ab"


def candidate(step: int) -> Candidate:
    return Candidate(path=Path(f"/{step}.safetensors"), name="cat", process_id=TRAINED, step=step)


def cell(folder: Path, step: int, prompt: str, colour: tuple[int, int, int]) -> DrawnCell:
    path = folder / f"{step}-{prompt}.png"
    Image.new("RGB", (64, 64), colour).save(path)
    made = Cell(candidate=candidate(step), weight=1.0, prompt=prompt, seed=7, settings=PictureSettings())
    return DrawnCell(cell=made, path=path)


def colours(image: Image.Image) -> dict[tuple[int, ...], tuple[int, int]]:
    """Where each large area of one colour lies: the middle of its box."""
    found = {}
    for count, colour in image.getcolors(image.width * image.height) or ():
        if count >= CELL_PX * CELL_PX * 0.9 and isinstance(colour, tuple):
            mask = Image.new("RGB", image.size, colour)
            box = _box(image, mask)
            found[colour] = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
    return found


def _box(image: Image.Image, plain: Image.Image) -> tuple[int, int, int, int]:
    from PIL import ImageChops

    difference = (
        ImageChops.difference(image, plain).convert("L").point(lambda value: 255 if value == 0 else 0)
    )
    box = difference.getbbox()
    assert box is not None
    return box


def test_rows_are_prompts_and_columns_are_steps_with_the_dataset_beside_them(tmp_path: Path) -> None:
    red, green, blue, learnt = (250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 0, 250)
    cells = [
        cell(tmp_path, 500, "a", red),
        cell(tmp_path, 500, "b", green),
        cell(tmp_path, 1000, "a", blue),
    ]
    Image.new("RGB", (90, 90), learnt).save(tmp_path / "learnt.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    dataset = [tmp_path / "learnt.png", tmp_path / "broken.png"]

    draw_grid(cells, dataset, tmp_path / "grid.png", recommended={})

    with Image.open(tmp_path / "grid.png") as opened:
        places = colours(opened.convert("RGB"))
    assert places[red][0] == places[green][0] < places[blue][0] < places[learnt][0]
    assert places[red][1] == places[blue][1] == places[learnt][1] < places[green][1]


def test_the_recommended_column_is_marked(tmp_path: Path) -> None:
    cells = [cell(tmp_path, 500, "a", (250, 0, 0)), cell(tmp_path, 1000, "a", (0, 250, 0))]
    pictures = []
    for recommended in ({}, {"process_id": TRAINED, "lora": "1000.safetensors", "step": 1000, "weight": 1.0}):
        draw_grid(cells, [], tmp_path / "grid.png", recommended=recommended)
        pictures.append((tmp_path / "grid.png").read_bytes())
    assert pictures[0] != pictures[1]


def test_a_wide_grid_gets_smaller_cells(tmp_path: Path) -> None:
    cells = [cell(tmp_path, step, "a", (step, 0, 0)) for step in range(60)]
    draw_grid(cells, [], tmp_path / "grid.png", recommended={})
    with Image.open(tmp_path / "grid.png") as opened:
        assert opened.width < 60 * CELL_PX / 2


@pytest.mark.parametrize("text", ["one two three four five six seven", "x" * 80, ""])
def test_a_text_keeps_to_its_box(text: str) -> None:
    canvas = Image.new("RGB", (300, 200), "white")
    block = TextBlock(text, 90, lines=3)
    block.draw(ImageDraw.Draw(canvas), (10, 10), "black")
    assert block.height_px <= 3 * LINE_PX
    box = canvas.convert("L").point(lambda value: 255 - value).getbbox()
    assert box is None or (box[0] >= 9 and box[2] <= 10 + 90 + 2 and box[3] <= 10 + 3 * LINE_PX)


def test_without_a_font_of_the_system_accents_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    own = grid_fonts._fonts()[-1]
    monkeypatch.setattr(grid_fonts, "_fonts", lambda: (own,))
    assert grid_fonts.font_for("Kästchen im Café: 猫")[1] == "Kastchen im Cafe: ?"
    assert grid_fonts.font_for("a red box")[1] == "a red box"


def test_of_two_files_that_no_training_is_known_of_one_is_marked(tmp_path: Path) -> None:
    cells = [cell(tmp_path, 500, "a", (250, 0, 0)), cell(tmp_path, 1000, "a", (0, 250, 0))]
    files = [
        replace(
            one, cell=replace(one.cell, candidate=replace(one.cell.candidate, process_id=None, step=None))
        )
        for one in cells
    ]
    orange = []
    for lora in ("500.safetensors", "other.safetensors"):
        draw_grid(files, [], tmp_path / "grid.png", recommended={"lora": lora, "weight": 1.0})
        with Image.open(tmp_path / "grid.png") as opened:
            image = opened.convert("RGB")
        pixels = {colour: count for count, colour in image.getcolors(image.width * image.height) or ()}
        orange.append(pixels.get((0xD9, 0x48, 0x0F), 0))
    # The frame of one cell, and its label; none for a file that is not shown.
    assert CELL_PX * 4 * 3 * 0.9 < orange[0] < CELL_PX * 4 * 3 * 1.3
    assert orange[1] == 0


def test_many_rows_get_smaller_cells(tmp_path: Path) -> None:
    cells = [cell(tmp_path, 1, f"prompt {number}", (number, 0, 0)) for number in range(90)]
    draw_grid(cells, [], tmp_path / "grid.png", recommended={})
    with Image.open(tmp_path / "grid.png") as opened:
        assert opened.height < HEIGHT_PX * 1.1


def test_what_is_special_to_a_training_of_a_sweep_stands_over_its_columns(tmp_path: Path) -> None:
    cells = [cell(tmp_path, 500, "a", (250, 0, 0)), cell(tmp_path, 1000, "a", (0, 250, 0))]
    varied = [
        replace(one, cell=replace(one.cell, candidate=replace(one.cell.candidate, variant=variant)))
        for one, variant in zip(cells, ("rank 8", "rank 16, learning rate 0.0001, " * 4), strict=True)
    ]
    heights = []
    for each in (cells, varied):
        draw_grid(each, [], tmp_path / "grid.png", recommended={})
        with Image.open(tmp_path / "grid.png") as opened:
            heights.append(opened.height)
    # The longer one takes three lines at most.
    assert heights[1] == heights[0] + 3 * LINE_PX
