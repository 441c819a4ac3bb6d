from __future__ import annotations

import io
import os
import threading
import zipfile
from pathlib import Path

import pytest

from lorapod.errors import Conflict
from lorapod.files.archive import ArchiveEntry, archive_key, entries_of, write_archive
from lorapod.files.archive_cache import ArchiveCache
from lorapod.workspace import Workspace


def written(path: Path, content: bytes) -> ArchiveEntry:
    path.write_bytes(content)
    (entry,) = entries_of([(path.name, path)])
    return entry


def ignore(_packed_bytes: int) -> None:
    pass


def test_a_file_that_changed_is_a_conflict(tmp_path: Path) -> None:
    entry = written(tmp_path / "a.safetensors", b"before")
    entry.path.write_bytes(b"after!")
    os.utime(entry.path, ns=(0, entry.mtime_ns + 1))
    with pytest.raises(Conflict, match="changed while it was packed"):
        write_archive(io.BytesIO(), [entry], ignore)


@pytest.mark.parametrize("name", ["a.log", "a.safetensors"])
def test_a_file_that_shrank_is_a_conflict(tmp_path: Path, name: str) -> None:
    entry = written(tmp_path / name, b"before")
    entry.path.write_bytes(b"bef")
    with pytest.raises(Conflict):
        write_archive(io.BytesIO(), [entry], ignore)


def test_a_log_that_grows_is_packed_as_it_was_seen(tmp_path: Path) -> None:
    entry = written(tmp_path / "a.log", b"before")
    entry.path.write_bytes(b"before and after")
    target = io.BytesIO()
    write_archive(target, [entry], ignore)
    assert zipfile.ZipFile(target).read("a.log") == b"before"


def test_the_key_follows_name_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    entry = written(path, b"1")
    assert archive_key([entry]) == archive_key(entries_of([("a.txt", path)]))
    assert archive_key([entry]) != archive_key(entries_of([("b.txt", path)]))
    os.utime(path, ns=(0, entry.mtime_ns + 1))
    assert archive_key([entry]) != archive_key(entries_of([("a.txt", path)]))


def test_a_build_that_is_given_up_leaves_nothing_and_frees_the_next(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "workspace")
    shelf = ArchiveCache(workspace=workspace, max_bytes=10_000, keep_free_bytes=0)
    entry = written(tmp_path / "a.txt", b"1")
    begun, go_on = threading.Event(), threading.Event()

    def give_up(_packed_bytes: int) -> None:
        begun.set()
        go_on.wait(10)
        raise KeyError

    def build() -> None:
        with pytest.raises(KeyError):
            shelf.archive([entry], give_up)

    first = threading.Thread(target=build)
    first.start()
    assert begun.wait(10)
    waited = []

    def wait(packed_bytes: int) -> None:
        waited.append(packed_bytes)
        go_on.set()

    path = shelf.archive([entry], wait)
    first.join(10)
    assert zipfile.ZipFile(path).read("a.txt") == b"1"
    # It waited for the first, then built itself.
    assert waited[0] == 0
    assert waited[-1] == 1
    assert [other for other in shelf.folder.iterdir() if other.suffix == ".tmp"] == []
