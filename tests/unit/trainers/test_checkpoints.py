from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lorapod.trainers.ai_toolkit.outcome import final_weights
from lorapod.trainers.checkpoints import DAMAGED_FOLDER, OPTIMIZER_NAME, make_ready


def write(path: Path, step: int | None, *, keep_bytes: int | None = None) -> Path:
    metadata = {} if step is None else {"training_info": json.dumps({"step": step, "epoch": 0})}
    header = json.dumps(
        {"__metadata__": metadata, "w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    ).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(16)
    path.write_bytes(content[:keep_bytes])
    return path


def newest(folder: Path, name: str) -> Path:
    """As AI Toolkit chooses."""
    return max(
        (path for path in folder.iterdir() if path.name.startswith(name)),
        key=lambda path: path.stat().st_ctime_ns,
    )


def let_time_pass(path: Path) -> None:
    """Until a file that is changed now is younger than `path`: file systems count in ticks of some milliseconds."""
    probe = path.parent.parent / "probe"
    probe.touch()
    while probe.stat().st_ctime_ns <= path.stat().st_ctime_ns:
        probe.chmod(0o600)


def test_the_highest_step_becomes_the_newest_whatever_was_copied_last(tmp_path: Path) -> None:
    best = write(tmp_path / "lora_000000020.safetensors", 20)
    let_time_pass(best)
    written = best.stat().st_mtime_ns
    copied = write(tmp_path / "lora_000000010.safetensors", 10)
    let_time_pass(copied)
    assert newest(tmp_path, "lora") == copied
    assert make_ready(tmp_path, "lora") == 20
    assert newest(tmp_path, "lora") == best
    assert best.stat().st_mtime_ns == written


@pytest.mark.parametrize("keep_bytes", [0, 5, 60, -1])
def test_a_file_that_is_cut_off_is_set_aside(tmp_path: Path, keep_bytes: int) -> None:
    best = write(tmp_path / "lora_000000010.safetensors", 10)
    torn = write(tmp_path / "lora_000000020.safetensors", 20, keep_bytes=keep_bytes)
    assert make_ready(tmp_path, "lora") == 10
    assert not torn.exists()
    assert (tmp_path / DAMAGED_FOLDER / torn.name).exists()
    assert newest(tmp_path, "lora") == best


def test_a_second_damaged_file_of_the_same_name_replaces_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        write(tmp_path / "lora.safetensors", 20, keep_bytes=50)
        assert make_ready(tmp_path, "lora") is None


def test_the_final_weights_go_before_a_checkpoint_of_the_same_step(tmp_path: Path) -> None:
    final = write(tmp_path / "lora.safetensors", 20)
    other = write(tmp_path / "lora_000000020.safetensors", 20)
    let_time_pass(other)
    assert make_ready(tmp_path, "lora") == 20
    assert newest(tmp_path, "lora") == final


def test_final_weights_of_fewer_steps_become_a_checkpoint_of_their_step(tmp_path: Path) -> None:
    final = write(tmp_path / "lora.safetensors", 20)
    assert make_ready(tmp_path, "lora", total_steps=20) == 20
    assert final.exists()
    assert make_ready(tmp_path, "lora", total_steps=30) == 20
    assert not final.exists()
    assert newest(tmp_path, "lora") == tmp_path / "lora_000000020.safetensors"


def test_the_step_stands_in_the_name_where_the_file_does_not_tell_it(tmp_path: Path) -> None:
    write(tmp_path / "lora_000000010.safetensors", 10)
    write(tmp_path / "lora_000000030.safetensors", None)
    assert make_ready(tmp_path, "lora") == 30


def test_the_content_keeps_its_time(tmp_path: Path) -> None:
    path = write(tmp_path / "lora_000000010.safetensors", 10)
    written = path.stat().st_mtime_ns
    assert make_ready(tmp_path, "lora") == 10
    assert path.stat().st_mtime_ns == written


def test_an_optimizer_that_is_cut_off_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / OPTIMIZER_NAME).write_bytes(b"PK\x03\x04 and no end")
    assert make_ready(tmp_path, "lora") is None
    assert (tmp_path / DAMAGED_FOLDER / OPTIMIZER_NAME).exists()


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    write(tmp_path / "other.safetensors", 10, keep_bytes=50)
    (tmp_path / "samples").mkdir()
    assert make_ready(tmp_path, "lora") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other.safetensors",
        "samples",
    ]


def test_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert make_ready(tmp_path / "nothing", "lora") is None
    assert final_weights(tmp_path, "lora") is None


@pytest.mark.parametrize("name", ["lora.safetensors", "lora_LoRA.safetensors", "lora.pt", "lora"])
def test_the_final_weights_in_every_form(tmp_path: Path, name: str) -> None:
    (tmp_path / "lora_000000010.safetensors").write_bytes(b"")
    (tmp_path / name).write_bytes(b"")
    assert final_weights(tmp_path, "lora") == tmp_path / name


@pytest.mark.parametrize("broken", ["", "lora_000000020.safetensors"])
def test_what_cannot_be_read_now_is_neither_damaged_nor_missing(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "lora_000000010.safetensors", 10)
    best = write(tmp_path / "lora_000000020.safetensors", 20)
    calls: dict[str, Callable[..., Any]] = {"scandir": os.scandir, "open": os.open}

    def stale(name: str, path: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(path, int) and Path(path) == tmp_path / broken:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return calls[name](path, *arguments, **options)

    with monkeypatch.context() as patch:
        for name in calls:
            patch.setattr(os, name, partial(stale, name))
        with pytest.raises(OSError, match="Stale file handle"):
            make_ready(tmp_path, "lora")
    assert best.exists()
    assert make_ready(tmp_path, "lora") == 20
