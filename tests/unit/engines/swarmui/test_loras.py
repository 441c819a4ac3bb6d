from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lorapod.engines.port import LoraUse
from lorapod.engines.swarmui.loras import OWN_FOLDER, UNUSED_S, LoraFolder
from lorapod.errors import InsufficientStorage


@pytest.fixture
def folder(tmp_path: Path) -> LoraFolder:
    return LoraFolder(path=tmp_path / "Models" / "Lora", keep_free_bytes=0)


@pytest.fixture
def trained(tmp_path: Path) -> LoraUse:
    path = tmp_path / "output" / "my, cat.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return LoraUse(path=path, name="my, cat")


def files(folder: LoraFolder) -> list[str]:
    return sorted(path.name for path in folder.path.rglob("*") if path.is_file())


def test_it_is_copied_once(folder: LoraFolder, trained: LoraUse) -> None:
    name = folder.place(trained)
    copy = folder.path / name
    first = copy.stat()

    assert folder.place(trained) == name
    assert name.startswith("lorapod/my__cat-")
    assert "," not in name
    assert copy.read_bytes() == b"weights"
    assert copy.stat().st_ino == first.st_ino
    assert files(folder) == [copy.name]


def test_what_swarmui_writes_into_it_does_not_reach_the_training(
    folder: LoraFolder, trained: LoraUse
) -> None:
    copy = folder.path / folder.place(trained)

    copy.write_bytes(b"weights with a hash in their header")

    assert trained.path.read_bytes() == b"weights"
    assert folder.place(trained) == f"lorapod/{copy.name}"
    assert copy.read_bytes() == b"weights with a hash in their header"


def test_other_weights_of_the_same_path_are_another_lora(folder: LoraFolder, trained: LoraUse) -> None:
    before = folder.place(trained)
    trained.path.write_bytes(b"WEIGHTS")
    os.utime(trained.path, ns=(1, 1))

    after = folder.place(trained)

    assert after != before
    assert (folder.path / after).read_bytes() == b"WEIGHTS"
    assert (folder.path / before).read_bytes() == b"weights"


def test_a_copy_that_nobody_has_used_for_long_makes_room_for_the_next(
    folder: LoraFolder, trained: LoraUse, tmp_path: Path
) -> None:
    def long_ago(path: Path) -> None:
        path.touch()
        at_s = time.time() - UNUSED_S - 60
        os.utime(path, (at_s, at_s))

    used = folder.path / folder.place(trained)
    own = folder.path / OWN_FOLDER
    users = folder.path / "people" / "dog.safetensors"
    users.parent.mkdir()
    unused, broken_off = own / "dog-0123456789ab.safetensors", own / ".dog-0123456789ab.safetensors.1f.tmp"
    for path in (used, unused, broken_off, users):
        long_ago(path)
    written = used.stat().st_mtime_ns
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"others")

    assert folder.path / folder.place(trained) == used
    copy = folder.path / folder.place(LoraUse(path=other, name="other"))

    assert files(folder) == sorted([used.name, users.name, copy.name])
    # SwarmUI reads a header anew that seems to have changed.
    assert used.stat().st_mtime_ns == written


def test_one_of_swarmuis_own_stays_where_it_is(folder: LoraFolder) -> None:
    own = folder.path / "people" / "cat.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"weights")

    assert folder.place(LoraUse(path=own, name="cat")) == "people/cat.safetensors"
    assert files(folder) == ["cat.safetensors"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, trained: LoraUse) -> None:
    folder = LoraFolder(path=tmp_path / "Lora", keep_free_bytes=1 << 60)

    with pytest.raises(InsufficientStorage, match="no room"):
        folder.place(trained)

    assert files(folder) == []


def test_a_copy_that_fails_leaves_nothing(folder: LoraFolder, tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()

    with pytest.raises(OSError):
        folder.place(LoraUse(path=tmp_path / "folder.safetensors", name="folder"))

    assert files(folder) == []
