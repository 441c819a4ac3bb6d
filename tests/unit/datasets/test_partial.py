from __future__ import annotations

import hashlib
import struct
import tempfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.datasets.library_bench import MP4_HEAD, LibraryBench, incoming, packed, picture

from lorapod.errors import Conflict, InvalidInput, TooLarge
from lorapod.wire.dataset import StoredFile

VIDEO = MP4_HEAD + (bytes(range(256)) * 8)[len(MP4_HEAD) :]
SHA256 = hashlib.sha256(VIDEO).hexdigest()


def part(
    bench: LibraryBench, begin: int, end: int, *, content: bytes = VIDEO, sha256: str | None = SHA256
) -> StoredFile:
    file = incoming("a.mp4", content[begin:end], offset=begin, size_bytes=len(content), sha256=sha256)
    return bench.receive(file).files[0]


def test_a_file_is_visible_only_when_whole(bench: LibraryBench) -> None:
    first = part(bench, 0, 1000)
    assert (first.received_bytes, first.size_bytes, first.complete, first.sha256) == (1000, 2048, False, None)
    assert bench.visible() == {}
    last = part(bench, 1000, 2048)
    assert (last.received_bytes, last.complete, last.sha256) == (2048, True, SHA256)
    assert last.path == "training_data/matt/a.mp4"
    assert bench.visible() == {"a.mp4": VIDEO}


def test_several_parts_in_one_request(bench: LibraryBench) -> None:
    files = [
        incoming("a.mp4", VIDEO[b : b + 700], offset=b, size_bytes=2048, sha256=SHA256)
        for b in range(0, 2048, 700)
    ]
    receipt = bench.receive(*files)
    assert [(file.filename, file.complete) for file in receipt.files] == [("a.mp4", True)]
    assert bench.visible() == {"a.mp4": VIDEO}


def test_another_worker_goes_on(bench: LibraryBench) -> None:
    part(bench, 0, 1000)
    other = LibraryBench(bench.workspace.root)
    part(other, 1000, 2048)
    assert bench.visible() == {"a.mp4": VIDEO}


def test_a_part_sent_twice_changes_nothing(bench: LibraryBench) -> None:
    assert part(bench, 0, 1000) == part(bench, 0, 1000)
    assert part(bench, 1000, 2048) == part(bench, 1000, 2048)
    assert part(bench, 500, 1000).complete
    assert bench.visible() == {"a.mp4": VIDEO}


def test_a_part_of_an_archive_sent_twice_answers_what_came_out(bench: LibraryBench) -> None:
    content = packed({"a.png": picture(), "b.txt": b"x"})
    bench.receive(incoming("a.zip", content[:50], offset=0, size_bytes=len(content)))
    last = incoming("a.zip", content[50:], offset=50, size_bytes=len(content))
    first_answer, second_answer = bench.receive(last), bench.receive(last)
    assert [file.filename for file in first_answer.files] == ["a.png", "b.txt"]
    assert second_answer.files == first_answer.files
    assert set(bench.visible()) == {"a.png", "b.txt"}


@pytest.mark.parametrize("offset", [1, 999, 1001, 2000])
def test_a_gap_is_a_conflict_that_names_the_next_offset(bench: LibraryBench, offset: int) -> None:
    if offset > 1000:
        part(bench, 0, 1000)
    expected = 1000 if offset > 1000 else 0
    with pytest.raises(Conflict, match=f"{expected} bytes have arrived") as caught:
        part(bench, offset, 2048)
    assert caught.value.details[0]["expected_offset"] == expected


def test_a_part_that_overlaps_adds_only_what_is_new(bench: LibraryBench) -> None:
    part(bench, 0, 1000)
    assert part(bench, 300, 1500).received_bytes == 1500
    assert part(bench, 0, 2048).complete
    assert bench.visible() == {"a.mp4": VIDEO}


def test_a_part_that_differs_is_a_conflict(bench: LibraryBench) -> None:
    part(bench, 0, 1000)
    with pytest.raises(Conflict, match="differs"):
        part(bench, 500, 1500, content=bytes(2048))
    assert part(bench, 1000, 2048).complete


def test_a_whole_with_another_digest_starts_afresh(bench: LibraryBench) -> None:
    part(bench, 0, 1000, sha256="0" * 64)
    with pytest.raises(InvalidInput, match="arrived damaged"):
        part(bench, 1000, 2048, sha256="0" * 64)
    assert bench.visible() == {}
    assert bench.hidden() == []


@pytest.mark.parametrize("content", ["!!!!", "YWJj!!!!", "A" * 3000])
def test_a_bad_part_leaves_what_was_there_before(bench: LibraryBench, content: str) -> None:
    def send(text: str | bytes, offset: int) -> None:
        bench.receive(incoming("a.mp4", text, offset=offset, size_bytes=2048, sha256=SHA256))

    with pytest.raises(InvalidInput):
        send(content, 0)
    assert bench.hidden() == []
    send(VIDEO[:1000], 0)
    with pytest.raises(InvalidInput):
        send(content, 1000)
    send(VIDEO[1000:], 1000)
    assert bench.visible() == {"a.mp4": VIDEO}


