from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.datasets.library_bench import LibraryBench, incoming, packed, picture, tarred

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets import library
from lorapod.datasets.staging import StagingArea
from lorapod.errors import (
    Conflict,
    ErrorCode,
    InsufficientStorage,
    InvalidInput,
    NotFound,
    TooLarge,
    UnsafeArchive,
    UnsafePath,
)
from lorapod.wire.dataset import DatasetRef, IncomingFile

PNG = picture()


class TestWholeFiles:
    def test_pictures_and_captions_become_a_dataset(self, bench: LibraryBench) -> None:
        receipt = bench.receive(incoming("a.png", PNG), incoming("a.txt", b"a man"), incoming("b.png", PNG))
        assert bench.visible() == {"a.png": PNG, "a.txt": b"a man", "b.png": PNG}
        assert (receipt.summary.images, receipt.summary.captions) == (2, 1)
        assert receipt.summary.images_without_caption == ["b.png"]
        assert receipt.summary.total_bytes == 2 * len(PNG) + 5
        assert receipt.rejected == []
        first = receipt.files[0]
        assert (first.filename, first.path) == ("a.png", "training_data/matt/a.png")
        assert first.size_bytes == first.received_bytes == len(PNG)
        assert first.complete
        assert first.sha256 == hashlib.sha256(PNG).hexdigest()
        assert (first.width, first.height) == (8, 6)
        assert bench.hidden() == []

    def test_without_a_name_a_fresh_one_is_made(self, bench: LibraryBench) -> None:
        names = {bench.receive(incoming("a.png", PNG), training_name=None).training_name for _ in range(3)}
        assert len(names) == 3
        assert all((bench.workspace.training_data / name / "a.png").read_bytes() == PNG for name in names)

    def test_a_second_upload_adds_and_replaces(self, bench: LibraryBench) -> None:
        other = picture("PNG", (5, 5))
        bench.receive(incoming("a.png", PNG), incoming("b.png", PNG))
        receipt = bench.receive(incoming("b.png", other), incoming("c.png", PNG))
        assert bench.visible() == {"a.png": PNG, "b.png": other, "c.png": PNG}
        assert receipt.summary.images == 3

    def test_an_image_that_takes_the_place_of_another_is_said(self, bench: LibraryBench) -> None:
        other = picture("PNG", (5, 5))
        assert bench.receive(incoming("one.zip", packed({"cats/1.png": PNG}))).warnings == []
        assert bench.receive(incoming("one.zip", packed({"cats/1.png": PNG}))).warnings == []
        [said] = bench.receive(incoming("two.zip", packed({"dogs/1.png": other}))).warnings
        assert said == (
            "1.png: replaced another image of the same name in the dataset. To keep both, send one of them under "
            "another name."
        )

    def test_without_append_it_becomes_the_whole_dataset(self, bench: LibraryBench) -> None:
        bench.receive(incoming("a.png", PNG), incoming("b.png", PNG))
        bench.receive(incoming("c.png", PNG), append=False)
        assert bench.visible() == {"c.png": PNG}
        assert bench.hidden() == []

    def test_without_append_bad_files_leave_the_old_dataset(self, bench: LibraryBench) -> None:
        bench.receive(incoming("a.png", PNG))
        with pytest.raises(InvalidInput):
            bench.receive(incoming("c.png", b"text"), append=False)
        assert bench.visible() == {"a.png": PNG}

    def test_data_uri_and_right_digest(self, bench: LibraryBench) -> None:
        uri = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        bench.receive(incoming("a.png", uri, sha256=hashlib.sha256(PNG).hexdigest().upper()))
        assert bench.visible() == {"a.png": PNG}

    def test_a_replaced_picture_loses_what_was_computed_from_it(self, bench: LibraryBench) -> None:
        bench.receive(incoming("a.png", PNG), incoming("ab.png", PNG))
        cache = bench.folder / "_latent_cache"
        cache.mkdir()
        for name in ("a_0f.safetensors", "ab_0f.safetensors"):
            (cache / name).touch()
        bench.receive(incoming("a.png", PNG))
        assert [path.name for path in cache.iterdir()] == ["ab_0f.safetensors"]

    def test_what_a_training_reads_is_neither_replaced_by_other_content_nor_loses_its_caches(
        self, bench: LibraryBench
    ) -> None:
        bench.receive(incoming("a.png", PNG))
        cache = bench.folder / "_latent_cache" / "a_0f.safetensors"
        cache.parent.mkdir()
        cache.touch()
        bench.reader = "train_1"
        with pytest.raises(Conflict, match="train_1"):
            bench.receive(incoming("a.png", picture(size=(9, 9))), incoming("b.png", PNG))
        bench.receive(incoming("a.png", PNG), incoming("c.png", PNG))
        assert bench.visible() == {"a.png": PNG, "c.png": PNG, "_latent_cache/a_0f.safetensors": b""}
        bench.reader = None
        bench.receive(incoming("a.png", picture(size=(9, 9))))
        assert not cache.exists()


