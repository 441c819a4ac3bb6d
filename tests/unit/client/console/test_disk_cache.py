"""The console's cache: what it keeps, what it drops, and what it survives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorapod.client.console import disk_cache
from lorapod.client.console.disk_cache import DiskCache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DiskCache]:
    cache = DiskCache(tmp_path / "cache", limit_bytes=10_000)
    yield cache
    cache.close()


def files_of(folder: Path) -> list[Path]:
    return [path for path in (folder / "cache" / "contents").rglob("*") if path.is_file()]


def test_a_content_is_there_by_name_and_by_digest_and_after_a_restart(
    cache: DiskCache, tmp_path: Path
) -> None:
    kept = cache.put_content("file:a.png", b"picture", "image/png")
    cache.close()

    again = DiskCache(tmp_path / "cache", limit_bytes=10_000)
    by_name, by_digest = again.content("file:a.png"), again.content_by_digest(kept.digest)
    again.close()

    assert by_name == by_digest == kept
    assert kept.path.read_bytes() == b"picture"


def test_equal_contents_are_one_file_until_no_name_is_left(cache: DiskCache, tmp_path: Path) -> None:
    for name in ("a", "b"):
        cache.put_content(name, b"same", "image/png")
    assert len(files_of(tmp_path)) == 1

    cache.put_content("a", b"other", "image/png")
    assert len(files_of(tmp_path)) == 2
    cache.put_content("b", b"other", "image/png")
    assert [path.read_bytes() for path in files_of(tmp_path)] == [b"other"]


def test_what_was_used_longest_ago_goes_first(cache: DiskCache, tmp_path: Path) -> None:
    for number in range(9):
        cache.put_content(f"file:{number}", bytes([number]) * 1000, "image/png")
    assert cache.content("file:0") is not None

    for number in range(9, 14):
        cache.put_content(f"file:{number}", bytes([number]) * 1000, "image/png")

    kept = {int(name) for name in cache.names("file:")}
    assert 0 in kept
    assert 13 in kept
    assert not {1, 2, 3} & kept
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 10_000


def test_a_content_whose_file_was_removed_is_not_there(cache: DiskCache) -> None:
    kept = cache.put_content("a", b"picture", "image/png")
    kept.path.unlink()

    assert cache.content("a") is None
    assert cache.put_content("a", b"picture", "image/png").path.is_file()


def test_documents_are_bounded_and_the_newest_stay(cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "MOST_DOCUMENTS", 3)
    for number in range(5):
        cache.put_document("process", str(number), {"number": number})
    cache.put_document("job", "0", {"job_id": "x"})

    assert set(cache.documents("process")) == {"2", "3", "4"}
    assert cache.document("process", "0") is None
    assert cache.document("job", "0") == {"job_id": "x"}


def test_two_consoles_share_a_cache(cache: DiskCache, tmp_path: Path) -> None:
    other = DiskCache(tmp_path / "cache")
    cache.put_document("process", "a", {"from": "one"})
    other.put_document("process", "b", {"from": "other"})
    names = set(cache.documents("process"))
    other.close()

    assert names == {"a", "b"}


def test_only_its_owner_may_look_into_it(cache: DiskCache, tmp_path: Path) -> None:
    del cache
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_closed_cache_answers_no_more(cache: DiskCache) -> None:
    cache.close()
    with pytest.raises(sqlite3.ProgrammingError):
        cache.document("process", "a")
