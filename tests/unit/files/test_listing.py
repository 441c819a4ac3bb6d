from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorapod.errors import InvalidInput, NotFound
from lorapod.files.listing import list_files
from lorapod.kinds import FileKind
from lorapod.volume import file_page
from lorapod.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


def put(workspace: Workspace, *names: str) -> None:
    for name in names:
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def names(workspace: Workspace, folder: str = "", **fields: Any) -> list[str]:
    page = list_files(workspace, workspace.root / folder, **fields)
    assert page.next_cursor is None
    return [workspace.relative(file.path) for file in page.files]


def paged(workspace: Workspace, limit: int) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = list_files(workspace, workspace.root, limit=limit, cursor=cursor)
        pages.append([workspace.relative(file.path) for file in page.files])
        if (cursor := page.next_cursor) is None:
            return pages


def test_lists_every_folder_sorted(workspace: Workspace) -> None:
    put(workspace, "output/b/2.png", "output/a/9.png", "output/a.txt", "output/a/10.png", "logs/x.log")
    assert names(workspace) == [
        "logs/x.log",
        "output/a/10.png",
        "output/a/9.png",
        "output/a.txt",
        "output/b/2.png",
    ]
    assert names(workspace, "output", recursive=False) == ["output/a.txt"]
    assert names(workspace, "output/a.txt") == ["output/a.txt"]


def test_tells_size_time_and_kind(workspace: Workspace) -> None:
    put(workspace, "models/a.safetensors")
    os.utime(workspace.models / "a.safetensors", (1_700_000_000, 1_700_000_000))
    (file,) = list_files(workspace, workspace.models).files
    assert (file.size_bytes, file.modified_s, file.kind) == (20, 1_700_000_000, FileKind.MODEL)


def test_hidden_files_and_caches_are_never_listed(workspace: Workspace) -> None:
    put(
        workspace,
        ".x",
        "output/.thumbs/a.png",
        "training_data/m/_latent_cache/a.safetensors",
        "training_data/m/a.png",
    )
    put(workspace, "training_data/m/_t_e_cache/a.safetensors", "training_data/m/.aitk_size.json")
    assert names(workspace) == ["training_data/m/a.png"]
    for folder in ("output/.thumbs", "training_data/m/_latent_cache", "none"):
        with pytest.raises(NotFound):
            names(workspace, folder)


def test_links_outside_are_neither_listed_nor_followed(workspace: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").touch()
    put(workspace, "output/a.txt", "output/.hidden")
    (workspace.output / "file").symlink_to(outside / "secret.txt")
    (workspace.output / "folder").symlink_to(outside)
    (workspace.output / "loop").symlink_to(workspace.output)
    (workspace.output / "dangling").symlink_to("nowhere")
    (workspace.output / "round").symlink_to("round")
    (workspace.output / "hidden").symlink_to(".hidden")
    (workspace.output / "inside").symlink_to("a.txt")
    os.mkfifo(workspace.output / "pipe")
    assert names(workspace) == ["output/a.txt", "output/inside"]


def test_names_that_no_answer_can_hold_are_left_out(workspace: Workspace) -> None:
    (workspace.output / os.fsdecode(b"\xff.txt")).touch()
    assert names(workspace) == []


@pytest.mark.parametrize(
    ("pattern", "kind", "found"),
    [
        ("*.png", None, ["a/1.png", "a/b/2.png"]),
        ("?.png", None, ["a/1.png", "a/b/2.png"]),
        ("a/*.png", None, ["a/1.png", "a/b/2.png"]),
        ("b/*", None, []),
        ("*/b/*", None, ["a/b/2.png"]),
        ("[12].PNG", None, []),
        ("[", None, []),
        (None, FileKind.CAPTION, ["a/1.txt"]),
        ("1*", FileKind.IMAGE, ["a/1.png"]),
        (None, FileKind.OTHER, ["noext"]),
    ],
)
def test_pattern_and_kind(
    workspace: Workspace, pattern: str | None, kind: FileKind | None, found: list[str]
) -> None:
    put(workspace, "output/a/1.png", "output/a/b/2.png", "output/a/1.txt", "output/noext")
    assert names(workspace, "output", pattern=pattern, kind=kind) == [f"output/{name}" for name in found]


def test_a_page_is_full_before_the_next_begins(workspace: Workspace) -> None:
    put(workspace, *(f"output/{number}/{letter}" for number in range(3) for letter in "ab"))
    assert [len(page) for page in paged(workspace, 4)] == [4, 2]
    assert [len(page) for page in paged(workspace, 6)] == [6]


def test_long_names_end_a_page_early(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_page, "_PAGE_NAMES_BYTES", 1)
    put(workspace, "output/a", "output/b", "output/c")
    assert paged(workspace, 100) == [["output/a"], ["output/b"], ["output/c"]]


@pytest.mark.parametrize("cursor", ["x", "", "!!", "e30=", "WzFd", "W10=", "é", "W" * 10_000])
def test_a_foreign_cursor_is_refused(workspace: Workspace, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        list_files(workspace, workspace.root, cursor=cursor)


PATHS = st.lists(st.sampled_from(["a", "b", "b.", "b-", "c", "ä"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=60)
@given(st.sets(PATHS, max_size=12), st.integers(1, 5), st.sets(PATHS, max_size=3), st.sets(PATHS, max_size=3))
def test_pages_hold_each_lasting_file_once_whatever_comes_and_goes(
    before: set[str], limit: int, added: set[str], removed: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(root=Path(folder).resolve())

        def add(names: set[str]) -> None:
            for name in sorted(names):
                path = workspace.root / name
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch()
                except (FileExistsError, NotADirectoryError, IsADirectoryError):
                    continue  # one name cannot be both a file and a folder

        def present() -> set[str]:
            return {
                path.relative_to(workspace.root).as_posix()
                for path in workspace.root.rglob("*")
                if path.is_file()
            }

        add(before)
        at_first = present()
        page = list_files(workspace, workspace.root, limit=limit)
        seen = [workspace.relative(file.path) for file in page.files]
        add(added)
        for name in removed & present():
            (workspace.root / name).unlink()
        while page.next_cursor is not None:
            page = list_files(workspace, workspace.root, limit=limit, cursor=page.next_cursor)
            seen += [workspace.relative(file.path) for file in page.files]
        assert len(seen) == len(set(seen))
        assert [name.split("/") for name in seen] == sorted(name.split("/") for name in seen)
        assert at_first & present() <= set(seen) <= at_first | added
