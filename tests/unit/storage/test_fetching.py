from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from botocore.exceptions import ClientError

from lorapod.errors import InsufficientStorage
from lorapod.storage.fetching import Write, fetch
from lorapod.storage.hub_access import status_error
from lorapod.storage.port import StoredObject, StoreRefused, StoreUnavailable
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3_errors import as_worker_error
from lorapod.storage.supabase_access import refuse_failure

WANTED = StoredObject(key="a.bin", size_bytes=10, etag="one")


def get(path: Path, *pieces: bytes, wanted: StoredObject = WANTED, now: StoredObject = WANTED) -> None:
    def read(offset: int, write: Write) -> None:
        for piece in pieces:
            write(piece)

    fetch(wanted, path, read, look=lambda: now, progress=None)


def test_a_file_too_large_for_the_disk_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5))
    with pytest.raises(InsufficientStorage, match="10 bytes"):
        get(tmp_path / "a.bin", b"0123456789")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    def read(offset: int, write: Write) -> None:
        write(b"01234")
        raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(InsufficientStorage):
        fetch(WANTED, tmp_path / "a.bin", read, look=lambda: WANTED, progress=None)
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_a_file_may_have_is_fetched(tmp_path: Path) -> None:
    path = tmp_path / f"{'é' * 125}.png"

    get(path, b"0123456789")

    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"0123456789"


def test_less_than_was_promised_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="ended after"):
        get(tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


def test_content_that_changed_meanwhile_is_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="changed"):
        get(tmp_path / "a.bin", b"0123456789", now=StoredObject(key="a.bin", size_bytes=10, etag="two"))
    assert list(tmp_path.iterdir()) == []


def test_patience_counts_waits_and_not_work() -> None:
    retries = RetryBudget(total_s=300, first_wait_s=0.5, longest_wait_s=15)
    assert 20 <= retries.attempts <= 30
    calls: list[int] = []

    def refuse() -> None:
        calls.append(1)
        raise StoreRefused

    with pytest.raises(StoreRefused):
        retries.call(refuse)
    assert len(calls) == 1


@pytest.mark.timeout(20)
def test_an_object_that_grew_after_the_look_is_looked_at_again(tmp_path: Path) -> None:
    grown = b"0123456789 and more"
    looks = [WANTED, WANTED, StoredObject(key="a.bin", size_bytes=len(grown), etag="two")]
    reads: list[int] = []

    def read(offset: int, write: Write) -> None:
        reads.append(offset)
        for start in range(offset, len(grown), 4):
            write(grown[start : start + 4])

    def attempt() -> None:
        wanted = looks.pop(0)
        fetch(wanted, tmp_path / "a.bin", read, look=lambda: wanted, progress=None)

    RetryBudget(total_s=1, first_wait_s=0.01, longest_wait_s=0.01).call(attempt)
    assert (tmp_path / "a.bin").read_bytes() == grown
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert len(reads) == 3


@pytest.mark.timeout(20)
def test_a_part_file_that_is_larger_than_the_object_is_begun_anew(tmp_path: Path) -> None:
    def cut(offset: int, write: Write) -> None:
        if offset == 0:
            write(b"01234")
        raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        fetch(WANTED, tmp_path / "a.bin", cut, look=lambda: WANTED, progress=None)
    (part,) = tmp_path.iterdir()
    part.write_bytes(b"x" * 30)
    get(tmp_path / "a.bin", b"0123456789")
    assert (tmp_path / "a.bin").read_bytes() == b"0123456789"


def test_a_range_beyond_the_end_means_that_the_object_has_to_be_looked_at_again() -> None:
    beyond = ClientError(
        {"Error": {"Code": "InvalidRange"}, "ResponseMetadata": {"HTTPStatusCode": 416}},  # type: ignore[typeddict-item]
        "GetObject",
    )
    assert isinstance(as_worker_error(beyond, key="a.bin", bucket="b"), StoreUnavailable)
    assert isinstance(status_error(416, "a.bin", "me/cat"), StoreUnavailable)
    with pytest.raises(StoreUnavailable):
        refuse_failure(httpx.Response(416), "a.bin", "b")
