from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError
from tests.unit.datasets.library_bench import LibraryBench, incoming, packed, picture
from tests.unit.datasets.test_fetching import Place

from lorapod.wire.dataset import DatasetRef, FixedFile, S3Prefix


def clear_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (300, 300), (0, 0, 0, 0)).save(file, "PNG")
    return file.getvalue()


def gif() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 300), (9, 9, 9)).save(file, "GIF")
    return file.getvalue()


CLEAR, GIF = clear_png(), gif()
PNG = picture(size=(300, 300))
ON_WHITE = FixedFile(name="a.png", what="laid on white")
FROM_GIF = FixedFile(name="b.png", what="converted from GIF", sent_as="b.gif")


def test_a_format_that_no_trainer_reads_is_converted_on_arrival(bench: LibraryBench) -> None:
    receipt = bench.receive(incoming("b.gif", GIF), incoming("b.txt", b"a cat"))
    assert receipt.fixed == [FROM_GIF]
    stored = {file.filename: file for file in receipt.files}
    assert sorted(bench.visible()) == sorted(stored) == ["b.png", "b.txt"]
    content = bench.visible()["b.png"]
    assert Image.open(io.BytesIO(content)).format == "PNG"
    assert stored["b.png"].sha256 == hashlib.sha256(content).hexdigest()
    assert stored["b.png"].size_bytes == len(content)
    assert (stored["b.png"].received_bytes, stored["b.png"].width) == (len(GIF), 300)
    assert receipt.summary.images_without_caption == []


def test_fix_converts_what_trainers_see_otherwise(bench: LibraryBench) -> None:
    receipt = bench.receive(incoming("a.png", CLEAR), fix=True)
    assert receipt.fixed == [ON_WHITE]
    assert Image.open(bench.folder / "a.png").getpixel((5, 5)) == (255, 255, 255)
    assert not any("transparency" in warning for warning in receipt.summary.warnings)


def test_without_fix_it_is_a_warning_with_the_name(bench: LibraryBench) -> None:
    receipt = bench.receive(incoming("a.png", CLEAR))
    assert receipt.fixed == []
    assert bench.visible() == {"a.png": CLEAR}
    assert "1 image has transparency, which trainers see as black: a.png." in receipt.summary.warnings


def test_images_in_a_zip_and_in_parts_are_converted_too(bench: LibraryBench) -> None:
    receipt = bench.receive(incoming("all.zip", packed({"a.png": CLEAR, "b.gif": GIF})), fix=True)
    assert sorted(fixed.name for fixed in receipt.fixed) == ["a.png", "b.png"]
    half = len(GIF) // 2
    bench.receive(incoming("c.gif", GIF[:half], offset=0, size_bytes=len(GIF)))
    receipt = bench.receive(incoming("c.gif", GIF[half:], offset=half, size_bytes=len(GIF)))
    assert [file.filename for file in receipt.files] == ["c.png"]
    assert sorted(bench.visible()) == ["a.png", "b.png", "c.png"]


def test_a_gif_by_content_is_no_reason_to_refuse_its_first_part(bench: LibraryBench) -> None:
    half = len(GIF) // 2
    bench.receive(incoming("c.png", GIF[:half], offset=0, size_bytes=len(GIF)))
    receipt = bench.receive(incoming("c.png", GIF[half:], offset=half, size_bytes=len(GIF)))
    assert receipt.fixed == [FixedFile(name="c.png", what="converted from GIF")]


def test_the_name_after_a_conversion_is_said(bench: LibraryBench) -> None:
    receipt = bench.receive(incoming("all.zip", packed({"x/b.gif": GIF, "y/b.gif": GIF + b"\0"})))
    assert receipt.renamed == {"x/b.gif": "x__b.png", "y/b.gif": "y__b.png"}
    assert [fixed.sent_as for fixed in receipt.fixed] == ["x/b.gif", "y/b.gif"]


