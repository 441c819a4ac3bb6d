from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorapod.folders import entries_of, files_below


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a folder answer `ESTALE`, as a network volume does that has lost its server."""
    scandir: Callable[[Any], Any] = os.scandir

    def break_folder(folder: Path) -> None:
        def broken(path: Any) -> Any:
            if Path(path) == folder:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", broken)

    return break_folder


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, unreadable: Callable[[Path], None]) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "weights").touch()
    unreadable(inner)
    with pytest.raises(OSError, match="Stale file handle"):
        list(files_below(tmp_path))
    with pytest.raises(OSError, match="Stale file handle"):
        entries_of(inner)


def test_a_folder_that_does_not_exist_has_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert list(files_below(tmp_path / "nowhere")) == []
    assert entries_of(tmp_path / "nowhere") == entries_of(tmp_path / "file") == []


def test_a_folder_that_is_removed_meanwhile_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1").touch()
    (tmp_path / "sub").mkdir()
    found = files_below(tmp_path)
    assert next(found).name == "1"
    (tmp_path / "sub").rmdir()
    assert list(found) == []


def test_files_come_by_name_and_before_those_of_inner_folders(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "c", "a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("c")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to_folder").symlink_to("b")
    found = [os.path.relpath(entry.path, tmp_path) for entry in files_below(tmp_path)]
    assert found == ["a", "c", "link", "loop", "b/1", "b/2"]
    assert [entry.name for entry in files_below(tmp_path, skip=lambda name: name == "b")][-1] == "loop"
