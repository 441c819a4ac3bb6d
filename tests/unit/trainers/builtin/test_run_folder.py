from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from lorapod.trainers.builtin.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(path=tmp_path, name="my [lora]")


def write(path: Path, step: int | None, *, cut: int = 0) -> Path:
    notes = {} if step is None else {"training_info": json.dumps({"step": step, "epoch": 0})}
    header = {
        "__metadata__": notes,
        "lora_unet_a.lora_down.weight": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]},
    }
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(64)
    path.write_bytes(content[: len(content) - cut])
    return path


def test_an_empty_folder_has_no_checkpoint(folder: RunFolder) -> None:
    assert folder.newest_checkpoint() == (None, [])


def test_the_highest_step_wins_whatever_the_times_say(folder: RunFolder) -> None:
    write(folder.at_step(20), 20)
    older = write(folder.at_step(10), 10)
    os.utime(older, (2e9, 2e9))
    checkpoint, damaged = folder.newest_checkpoint()
    assert checkpoint is not None
    assert (checkpoint.path, checkpoint.step, checkpoint.rank) == (folder.at_step(20), 20, 4)
    assert damaged == []


def test_the_final_one_counts_by_its_step(folder: RunFolder) -> None:
    write(folder.at_step(20), 20)
    write(folder.final, 20)
    checkpoint, _ = folder.newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.path == folder.final


def test_damaged_ones_are_passed_over(folder: RunFolder) -> None:
    write(folder.at_step(10), 10)
    cut = write(folder.at_step(30), 30, cut=1)
    nameless = write(folder.at_step(40), None)
    folder.at_step(50).write_bytes(b"")
    checkpoint, damaged = folder.newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 10
    assert damaged == [cut, nameless, folder.at_step(50)]


def test_others_are_left_alone(folder: RunFolder) -> None:
    others = [
        write(folder.path / name, 99)
        for name in ("other_000000099.safetensors", "my [lora]_9.safetensors", "my [lora]_x.safetensors")
    ]
    for step in range(1, 6):
        write(folder.at_step(step), step)
    folder.prune(2)
    assert folder.step_checkpoints() == [folder.at_step(4), folder.at_step(5)]
    assert all(path.exists() for path in others)


def test_what_a_killed_run_left_is_swept(folder: RunFolder) -> None:
    left = folder.path / ".my [lora].safetensors.tmp"
    left.write_bytes(b"half")
    kept = write(folder.final, 5)
    folder.sweep()
    assert not left.exists()
    assert kept.exists()
