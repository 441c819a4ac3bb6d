from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lorapod.datasets import publish
from lorapod.datasets.exchange import exchange
from lorapod.datasets.publish import put_in_place
from lorapod.errors import Conflict


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "a.txt").write_text(content)
    return path


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "two renames":
        monkeypatch.setattr(publish, "exchange", lambda *_: False)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("before", [None, "empty", "full"])
def test_the_new_folder_is_all_that_is_left(tmp_path: Path, before: str | None) -> None:
    target = tmp_path / "target"
    if before == "empty":
        target.mkdir()
    if before == "full":
        (folder(target, "old") / "b.txt").touch()
    put_in_place(folder(tmp_path / "new", "new"), target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert [path.name for path in target.iterdir()] == ["a.txt"]
    assert (target / "a.txt").read_text() == "new"


def test_a_file_in_the_way_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    with pytest.raises(Conflict):
        put_in_place(folder(tmp_path / "new", "new"), tmp_path / "target")


def test_a_reader_always_finds_a_whole_folder(tmp_path: Path) -> None:
    target = folder(tmp_path / "target", "0")
    if not exchange(folder(tmp_path / "probe", "x"), folder(tmp_path / "other", "y")):
        pytest.skip("this file system cannot exchange two names")
    missing: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            if not target.is_dir():
                missing.append("gone")

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        put_in_place(folder(tmp_path / f"new{number}", str(number)), target)
    done.set()
    reader.join()
    assert missing == []
    assert (target / "a.txt").read_text() == "59"


def test_a_failed_second_rename_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "exchange", lambda *_: False)
    target = folder(tmp_path / "target", "old")
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "none", target)
    assert (target / "a.txt").read_text() == "old"


@pytest.mark.parametrize("moment", ["before the old folder is taken away", "after it"])
def test_another_worker_that_replaces_it_at_the_same_moment_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(publish, "exchange", lambda *_: False)
    target, elsewhere = folder(tmp_path / "target", "old"), tmp_path / "elsewhere"
    rename, disturbed = Path.rename, False

    def rename_and_disturb(path: Path, to: Path) -> Path:
        nonlocal disturbed
        if path != target or disturbed:
            return rename(path, to)
        disturbed = True
        if moment == "after it":
            rename(path, to)
            folder(target, "theirs")
            return to
        rename(target, elsewhere)
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", rename_and_disturb)
    put_in_place(folder(tmp_path / "new", "new"), target)
    assert disturbed
    assert (target / "a.txt").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} - {"elsewhere"} == {"target"}
