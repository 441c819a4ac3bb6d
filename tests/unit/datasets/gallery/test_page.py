"""A page of a dataset: what a person sees, what is odd, and what is kept for the next look."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFilter

from lorapod.datasets.gallery import page as page_module
from lorapod.datasets.gallery.page import DatasetPage, Gallery, PageQuery
from lorapod.workspace import Workspace


def scene(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Shapes of random places and colours: no two scenes look alike."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(25):
        left, top = rng.randrange(size[0]), rng.randrange(size[1])
        box = (left, top, left + rng.randrange(30, 250), top + rng.randrange(30, 250))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)(
            box, fill=tuple(rng.randrange(256) for _ in range(3))
        )
    return image


class GalleryBench:
    """A dataset, and pages of it."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root)
        self.folder = self.workspace.training_data / "cats"
        self.folder.mkdir()

    def put(self, name: str, image: Image.Image, caption: str | None = "a cat", **options: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        image.save(path, **options)
        if caption is not None:
            path.with_suffix(".txt").write_text(caption)
        return path

    def page(
        self,
        *,
        thumbnail_px: int = 64,
        resolutions: Sequence[int] = (512,),
        caption_ext: str | None = None,
        trigger_word: str | None = None,
        limit: int = 200,
        after: str | None = None,
        max_bytes: int = 10_000_000,
    ) -> DatasetPage:
        query = PageQuery(
            thumbnail_px=thumbnail_px,
            resolutions=resolutions,
            caption_ext=caption_ext,
            trigger_word=trigger_word,
            limit=limit,
            after=after,
            max_bytes=max_bytes,
        )
        return Gallery(self.workspace).page(self.folder, query)

    def flags(self) -> dict[str, list[str]]:
        return {shown.item.name: list(shown.flags) for shown in self.page().items if shown.flags}

    def problems(self) -> dict[str, str]:
        return {problem.code: problem.message for problem in self.page().problems}


@pytest.fixture
def bench(tmp_path: Path) -> GalleryBench:
    return GalleryBench(tmp_path / "workspace")


def test_an_item_is_shown_with_its_caption_and_a_thumbnail(bench: GalleryBench) -> None:
    bench.put("1.jpg", scene(1), "a cat on a sofa", quality=90)
    (shown,) = bench.page().items
    assert (shown.width, shown.height, shown.caption, shown.flags) == (640, 480, "a cat on a sofa", ())
    assert shown.thumbnail is not None
    with Image.open(io.BytesIO(shown.thumbnail)) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (64, 48))
    assert bench.page(thumbnail_px=0).items[0].thumbnail is None


def test_a_thumbnail_is_turned_as_its_camera_was_held(bench: GalleryBench) -> None:
    image = scene(1)
    exif = image.getexif()
    exif[0x0112] = 6
    bench.put("1.jpg", image, exif=exif.tobytes())
    (shown,) = bench.page().items
    assert (shown.width, shown.height, shown.flags) == (480, 640, ["rotated"])
    assert shown.thumbnail is not None
    with Image.open(io.BytesIO(shown.thumbnail)) as thumbnail:
        assert thumbnail.size == (48, 64)


def test_the_same_image_twice_is_flagged_on_the_second(bench: GalleryBench) -> None:
    for name in ("b.png", "a.png", "c.png"):
        bench.put(name, scene(1))
    assert bench.flags() == {"b.png": ["duplicate_of:a.png"], "c.png": ["duplicate_of:a.png"]}
    assert "a.png" in bench.problems()["duplicate"]


def test_nearly_the_same_image_is_flagged_and_its_distance_told(bench: GalleryBench) -> None:
    image = scene(1)
    bench.put("a.png", image)
    bench.put("b.jpg", image.resize((600, 450)), quality=40)
    for number in range(2, 12):
        bench.put(f"other{number}.png", scene(number))
    assert bench.flags() == {"b.jpg": ["near_duplicate_of:a.png"]}
    assert "of 64 bits differ" in bench.problems()["near_duplicate"]


def test_images_of_one_tone_are_not_called_alike(bench: GalleryBench) -> None:
    bench.put("a.png", Image.new("RGB", (300, 300), "red"))
    bench.put("b.png", Image.new("RGB", (300, 300), "blue"))
    assert all("near" not in flag for flags in bench.flags().values() for flag in flags)


def test_a_blurred_image_is_flagged_and_its_sharp_original_is_not(bench: GalleryBench) -> None:
    bench.put("sharp.png", scene(1))
    bench.put("blurred.png", scene(2).filter(ImageFilter.GaussianBlur(8)))
    assert bench.flags() == {"blurred.png": ["blurred"]}
    assert "blurred.png" in bench.problems()["blurred"]


