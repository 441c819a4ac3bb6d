from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod import weights
from lorapod.errors import InvalidInput, NotFound


def write(path: Path, header: Mapping[str, Any] | bytes, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def lora(metadata: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {
        "__metadata__": dict(metadata or {}),
        "unet.a.lora_A.weight": {"dtype": "F16", "shape": [4, 8], "data_offsets": [0, 64]},
        "unet.a.lora_B.weight": {"dtype": "F16", "shape": [8, 4], "data_offsets": [64, 128]},
    }


def test_reads_what_a_lora_says_of_itself(tmp_path: Path) -> None:
    notes = {
        "training_info": '{"step": 50, "epoch": 3}',
        "ss_base_model_version": '"sd_1.5"',
        "ss_tag_frequency": '{"1_matt": {"matt": 1}}',
    }
    path = write(tmp_path / "a.safetensors", lora(notes), bytes(128))
    header = weights.read_header(path)
    assert header.tensor_count == 2
    assert header.dtypes == {"F16": 2}
    assert header.tensor_bytes == 128
    assert header.file_bytes == path.stat().st_size == 8 + header.header_bytes + 128
    assert header.whole
    assert header.is_lora
    assert header.rank == 4
    assert header.base_model == "sd_1.5"
    assert header.trigger_word == "matt"
    assert weights.step_of(header) == 50
    assert weights.is_whole(path)


def test_noted_rank_and_trigger_word_win(tmp_path: Path) -> None:
    notes = {"ss_network_dim": "16", "trigger_word": "zoe", "ss_tag_frequency": '{"1_x": {"x": 1, "y": 1}}'}
    header = weights.read_header(write(tmp_path / "a.safetensors", lora(notes), bytes(128)))
    assert header.rank == 16
    assert header.trigger_word == "zoe"


def test_a_whole_model_is_no_lora(tmp_path: Path) -> None:
    fields = {"conv.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header = weights.read_header(write(tmp_path / "a.safetensors", fields, bytes(4)))
    assert not header.is_lora
    assert header.rank is None
    assert header.base_model is None
    assert header.trigger_word is None
    assert weights.step_of(header) is None


@pytest.mark.parametrize("cut", [1, 64, 128])
def test_cut_off_data_leaves_the_header_readable_but_not_whole(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "a.safetensors", lora(), bytes(128 - cut))
    assert weights.read_header(path).tensor_count == 2
    assert not weights.is_whole(path)


def test_trailing_bytes_are_not_whole(tmp_path: Path) -> None:
    assert not weights.is_whole(write(tmp_path / "a.safetensors", lora(), bytes(129)))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "only 0 bytes"),
        (b"\x01\x02", "only 2 bytes"),
        (struct.pack("<Q", 2**62) + b"{}", "too large"),
        (struct.pack("<Q", 100) + b"{}", "cut off"),
        (struct.pack("<Q", 4) + b"nope", "not JSON"),
        (struct.pack("<Q", 2) + b"[]", "not a JSON object"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "not JSON"),
    ],
)
def test_says_what_is_wrong_with_a_file_that_is_none(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=sentence):
        weights.read_header(path)
    assert not weights.is_whole(path)


@pytest.mark.parametrize(
    "entry",
    [
        7,
        {},
        {"dtype": "F16", "shape": [4], "data_offsets": [8]},
        {"dtype": "F16", "shape": [4], "data_offsets": [8, 0]},
        {"dtype": "F16", "shape": [-4], "data_offsets": [0, 8]},
        {"dtype": "F16", "shape": [True], "data_offsets": [0, 8]},
        {"dtype": 1, "shape": [4], "data_offsets": [0, 8]},
    ],
)
def test_refuses_a_tensor_without_type_shape_or_place(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(InvalidInput, match="damaged"):
        weights.read_header(write(tmp_path / "a.safetensors", {"t": entry}))


def test_refuses_metadata_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="metadata is not text"):
        weights.read_header(write(tmp_path / "a.safetensors", {"__metadata__": {"a": 1}}))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        weights.read_header(tmp_path / "none.safetensors")
    with pytest.raises(InvalidInput):
        weights.read_header(tmp_path)
    assert not weights.is_whole(tmp_path / "none.safetensors")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "a.safetensors"
    os.mkfifo(pipe)
    with pytest.raises(InvalidInput, match="not a file"):
        weights.read_header(pipe)


@pytest.mark.parametrize("noted", ["", "{", "[]", '{"step": "9"}', '{"step": true}', '{"step": -1}', "{}"])
def test_odd_training_info_tells_no_step(tmp_path: Path, noted: str) -> None:
    header = weights.read_header(
        write(tmp_path / "a.safetensors", lora({"training_info": noted}), bytes(128))
    )
    assert weights.step_of(header) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("weights") / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    with contextlib.suppress(InvalidInput):
        assert weights.read_header(path).file_bytes == 8 + len(content)