class TestReplace:
    def test_a_dataset_that_a_training_reads_is_refused_before_a_file_is_received(
        self, bench: LibraryBench
    ) -> None:
        bench.receive(incoming("a.png", PNG))
        bench.reader = "train_1"
        with pytest.raises(Conflict, match="train_1"):
            bench.receive(incoming("b.png", "not base64"), append=False)
        assert bench.visible() == {"a.png": PNG}

    def test_a_training_that_begins_while_the_files_arrive_keeps_its_dataset(
        self, bench: LibraryBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.receive(incoming("a.png", PNG))
        take = StagingArea.take

        def take_and_begin(area: StagingArea, file: IncomingFile) -> None:
            take(area, file)
            bench.reader = "train_1"

        monkeypatch.setattr(StagingArea, "take", take_and_begin)
        with pytest.raises(Conflict, match="train_1"):
            bench.receive(incoming("b.png", PNG), append=False)
        assert bench.visible() == {"a.png": PNG}

    def test_a_dataset_that_is_not_there_yet_needs_no_look_at_its_readers(self, bench: LibraryBench) -> None:
        bench.reader = "train_1"
        bench.receive(incoming("a.png", PNG), append=False)
        assert bench.visible() == {"a.png": PNG}

    def test_files_that_are_added_meanwhile_are_all_there_or_none(
        self, bench: LibraryBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.receive(incoming("old.png", PNG))
        half_added, replaced = threading.Event(), threading.Event()
        move = Path.replace

        def move_and_wait(path: Path, target: Path) -> Path:
            moved = move(path, target)
            if target.name == "a.png":
                half_added.set()
                replaced.wait(0.5)  # the whole time only if the replacement waits, as it should
            return moved

        monkeypatch.setattr(Path, "replace", move_and_wait)

        def replace_all() -> None:
            half_added.wait()
            bench.receive(incoming("new.png", PNG), append=False)
            replaced.set()

        with ThreadPoolExecutor(1) as pool:
            replacing = pool.submit(replace_all)
            bench.receive(incoming("a.png", PNG), incoming("b.png", PNG))
            replacing.result()
        assert {"a.png", "b.png"} & bench.visible().keys() in (set(), {"a.png", "b.png"})


BAD_FILES = [
    ("a.png", "!!!!", ErrorCode.INVALID_INPUT, "not base64"),
    ("a.png", "YWJ", ErrorCode.INVALID_INPUT, "cut off"),
    ("a.png", b"", ErrorCode.INVALID_INPUT, "empty: 0 bytes"),
    ("a.png", b"a text", ErrorCode.INVALID_INPUT, "but text"),
    ("a.png", PNG[:-30], ErrorCode.INVALID_INPUT, "cut off or damaged"),
    ("a.txt", b"\xff\xfe\0", ErrorCode.INVALID_INPUT, "not UTF-8"),
    ("a.txt", b"a\0b", ErrorCode.INVALID_INPUT, "NUL"),
    ("a.txt", b"x" * 1_000_001, ErrorCode.TOO_LARGE, "1000000 at most"),
    ("a.mp4", b"", ErrorCode.INVALID_INPUT, "empty"),
    ("a.mp4", b"a text", ErrorCode.INVALID_INPUT, "is not a video but text"),
    ("a.exe", b"MZ", ErrorCode.INVALID_INPUT, "cannot be part of a dataset"),
    ("a", PNG, ErrorCode.INVALID_INPUT, "cannot be part of a dataset"),
    ("", PNG, ErrorCode.INVALID_INPUT, "plain name"),
    ("../a.png", PNG, ErrorCode.INVALID_INPUT, "plain name"),
    ("/etc/a.png", PNG, ErrorCode.INVALID_INPUT, "plain name"),
    ("x/a.png", PNG, ErrorCode.INVALID_INPUT, "plain name"),
    ("x\\a.png", PNG, ErrorCode.INVALID_INPUT, "plain name"),
    ("..", PNG, ErrorCode.INVALID_INPUT, "plain name"),
    ("a.7z", b"7z", ErrorCode.INVALID_INPUT, "7z archives are not unpacked"),
    ("a.csv", b"a,b", ErrorCode.INVALID_INPUT, "cannot be part of a dataset"),
    ("a.zip", b"<html>login", ErrorCode.INVALID_INPUT, "is a web page"),
    ("a.tgz", b"\x1f\x8bxx", ErrorCode.INVALID_INPUT, "gzip file without a tar"),
    ("a\0.png", PNG, ErrorCode.INVALID_INPUT, "plain name"),
    ("n" * 5000 + ".png", PNG, ErrorCode.INVALID_INPUT, "too long: 5004 bytes"),
    ("a.zip", b"no zip", ErrorCode.INVALID_INPUT, "not a zip"),
    ("a.zip", packed({"../x.txt": b"x"}), ErrorCode.UNSAFE_ARCHIVE, "outside"),
    ("a.zip", packed({"x.exe": b"x"}), ErrorCode.INVALID_INPUT, "cannot be part of a dataset"),
    ("a.zip", packed({}), ErrorCode.INVALID_INPUT, "no files"),
]


class TestBadFiles:
    @pytest.mark.parametrize(("name", "content", "code", "sentence"), BAD_FILES)
    def test_alone_it_is_an_error_and_leaves_nothing(
        self, bench: LibraryBench, name: str, content: str | bytes, code: ErrorCode, sentence: str
    ) -> None:
        with pytest.raises((InvalidInput, TooLarge, UnsafeArchive), match=sentence) as caught:
            bench.receive(incoming(name, content))
        assert caught.value.code == code
        assert len(caught.value.message) < 500
        assert bench.visible() == {}
        assert bench.hidden() == []

    @pytest.mark.parametrize(("name", "content", "code", "sentence"), BAD_FILES)
    def test_beside_a_good_one_it_is_rejected_alone(
        self, bench: LibraryBench, name: str, content: str | bytes, code: ErrorCode, sentence: str
    ) -> None:
        receipt = bench.receive(incoming("good.png", PNG), incoming(name, content))
        assert bench.visible() == {"good.png": PNG}
        assert [file.code for file in receipt.rejected] == [code]
        assert sentence in receipt.rejected[0].error
        assert len(receipt.rejected[0].filename) <= 255
        assert bench.hidden() == []

    def test_a_name_twice_counts_once(self, bench: LibraryBench) -> None:
        receipt = bench.receive(incoming("a.txt", b"first"), incoming("a.txt", b"second"))
        assert bench.visible() == {"a.txt": b"first"}
        assert [file.code for file in receipt.rejected] == [ErrorCode.CONFLICT]

    def test_several_bad_ones_are_one_error_with_all_of_them(self, bench: LibraryBench) -> None:
        with pytest.raises(InvalidInput, match=r"Other files refused: 1\.") as caught:
            bench.receive(incoming("a.png", b"x"), incoming("b.zip", packed({"/b.txt": b""})))
        assert [detail["code"] for detail in caught.value.details] == ["invalid_input", "unsafe_archive"]

    @pytest.mark.parametrize("name", ["a.zip", "a.png"])
    def test_a_refusal_names_its_file_once(self, bench: LibraryBench, name: str) -> None:
        content = "UEs=" if name == "a.zip" else "%%%"
        with pytest.raises(InvalidInput) as caught:
            bench.receive(IncomingFile(filename=name, content=content))
        assert caught.value.message.startswith(f"{name}: ")
        assert caught.value.message.count(name) == 1

    @pytest.mark.parametrize("announced", [{"sha256": "0" * 64}, {"size_bytes": 3}])
    def test_what_differs_from_its_announcement_is_refused(
        self, bench: LibraryBench, announced: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidInput):
            bench.receive(incoming("a.png", PNG, **announced))
        assert bench.visible() == {}
        assert bench.hidden() == []

    @pytest.mark.parametrize("name", ["../matt", "/etc", "a/b", ".hidden", "", " ", "a\0b", "n" * 5000])
    def test_a_dataset_has_a_plain_name(self, bench: LibraryBench, name: str) -> None:
        with pytest.raises(InvalidInput, match="training_name"):
            bench.receive(incoming("a.png", PNG), training_name=name)
        assert bench.hidden() == []

    def test_a_dataset_that_is_a_link_to_outside_is_refused(
        self, bench: LibraryBench, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        bench.folder.symlink_to(outside)
        with pytest.raises(UnsafePath):
            bench.receive(incoming("a.png", PNG))
        assert list(outside.iterdir()) == []

    def test_a_file_that_is_a_link_to_outside_is_replaced_not_followed(
        self, bench: LibraryBench, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside.png"
        outside.write_bytes(b"precious")
        bench.folder.mkdir()
        (bench.folder / "a.png").symlink_to(outside)
        bench.receive(incoming("a.png", PNG))
        assert outside.read_bytes() == b"precious"
        assert not (bench.folder / "a.png").is_symlink()

    def test_a_file_or_folder_in_the_way_is_a_conflict(self, bench: LibraryBench) -> None:
        (bench.folder / "a.png").mkdir(parents=True)
        with pytest.raises(Conflict, match=r"a\.png.* folder of that name"):
            bench.receive(incoming("a.png", PNG))
        (bench.workspace.training_data / "zoe").touch()
        with pytest.raises(Conflict, match="is a file"):
            bench.receive(incoming("a.png", PNG), training_name="zoe")


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "_DSC0001.JPG",
            "it's me.JPG",
            "photo, red.jpg",
            "photo #1.jpg",
            "IMG_1 & 2.jpg",
            "(1).jpg",
            "-rf.jpg",
            ".hidden.jpg",
            f"{'n' * 200}.jpg",
            f"{'🐈' * 200}.jpg",
            "قطة.jpg",
        ],
    )
    def test_that_people_have_are_taken_with_their_captions(self, bench: LibraryBench, name: str) -> None:
        stem = name.rpartition(".")[0]
        jpeg = picture("JPEG")
        receipt = bench.receive(incoming(name, jpeg), incoming(f"{stem}.TXT", b"a man"))
        assert receipt.rejected == []
        [image, caption] = sorted(bench.visible(), key=lambda file: file.endswith(".txt"))
        assert caption == f"{image.rpartition('.')[0]}.txt"
        assert bench.visible() == {image: jpeg, caption: b"a man"}
        assert (receipt.summary.images, receipt.summary.captions) == (1, 1)
        assert receipt.renamed.get(name, name) == image

    def test_composed_and_decomposed_letters_are_the_same(self, bench: LibraryBench) -> None:
        decomposed = unicodedata.normalize("NFD", "café.txt")
        receipt = bench.receive(incoming("café.png", PNG), incoming(decomposed, b"a man"))
        assert bench.visible() == {"café.png": PNG, "café.txt": b"a man"}
        assert receipt.renamed == {decomposed: "café.txt"}

    def test_that_differ_in_the_case_of_letters_are_two_files(self, bench: LibraryBench) -> None:
        other = picture("PNG", (5, 5))
        bench.receive(incoming("A.png", PNG), incoming("a.png", other), incoming("a.txt", b"small"))
        assert bench.visible() == {"A.png": PNG, "a.png": other, "a.txt": b"small"}

    def test_a_caption_finds_its_image_of_an_earlier_upload(self, bench: LibraryBench) -> None:
        bench.receive(incoming("IMG_1.png", PNG))
        receipt = bench.receive(incoming("img_1.TXT", b"a man"))
        assert bench.visible() == {"IMG_1.png": PNG, "IMG_1.txt": b"a man"}
        assert receipt.renamed == {"img_1.TXT": "IMG_1.txt"}

    def test_of_files_in_parts_are_the_same_for_each_part(self, bench: LibraryBench) -> None:
        name = ".a.png"
        bench.receive(incoming(name, PNG[:40], offset=0, size_bytes=len(PNG)))
        last = incoming(name, PNG[40:], offset=40, size_bytes=len(PNG))
        for _ in range(2):
            assert [file.filename for file in bench.receive(last).files] == ["a.png"]
        assert bench.visible() == {"a.png": PNG}


class TestArchives:
    def test_are_unpacked_flat_and_checked_file_by_file(self, bench: LibraryBench) -> None:
        content = packed(
            {"m/a.png": PNG, "m/a.txt": b"a man", "__MACOSX/m/._a.png": b"x", "m/bad.png": b"text"}
        )
        receipt = bench.receive(incoming("photos.zip", content))
        assert bench.visible() == {"a.png": PNG, "a.txt": b"a man"}
        assert {file.filename for file in receipt.files} == {"a.png", "a.txt"}
        assert [(file.filename, file.code) for file in receipt.rejected] == [
            ("photos.zip/m/bad.png", ErrorCode.INVALID_INPUT)
        ]
        assert bench.hidden() == []

    def test_folders_become_part_of_the_names(self, bench: LibraryBench) -> None:
        files = {"a/1.png": PNG, "a/1.txt": b"one", "b/1.png": PNG, "b/1.txt": b"two", "b/c/1.PNG": PNG}
        receipt = bench.receive(incoming("photos.zip", packed(files)))
        assert bench.visible() == {
            "a__1.png": PNG, "a__1.txt": b"one", "b__1.png": PNG, "b__1.txt": b"two", "b__c__1.PNG": PNG,
        }  # fmt: skip
        assert receipt.renamed["a/1.png"] == "a__1.png"
        assert len(receipt.renamed) == 5
        assert (receipt.summary.images, receipt.summary.captions, receipt.rejected) == (3, 2, [])

    def test_what_several_hold_under_one_name_is_kept_apart(self, bench: LibraryBench) -> None:
        content = packed({"x/1.png": PNG, "x/1.txt": b"one"})
        receipt = bench.receive(
            incoming("cats.zip", content),
            incoming("dogs.tar.gz", tarred({"1.png": PNG})),
            incoming("1.png", PNG),
        )
        assert bench.visible().keys() == {"1.png", "cats__1.png", "cats__1.txt", "dogs__1.png"}
        assert receipt.rejected == []

    def test_control_images_are_kept_where_no_trainer_learns_from_them(self, bench: LibraryBench) -> None:
        files = {"s/target/1.png": PNG, "s/target/1.txt": b"x", "s/control/1.png": PNG}
        receipt = bench.receive(incoming("pairs.zip", packed(files)), trigger_word="ohwx")
        assert bench.visible().keys() == {"1.png", "1.txt", "_controls/1.png"}
        assert receipt.summary.images == 1
        assert "control_path" in receipt.warnings[0]

    def test_stay_packed_where_asked(self, bench: LibraryBench) -> None:
        content = packed({"a.png": PNG})
        bench.receive(incoming("photos.zip", content), extract=False)
        assert bench.visible() == {"photos.zip": content}

    def test_one_inside_another_stays_packed(self, bench: LibraryBench) -> None:
        inner = packed({"b.png": PNG})
        bench.receive(incoming("photos.zip", packed({"a.png": PNG, "inner.zip": inner})))
        assert bench.visible() == {"a.png": PNG, "inner.zip": inner}


class TestTriggerWord:
    def test_is_put_where_captions_lack_it(self, bench: LibraryBench) -> None:
        receipt = bench.receive(
            incoming("a.png", PNG),
            incoming("a.txt", b"a man\n"),
            incoming("b.png", PNG),
            incoming("c.txt", b"photo of ohwx, smiling"),
            incoming("d.txt", b"[trigger] at sea"),
            incoming("e.txt", b"ohwxy"),
            incoming("f.txt", b""),
            trigger_word="ohwx",
        )
        captions = {name: text.decode() for name, text in bench.visible().items() if name.endswith(".txt")}
        assert captions == {
            "a.txt": "ohwx, a man",
            "b.txt": "ohwx",
            "c.txt": "photo of ohwx, smiling",
            "d.txt": "[trigger] at sea",
            "e.txt": "ohwx, ohwxy",
            "f.txt": "ohwx",
        }
        told = next(file for file in receipt.files if file.filename == "a.txt")
        assert told.sha256 == hashlib.sha256(b"ohwx, a man").hexdigest()
        assert (told.size_bytes, told.received_bytes) == (11, 6)
        assert receipt.summary.images_without_caption == []

    def test_leaves_captions_that_are_there_already(self, bench: LibraryBench) -> None:
        bench.receive(incoming("a.txt", b"a man"))
        bench.receive(incoming("a.png", PNG), trigger_word="ohwx")
        assert bench.visible()["a.txt"] == b"a man"

    def test_a_byte_order_mark_is_taken_off(self, bench: LibraryBench) -> None:
        bench.receive(incoming("a.txt", b"\xef\xbb\xbfa man"))
        assert bench.visible() == {"a.txt": b"a man"}


class TestDisk:
    def test_too_little_room_is_told_before_anything_is_written(self, tmp_path: Path) -> None:
        bench = LibraryBench(tmp_path / "workspace", disk_min_free_bytes=1 << 60)
        with pytest.raises(InsufficientStorage, match="bytes free"):
            bench.receive(incoming("a.png", PNG))
        assert list(bench.workspace.training_data.iterdir()) == []

    def test_a_part_asks_for_the_room_of_the_whole(self, bench: LibraryBench) -> None:
        with pytest.raises(InsufficientStorage):
            bench.receive(incoming("a.mp4", b"x", offset=0, size_bytes=1 << 50))

    def test_what_was_abandoned_is_swept(self, bench: LibraryBench) -> None:
        bench.receive(incoming("a.mp4", b"x" * 5, offset=0, size_bytes=9))
        left = bench.workspace.training_data / library.INCOMING / "upload_dead"
        (left / "files").mkdir(parents=True)
        (left / "files" / "x.png").touch()
        for path in (left, *left.parent.glob("parts/*/*")):
            os.utime(path, (old := time.time() - library.ABANDONED_S - 60, old))
        bench.receive(incoming("b.png", PNG))
        assert bench.hidden() == []

    def test_what_goes_on_is_not_swept(self, bench: LibraryBench) -> None:
        bench.receive(incoming("a.mp4", b"x" * 5, offset=0, size_bytes=9))
        bench.receive(incoming("b.png", PNG))
        assert len(bench.hidden()) == 1

    def test_a_worker_whose_clock_is_wrong_sweeps_nothing(
        self, bench: LibraryBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.receive(incoming("a.mp4", b"x" * 5, offset=0, size_bytes=9))
        late_s = time.time() + 2 * library.ABANDONED_S
        monkeypatch.setattr(time, "time", lambda: late_s)
        bench.receive(incoming("b.png", PNG))
        assert len(bench.hidden()) == 1


class TestFind:
    def test_by_name_and_by_path(self, bench: LibraryBench) -> None:
        bench.receive(incoming("a.png", PNG), incoming("lost.txt", b"x"))
        for source in (
            DatasetRef(training_name="matt"),
            DatasetRef(path="training_data/matt"),
            DatasetRef(path="/workspace/training_data/matt"),
        ):
            assert bench.library.find(source) == bench.folder
            summary = bench.library.look([DatasetEntry(folder=bench.folder)])
            assert summary.path == bench.folder
            assert summary.images == 1
            assert "The caption lost.txt has no image." in summary.warnings

    @pytest.mark.parametrize(
        ("source", "error"),
        [
            ({"training_name": "nobody"}, NotFound),
            ({"training_name": "../x"}, InvalidInput),
            ({"path": "../.."}, UnsafePath),
            ({"path": "training_data/none"}, NotFound),
            ({"path": "training_data"}, InvalidInput),
        ],
    )
    def test_what_cannot_be_had_is_told(
        self, bench: LibraryBench, source: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            bench.library.find(DatasetRef(**source))

    @pytest.mark.parametrize(
        "source",
        [
            {},
            {"training_name": "a", "path": "b"},
            {"urls": []},
            {"trigger_word": "cat"},
            {"training_name": "a", "trigger_word": "cat"},
        ],
    )
    def test_exactly_one_source(self, source: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            DatasetRef(**source)