@pytest.mark.parametrize(
    ("image", "options", "flag"),
    [
        (scene(1, (200, 300)), {}, "small"),
        (scene(1).convert("RGBA").point(lambda value: value // 2), {}, "transparent"),
        (scene(1, (300, 20)), {}, "cropped_by_bucket"),
        (scene(1).convert("L").convert("I;16"), {}, "high_bit_depth"),
    ],
)
def test_what_a_trainer_sees_otherwise_is_flagged(
    bench: GalleryBench, image: Image.Image, options: dict[str, Any], flag: str
) -> None:
    bench.put("a.png", image, **options)
    assert flag in bench.flags()["a.png"]


def test_an_animation_is_flagged(bench: GalleryBench) -> None:
    frames = [scene(number) for number in range(3)]
    bench.put("a.webp", frames[0], save_all=True, append_images=frames[1:])
    assert bench.flags() == {"a.webp": ["animated"]}


def test_captions_that_are_missing_empty_or_not_read_are_told_apart(bench: GalleryBench) -> None:
    for name, caption in (("a.png", "a cat"), ("b.png", " "), ("c.png", None), ("d.png", None)):
        bench.put(name, scene(ord(name[0])), caption)
    (bench.folder / "d.caption").write_text("a dog")
    assert bench.flags() == {
        "b.png": ["empty_caption"],
        "c.png": ["no_caption"],
        "d.png": ["caption_not_read"],
    }
    assert "caption_not_read" in bench.problems()


def test_captions_of_another_suffix_are_shown_if_there_are_no_others(bench: GalleryBench) -> None:
    bench.put("a.png", scene(1), None)
    (bench.folder / "a.caption").write_text("a dog")
    shown = bench.page()
    assert (shown.reading.entry.caption_ext, shown.items[0].caption) == (".caption", "a dog")
    assert bench.page(caption_ext="txt").items[0].caption == ""


def test_pages_follow_each_other_and_end_at_a_size(bench: GalleryBench) -> None:
    for number in range(5):
        bench.put(f"{number}.png", scene(number))
    names, after = [], None
    while True:
        page = bench.page(limit=2, after=after)
        names.append([shown.item.name for shown in page.items])
        if (after := page.next_after) is None:
            break
    assert names == [["0.png", "1.png"], ["2.png", "3.png"], ["4.png"]]
    assert len(bench.page(max_bytes=1).items) == 1
    assert bench.page(max_bytes=1).next_after == "0.png"


def test_nothing_is_decoded_twice_also_after_a_rename(
    bench: GalleryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.put("a.png", scene(1))
    bench.put("b.png", scene(2))
    before = bench.page().items
    first.rename(first.with_name("c.png"))

    def refuse(path: Path, px: int) -> tuple[bytes, object]:
        raise AssertionError(path)

    monkeypatch.setattr(page_module, "decode", refuse)
    after = bench.page().items
    assert {shown.thumbnail for shown in after} == {shown.thumbnail for shown in before}


def test_an_image_that_was_replaced_is_decoded_anew_and_the_old_thumbnail_goes(bench: GalleryBench) -> None:
    bench.put("a.png", scene(1))
    before = bench.page().items[0].thumbnail
    bench.put("a.png", scene(2))
    assert bench.page().items[0].thumbnail != before
    kept = list((bench.workspace.training_data / ".thumbnails" / "cats").glob("*.webp"))
    assert len(kept) == 1


def test_a_damaged_image_is_shown_without_a_thumbnail(bench: GalleryBench) -> None:
    path = bench.put("a.png", scene(1))
    path.write_bytes(path.read_bytes()[:2000])
    (shown,) = bench.page().items
    assert shown.thumbnail is None
    assert "cut off" in bench.problems()["unreadable"]


def test_captions_have_figures_and_common_words(bench: GalleryBench) -> None:
    bench.put("a.png", scene(1), "Mycat on a red sofa")
    bench.put("b.png", scene(2), "a photo of a red car")
    bench.put("c.png", scene(3), "[trigger] and a red door")
    figures = bench.page(trigger_word="mycat").statistics
    assert figures is not None
    assert (figures.count, figures.words_min, figures.words_max) == (3, 5, 6)
    assert figures.common_words == ["red", "a"]
    assert figures.without_trigger_word == ["b.png"]


def test_buckets_count_the_images_of_each_size(bench: GalleryBench) -> None:
    bench.put("a.png", scene(1, (1000, 1000)))
    bench.put("b.png", scene(2, (1200, 1200)))
    bench.put("c.png", scene(3, (1600, 900)))
    assert bench.page(resolutions=[512]).buckets == [(512, 512, 2), (672, 384, 1)]


def test_an_unwritable_cache_costs_nothing_but_time(bench: GalleryBench) -> None:
    bench.put("a.png", scene(1))
    (bench.workspace.training_data / ".thumbnails").write_text("no folder")
    assert bench.page().items[0].thumbnail
