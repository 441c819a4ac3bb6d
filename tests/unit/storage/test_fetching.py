from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from lorapod.errors import InsufficientStorage
from lorapod.storage.fetching import Write, fetch
from lorapod.storage.port import StoredObject, StoreRefused, StoreUnavailable
from lorapod.storage.retry_budget import RetryBudget

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
