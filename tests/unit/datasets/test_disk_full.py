from __future__ import annotations

import random
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.datasets.library_bench import MP4_HEAD, LibraryBench, incoming, packed, picture

from lorapod.errors import ErrorCode, InsufficientStorage

PNG = picture()
LARGE = MP4_HEAD + random.Random(1).randbytes(3_000_000 - len(MP4_HEAD))


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """A write beyond that size fails as on a full disk, but with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(small_root: Path) -> LibraryBench:
    """A workspace on a disk of 2 MB whose free space the worker does not foresee."""
    return LibraryBench(small_root)


class UnforeseenUsage:
    free = 1 << 50


@pytest.fixture
def unforeseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process fills the disk after the worker has looked."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: UnforeseenUsage)


@pytest.mark.usefixtures("unforeseen")
class TestFullMidway:
    def test_a_whole_file(self, small_disk: LibraryBench) -> None:
        small_disk.receive(incoming("a.png", PNG))
        with pytest.raises(InsufficientStorage, match=r"ran full at b\.mp4"):
            small_disk.receive(incoming("b.mp4", LARGE))
        assert small_disk.visible() == {"a.png": PNG}
        assert small_disk.hidden() == []

    def test_a_smaller_one_still_goes(self, small_disk: LibraryBench) -> None:
        receipt = small_disk.receive(incoming("b.mp4", LARGE), incoming("a.png", PNG))
        assert small_disk.visible() == {"a.png": PNG}
        assert [file.code for file in receipt.rejected] == [ErrorCode.INSUFFICIENT_STORAGE]

    def test_a_part_keeps_what_came_before(self, small_disk: LibraryBench) -> None:
        def send(begin: int, end: int) -> int:
            file = incoming("b.mp4", LARGE[begin:end], offset=begin, size_bytes=len(LARGE))
            return small_disk.receive(file).files[0].received_bytes

        assert send(0, 1_000_000) == 1_000_000
        with pytest.raises(InsufficientStorage):
            send(1_000_000, 3_000_000)
        assert send(1_000_000, 1_000_001) == 1_000_001
        assert small_disk.visible() == {}

    def test_an_archive(self, small_disk: LibraryBench) -> None:
        content = packed({f"{number}.txt": bytes([65 + number]) * 700_000 for number in range(5)})
        with pytest.raises(InsufficientStorage):
            small_disk.receive(incoming("a.zip", content))
        assert small_disk.visible() == {}
        assert small_disk.hidden() == []


def test_a_disk_too_small_is_told_before(small_disk: LibraryBench) -> None:
    with pytest.raises(InsufficientStorage, match="bytes free"):
        small_disk.receive(incoming("b.mp4", LARGE))
    assert small_disk.hidden() == []


def test_a_write_that_fails_leaves_nothing(bench: LibraryBench) -> None:
    file = incoming("b.mp4", LARGE)
    with files_limited_to(1_000_000), pytest.raises(InsufficientStorage, match=r"ran full at b\.mp4"):
        bench.receive(file)
    assert bench.visible() == {}
    assert bench.hidden() == []
    assert bench.receive(file).files[0].complete
