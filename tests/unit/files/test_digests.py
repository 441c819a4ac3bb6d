from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from lorapod.errors import NotFound
from lorapod.files import digests
from lorapod.files.digests import DigestBook
from lorapod.workspace import Workspace

LONG_AGO = time.time() - 3600


class Reads:
    """Counts how often a file is hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = hashlib.file_digest

        def counted(*args: object, **kwargs: object) -> object:
            self.count += 1
            return real(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(hashlib, "file_digest", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path)


def write(workspace: Workspace, content: bytes, *, at: float = LONG_AGO) -> Path:
    path = workspace.models / "a.safetensors"
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


@pytest.mark.parametrize("content", [b"small", bytes(digests.SIDECAR_MIN_BYTES)])
def test_is_computed_once(workspace: Workspace, reads: Reads, content: bytes) -> None:
    path = write(workspace, content)
    book = DigestBook(workspace=workspace)
    assert {book.sha256(path) for _ in range(3)} == {hashlib.sha256(content).hexdigest()}
    assert reads.count == 1


def test_another_worker_need_not_read_a_large_file_again(workspace: Workspace, reads: Reads) -> None:
    path = write(workspace, bytes(digests.SIDECAR_MIN_BYTES))
    first = DigestBook(workspace=workspace).sha256(path)
    assert DigestBook(workspace=workspace).sha256(path) == first
    assert reads.count == 1


def test_a_changed_file_is_read_again(workspace: Workspace) -> None:
    book = DigestBook(workspace=workspace)
    for number, content in enumerate((b"one", b"other", b"older")):
        path = write(workspace, content, at=LONG_AGO - number)
        assert book.sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_file_that_may_still_change_is_read_again(workspace: Workspace, reads: Reads) -> None:
    path = write(workspace, b"x", at=time.time() + 60)
    book = DigestBook(workspace=workspace)
    book.sha256(path)
    book.sha256(path)
    assert reads.count == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"sha256": 1}', b"\xff"])
def test_a_damaged_sidecar_is_passed_over(workspace: Workspace, damage: bytes) -> None:
    path = write(workspace, bytes(digests.SIDECAR_MIN_BYTES))
    right = DigestBook(workspace=workspace).sha256(path)
    (sidecar,) = (workspace.root / digests.FOLDER).iterdir()
    sidecar.write_bytes(damage)
    assert DigestBook(workspace=workspace).sha256(path) == right


def test_a_sidecar_that_cannot_be_written_stops_nothing(workspace: Workspace) -> None:
    (workspace.root / digests.FOLDER).touch()
    path = write(workspace, bytes(digests.SIDECAR_MIN_BYTES))
    assert DigestBook(workspace=workspace).sha256(path)


def test_memory_is_bounded(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_REMEMBERED", 2)
    book = DigestBook(workspace=workspace)
    for number in range(5):
        book.sha256(write(workspace, b"x", at=LONG_AGO - number))
    assert len(book._known) == 2


def test_a_missing_file_is_told(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        DigestBook(workspace=workspace).sha256(workspace.models / "none")
