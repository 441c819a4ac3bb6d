"""Files that were dropped onto the page: where they go, what is refused, and that an upload goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lorapod.client.console import staged_uploads
from lorapod.client.console.staged_uploads import DroppedFile, StagedUploads
from lorapod.client.errors import InvalidInputError, LorapodError


async def _chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _broken() -> AsyncIterator[bytes]:
    yield b"half"
    raise ConnectionResetError


def _keep(uploads: StagedUploads, path: str, data: bytes) -> int:
    return asyncio.run(uploads.keep("cat", path, _chunks(data)))


@pytest.mark.parametrize(
    "path",
    ["../1.png", "a/../../1.png", "/etc/1.png", "a//1.png", "a\\1.png", "a\0.png", ".", "", "x/" * 40 + "1.png", "w" * 400 + ".png"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    uploads = StagedUploads(tmp_path / "uploads")
    with pytest.raises(InvalidInputError):
        _keep(uploads, path, b"x")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_what_is_no_part_of_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be part of a dataset"):
        _keep(StagedUploads(tmp_path), "notes.pdf", b"x")


@pytest.mark.parametrize("told", [None, 600_000_000], ids=["unknown size", "known size"])
def test_a_file_that_would_fill_this_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int | None
) -> None:
    free = iter([1_500_000_000, 900_000_000])

    def usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=next(free))

    monkeypatch.setattr(staged_uploads, "disk_usage", usage)
    monkeypatch.setattr(staged_uploads, "LOOK_EVERY_BYTES", 4)
    uploads = StagedUploads(tmp_path)
    with pytest.raises(LorapodError, match="no room") as refused:
        asyncio.run(uploads.keep("cat", "1.png", _chunks(b"12345", b"6"), size_bytes=told))
    assert "--cache" in refused.value.hint
    assert list(tmp_path.rglob("*.p*")) == []


def test_an_upload_goes_on_with_the_files_that_are_missing(tmp_path: Path) -> None:
    uploads = StagedUploads(tmp_path)
    assert _keep(uploads, "a/1.png", b"one") == 3
    with pytest.raises(ConnectionResetError):
        asyncio.run(uploads.keep("cat", "2.png", _broken()))

    later = StagedUploads(tmp_path)
    assert later.all() == [{"training_name": "cat", "files": 1, "total_bytes": 3}]
    dropped = [
        DroppedFile(path=path, size_bytes=size)
        for path, size in (("a/1.png", 3), ("2.png", 4), ("notes.pdf", 9))
    ]
    assert later.plan("cat", dropped) == {
        "present": ["a/1.png"],
        "wanted": ["2.png"],
        "skipped": ["notes.pdf"],
    }
    later.discard("cat")
    assert later.view("cat") is None