@pytest.mark.parametrize("first", ["b.png", "b.gif"])
def test_two_images_that_would_get_one_name_are_both_kept(bench: LibraryBench, first: str) -> None:
    files = [incoming("b.png", PNG), incoming("b.gif", GIF)]
    receipt = bench.receive(*(files if first == "b.png" else reversed(files)))
    assert receipt.rejected == []
    assert receipt.fixed == [FixedFile(name="b_gif.png", what="converted from GIF", sent_as="b.gif")]
    assert bench.visible()["b.png"] == PNG
    assert len(bench.visible()) == 2
    bench.receive(incoming("all.zip", packed({"b.gif": GIF, "b.png": PNG})), append=False)
    assert sorted(bench.visible()) == ["b.png", "b_gif.png"]


def test_a_fixed_image_takes_no_name_that_another_was_sent_under(bench: LibraryBench) -> None:
    frames = [Image.new("RGB", (300, 300), (shade, 0, 0)) for shade in (10, 200)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    sent = {"b.webp": file.getvalue(), "b.gif": GIF, "b_gif.png": CLEAR, "b.png": PNG}
    plain = bench.receive(*(incoming(name, content) for name, content in sent.items()), fix=True)
    packed_up = bench.receive(incoming("all.zip", packed(sent)), fix=True, append=False)
    for receipt in (plain, packed_up):
        assert receipt.rejected == []
        assert [fixed.sent_as for fixed in receipt.fixed] == ["b.webp", None, "b.gif"]
        assert sorted(bench.visible()) == ["b.png", "b_gif.png", "b_gif_2.png", "b_webp.png"]
        assert bench.visible()["b.png"] == PNG


def test_a_damaged_one_is_rejected_by_the_name_it_was_sent_as(bench: LibraryBench) -> None:
    receipt = bench.receive(incoming("b.gif", GIF[:60]), incoming("a.txt", b"x"))
    assert [bad.filename for bad in receipt.rejected] == ["b.gif"]
    assert "cut off or damaged" in receipt.rejected[0].error


class TestFetched:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        place = Place(tmp_path / "workspace")
        place.bucket.objects = {"a.png": CLEAR, "b.gif": GIF}
        return place

    def ref(self, *, fix: bool) -> DatasetRef:
        return DatasetRef(s3=S3Prefix(prefix=""), fix=fix)

    def test_it_is_converted_and_said(self, place: Place) -> None:
        summary = place.fetch(self.ref(fix=True))
        assert list(summary.fixed) == [ON_WHITE, FROM_GIF]
        assert sorted(place.visible(self.ref(fix=True))) == ["a.png", "b.png"]

    def test_a_second_training_hears_it_too_though_nothing_is_fetched(self, place: Place) -> None:
        place.fetch(self.ref(fix=True))
        assert list(place.fetch(self.ref(fix=True), "train_2").fixed) == [ON_WHITE, FROM_GIF]

    def test_what_was_fetched_without_fix_is_not_taken_for_fixed(self, place: Place) -> None:
        assert list(place.fetch(self.ref(fix=False)).fixed) == [FROM_GIF]
        assert list(place.fetch(self.ref(fix=True), "train_2").fixed) == [ON_WHITE, FROM_GIF]
        assert place.visible(self.ref(fix=False))["a.png"] == CLEAR

    def test_two_that_would_get_one_name_are_both_kept_each_time(self, place: Place) -> None:
        place.bucket.objects = {"b.gif": GIF, "b.png": PNG, "x.zip": packed({"c.gif": GIF})}
        for process_id in ("train_1", "train_2"):
            summary = place.fetch(self.ref(fix=False), process_id)
            assert [fixed.name for fixed in summary.fixed] == ["b_gif.png", "c.png"]
            assert place.visible(self.ref(fix=False))["b.png"] == PNG
            assert len(place.visible(self.ref(fix=False))) == 3

    def test_a_request_without_fix_has_the_folder_that_it_always_had(self, place: Place) -> None:
        assert place.fetcher.folder_of(self.ref(fix=False)).name == "s3_3e98fd97c427"


def test_images_of_the_workspace_are_fixed_by_their_upload_only() -> None:
    with pytest.raises(ValidationError, match="give it to upload_training_data"):
        DatasetRef(training_name="cats", fix=True)
