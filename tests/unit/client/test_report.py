from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="needs the `report` extra")

from lorapod.client import report


def sample(folder: Path, step: int, index: int, colour: str = "red") -> report.SampleFile:
    path = folder / f"{step}_{index}.png"
    Image.new("RGB", (16, 16), colour).save(path)
    return report.SampleFile(path=path, step=step, index=index)


def is_shown(picture: Path, colour: tuple[int, int, int]) -> bool:
    with Image.open(picture) as image:
        colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
    assert colours is not None
    return any(found == colour and count > 5_000 for count, found in colours)


def test_a_loss_curve_is_a_png_with_the_smoothed_line_in_it(tmp_path: Path) -> None:
    picture = report.loss_curve(
        [(step, 1 / step) for step in range(1, 50)], tmp_path / "new" / "loss.png", title="Loss"
    )
    with Image.open(picture) as image:
        assert (image.format, image.size) == ("PNG", (1200, 675))


@pytest.mark.parametrize("points", [[(1, 0.5)], [(7, 0.0), (8, 0.0)]])
def test_a_loss_curve_of_hardly_any_points_is_drawn(tmp_path: Path, points: list[tuple[int, float]]) -> None:
    assert report.loss_curve(points, tmp_path / "loss.png", title="Loss").stat().st_size > 1000


def test_a_sheet_shows_every_sample_and_the_dataset(tmp_path: Path) -> None:
    samples = [sample(tmp_path, 0, 0, "#ff0000"), sample(tmp_path, 10, 0, "#00ff00")]
    target = tmp_path / "target.png"
    Image.new("RGB", (16, 16), "#0000ff").save(target)

    picture = report.sample_sheet(
        samples, tmp_path / "sheet.png", title="Samples", prompts=["a prompt"], dataset=[target]
    )

    assert all(is_shown(picture, colour) for colour in [(255, 0, 0), (0, 255, 0), (0, 0, 255)])


def test_a_sheet_with_gaps_and_more_rows_than_prompts_is_drawn(tmp_path: Path) -> None:
    samples = [sample(tmp_path, 0, 0), sample(tmp_path, 10, 1), sample(tmp_path, 20, 2)]
    assert report.sample_sheet(samples, tmp_path / "s.png", title="S", prompts=["x" * 500]).exists()


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no loss"):
        report.loss_curve([], tmp_path / "loss.png", title="Loss")
    with pytest.raises(ValueError, match="no sample"):
        report.sample_sheet([], tmp_path / "sheet.png", title="Samples")


def test_smoothing_keeps_a_constant_and_follows_a_fall() -> None:
    assert report.smoothed([0.5] * 5) == pytest.approx([0.5] * 5)
    falling = report.smoothed([1.0 - number / 100 for number in range(100)])
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(9, [0, 1, 2, 3, 4, 5, 6, 7, 8]), (3, [0, 4, 8]), (2, [0, 8]), (1, [8])],
)
def test_steps_are_chosen_evenly_with_both_ends(most: int, expected: list[int]) -> None:
    assert report.spread(range(9), most) == expected
