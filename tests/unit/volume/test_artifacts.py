from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lorapod.volume.artifacts import checkpoints, output_files, samples
from lorapod.volume.local_files import LocalFiles
from lorapod.volume.port import FileEntry


def test_an_unreadable_output_folder_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "cat.safetensors").touch()

    def broken(path: Any) -> Any:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(OSError, match="Stale file handle"):
        list(output_files(tmp_path))
    with pytest.raises(OSError, match="Stale file handle"):
        checkpoints(tmp_path, "cat")
    with pytest.raises(OSError, match="Stale file handle"):
        samples(tmp_path)


def test_output_files_are_without_caches_hidden_files_and_links(tmp_path: Path) -> None:
    for name in (
        "cat/cat.safetensors",
        "cat/samples/1.png",
        "cat/.job",
        "cat/_latent_cache/1",
        ".tmp/2",
        "z",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "link").symlink_to("z")
    found = [path.relative_to(tmp_path).as_posix() for path in output_files(tmp_path)]
    assert found == ["z", "cat/cat.safetensors", "cat/samples/1.png"]


class Vanishing(LocalFiles):
    """A folder in which the trainer deletes a file after it was listed."""

    def __init__(self, gone: str) -> None:
        self._gone = gone

    def entries(self, folder: Path) -> Sequence[FileEntry]:
        found = super().entries(folder)
        (folder / self._gone).unlink()
        return found


def test_a_checkpoint_that_is_deleted_meanwhile_is_left_out(tmp_path: Path) -> None:
    for name in ("cat_000000002.safetensors", "cat_000000004.safetensors"):
        (tmp_path / name).write_bytes(b"weights")

    found = checkpoints(tmp_path, "cat", files=Vanishing("cat_000000002.safetensors"))

    assert [checkpoint.step for checkpoint in found] == [4]
