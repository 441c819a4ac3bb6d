from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lorapod.errors import InvalidInput, NotFound
from lorapod.testing.pictures import draw_dataset
from lorapod.trainers.builtin.config import DatasetSection
from lorapod.trainers.builtin.dataset import Batches, TrainingImage, find_images


def test_pictures_get_the_captions_of_their_stem(tmp_path: Path) -> None:
    first, second, third = draw_dataset(tmp_path, count=3)
    second.with_suffix(".txt").unlink()
    third.with_suffix(".txt").write_text("two\n  lines of [trigger]\n", "utf-8")
    dataset = DatasetSection(folder_path=str(tmp_path), default_caption="a thing", resolution=(64,))
    found = find_images([dataset], "zoe")
    assert [(image.path, image.caption) for image in found] == [
        (first, "zoe a circle on a plain ground"),
        (second, "zoe a thing"),
        (third, "two lines of zoe"),
    ]


def test_each_resolution_and_each_mirror_is_a_picture(tmp_path: Path) -> None:
    draw_dataset(tmp_path, count=2)
    dataset = DatasetSection(folder_path=str(tmp_path), resolution=(64, 128), flip_x=True, num_repeats=3)
    found = find_images([dataset], None)
    assert Counter((image.side, image.mirrored, image.repeats) for image in found) == {
        (64, False, 3): 2,
        (64, True, 3): 2,
        (128, False, 3): 2,
        (128, True, 3): 2,
    }


def test_hidden_files_and_controls_are_no_data(tmp_path: Path) -> None:
    (kept,) = draw_dataset(tmp_path / "inner", count=1)
    for name in ("_controls", ".thumbs"):
        draw_dataset(tmp_path / name, count=1)
    kept.with_name(".a.png").write_bytes(kept.read_bytes())
    dataset = DatasetSection(folder_path=str(tmp_path))
    assert [image.path for image in find_images([dataset], None)] == [kept]


def test_a_damaged_picture_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = draw_dataset(tmp_path, count=2)
    bad.write_bytes(bad.read_bytes()[:100])
    found = find_images([DatasetSection(folder_path=str(tmp_path))], None)
    assert [image.path for image in found] == [good]
    output = capsys.readouterr().out
    assert f"  -  Skipping {bad.name}: " in output
    assert "  -  Found 1 images" in output


def test_no_folder_and_no_picture_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No such file or directory"):
        find_images([DatasetSection(folder_path=str(tmp_path / "none"))], None)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
    with pytest.raises(InvalidInput, match="no images found in"):
        find_images([DatasetSection(folder_path=str(tmp_path))], None)


def image(side: int, repeats: int) -> TrainingImage:
    return TrainingImage(
        path=Path("a.png"), caption="", side=side, mirrored=False, caption_dropout_rate=0.0, repeats=repeats
    )


@given(
    images=st.lists(
        st.builds(image, side=st.sampled_from([64, 128]), repeats=st.integers(1, 3)), min_size=1, max_size=9
    ),
    batch_size=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_an_epoch_has_each_picture_as_often_as_it_repeats(
    images: list[TrainingImage], batch_size: int, seed: int
) -> None:
    batches = Batches(images, batch_size=batch_size, seed=seed)
    for epoch in range(2):
        numbers = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        plan = [batches[number] for number in numbers]
        assert all(1 <= len(batch) <= batch_size for batch in plan)
        assert all(len({images[index].side for index in batch}) == 1 for batch in plan)
        counted = Counter(index for batch in plan for index in batch)
        assert counted == {index: found.repeats for index, found in enumerate(images)}


def test_the_order_is_the_seeds_and_can_be_entered_anywhere() -> None:
    images = [image(64, 1) for _ in range(20)]
    one, two = Batches(images, batch_size=3, seed=1), Batches(images, batch_size=3, seed=1)
    straight = [one[number] for number in range(30)]
    assert [two[number] for number in range(17, 30)] == straight[17:]
    assert straight[: one.per_epoch] != straight[one.per_epoch : 2 * one.per_epoch]
    assert straight != [Batches(images, batch_size=3, seed=2)[number] for number in range(30)]