def test_a_picture_in_parts_is_checked_when_whole(bench: LibraryBench) -> None:
    content = picture()
    bench.receive(incoming("a.png", content[:40], offset=0, size_bytes=len(content) - 60))
    with pytest.raises(InvalidInput, match="cut off or damaged"):
        bench.receive(incoming("a.png", content[40:-60], offset=40, size_bytes=len(content) - 60))
    assert bench.visible() == {}
    assert bench.hidden() == []


@pytest.mark.parametrize(
    ("name", "size_bytes", "error", "said"),
    [
        ("a.txt", 3_000_000, TooLarge, "1000000"),
        ("a.caption", 1_000_001, TooLarge, "1000000"),
        ("a.json", 3_000_000, TooLarge, "1000000"),
        ("a.jsonl", 3_000_000, TooLarge, "1000000"),
        ("a.png", 600_000_000, TooLarge, "512000000"),
        ("a.zip", 30_000_000_000, TooLarge, "20000000000"),
        ("a.pdf", 100, InvalidInput, "cannot be part of a dataset"),
        ("../a.png", 100, InvalidInput, "plain name"),
        ("taken.png", 100, Conflict, "folder of that name"),
        ("a.png", 100, InvalidInput, "not an image"),
    ],
)
def test_what_will_be_refused_is_refused_at_its_first_part(
    bench: LibraryBench, name: str, size_bytes: int, error: type[Exception], said: str
) -> None:
    (bench.folder / "taken.png").mkdir(parents=True)
    with pytest.raises(error, match=said):
        bench.receive(incoming(name, b"the first part of it", offset=0, size_bytes=size_bytes))
    assert bench.hidden() == []


def test_an_image_of_too_many_pixels_is_refused_at_its_first_part(bench: LibraryBench) -> None:
    content = picture(size=(300, 300))
    header = struct.pack(">II", 100_000, 100_000) + content[24:29]
    forged = content[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + content[33:]
    with pytest.raises(TooLarge, match="100000 x 100000 pixels"):
        bench.receive(incoming("a.png", forged[:1000], offset=0, size_bytes=len(forged)))
    assert bench.hidden() == []


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("first", [1, 3, 11, 20, 30, 200])
def test_an_image_may_come_in_parts_of_any_size(bench: LibraryBench, form: str, first: int) -> None:
    content, name = picture(form, (40, 40)), f"a.{form.lower()}"
    bench.receive(incoming(name, content[:first], offset=0, size_bytes=len(content)))
    bench.receive(incoming(name, content[first:], offset=first, size_bytes=len(content)))
    assert bench.visible() == {name: content}


def test_parts_do_not_replace_a_dataset(bench: LibraryBench) -> None:
    with pytest.raises(InvalidInput, match="append"):
        bench.receive(incoming("a.mp4", b"x", offset=0, size_bytes=2), append=False)


def test_an_offset_needs_the_size() -> None:
    with pytest.raises(ValueError, match="size_bytes"):
        incoming("a.mp4", b"x", offset=0)


def test_a_file_of_no_bytes_in_parts(bench: LibraryBench) -> None:
    assert bench.receive(incoming("a.txt", b"", offset=0, size_bytes=0)).files[0].complete
    assert bench.visible() == {"a.txt": b""}


def test_two_workers_sent_the_same_parts_at_once_make_one_whole_file(bench: LibraryBench) -> None:
    workers = [bench, LibraryBench(bench.workspace.root)]
    for begin in range(0, 2048, 512):
        start = threading.Barrier(2)

        def send(worker: LibraryBench, begin: int, start: threading.Barrier) -> bool:
            start.wait()
            try:
                part(worker, begin, begin + 512)
            except Conflict:  # the other one is just completing it
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            sent = list(pool.map(send, workers, [begin] * 2, [start] * 2))
        assert any(sent)
    assert part(bench, 1536, 2048).complete
    assert bench.visible() == {"a.mp4": VIDEO}


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12))
def test_parts_in_any_order_make_the_file_or_nothing(spans: list[tuple[int, int]]) -> None:
    content = MP4_HEAD + bytes(range(60 - len(MP4_HEAD)))
    sha256 = hashlib.sha256(content).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        bench = LibraryBench(Path(folder))
        received, complete = 0, False
        for begin, end in (sorted(span) for span in spans):
            if begin > received and not (complete and received == 0):
                with pytest.raises(Conflict, match=f"; {received} bytes have arrived"):
                    part(bench, begin, end, content=content, sha256=sha256)
                continue
            stored = part(bench, begin, end, content=content, sha256=sha256)
            if begin > received:
                assert stored.complete  # a part sent again
                continue
            received = max(received, end)
            assert stored.received_bytes == received
            assert stored.complete is (received == 60)
            if stored.complete:
                received, complete = 0, True
            assert bench.visible() == ({"a.mp4": content} if complete else {})
