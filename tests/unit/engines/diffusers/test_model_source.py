from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from lorapod.engines.diffusers.model_source import ModelSource, check_loras, find_model
from lorapod.engines.port import LoraUse
from lorapod.errors import InvalidInput, NotFound, WorkerError
from lorapod.model_paths import ModelPaths
from lorapod.workspace import Workspace

Find = Callable[[str], ModelSource]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def find(workspace: Workspace, tmp_path: Path) -> Find:
    paths = ModelPaths(workspace=workspace)
    return lambda text: find_model(text, paths, hub_cache=tmp_path / "hub", offline=False)


def weights(path: Path, *tensors: str, cut_bytes: int = 0) -> Path:
    entries = {
        name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [16 * place, 16 * place + 16]}
        for place, name in enumerate(tensors)
    }
    header = json.dumps(entries).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(16 * len(tensors))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[: len(data) - cut_bytes])
    return path


def layout(folder: Path) -> Path:
    weights(folder / "unet" / "model.safetensors", "w")
    (folder / "model_index.json").write_text("{}")
    return folder


@pytest.mark.parametrize("text", ["tiny", "models/tiny", "/workspace/models/tiny"])
def test_a_folder_in_diffusers_layout(find: Find, workspace: Workspace, text: str) -> None:
    folder = layout(workspace.models / "tiny")
    found = find(text)
    assert found.model == str(folder)
    assert found.config is None


def test_a_file_with_the_configuration_beside_it(find: Find, workspace: Workspace) -> None:
    path = weights(workspace.models / "big.safetensors", "w")
    assert find("big.safetensors") == ModelSource(
        model=str(path), config=None, stamp=find("big.safetensors").stamp
    )
    layout(workspace.models / "big")
    assert find("big.safetensors").config == workspace.models / "big"


def test_what_was_written_anew_is_another_model(find: Find, workspace: Workspace) -> None:
    layout(workspace.models / "tiny")
    before = find("tiny")
    assert find("tiny") == before
    weights(workspace.models / "tiny" / "unet" / "model.safetensors", "w", "v")
    assert find("tiny") != before


def test_a_hub_id_is_left_to_the_child(find: Find) -> None:
    assert find("owner/model-1.5") == ModelSource(model="owner/model-1.5")


def test_offline_only_what_was_downloaded(workspace: Workspace, tmp_path: Path) -> None:
    paths, cache = ModelPaths(workspace=workspace), tmp_path / "hub"
    (cache / "models--owner--here/snapshots/abc").mkdir(parents=True)
    (cache / "models--owner--here/snapshots/abc/model_index.json").write_text("{}")
    # What is left of a cached model of another endpoint.
    (cache / "models--owner--elsewhere/snapshots/abc").mkdir(parents=True)
    (cache / "models--owner--elsewhere/snapshots/abc/model_index.json").symlink_to("/nowhere")
    assert find_model("owner/here", paths, hub_cache=cache, offline=True).model == "owner/here"
    with pytest.raises(NotFound, match="HF_HUB_OFFLINE"):
        find_model("owner/elsewhere", paths, hub_cache=cache, offline=True)


@pytest.mark.parametrize("text", ["/etc/passwd", "../../etc", "~/model", "a b", "\0", "a/b/c", "", " "])
def test_what_may_not_be_read(find: Find, text: str) -> None:
    with pytest.raises(WorkerError) as refused:
        find(text)
    assert refused.value.message.startswith("model: ")


def test_folders_and_files_that_cannot_be_loaded(find: Find, workspace: Workspace) -> None:
    (workspace.models / "empty").mkdir()
    pickled = layout(workspace.models / "pickled")
    (pickled / "unet" / "model.safetensors").rename(pickled / "unet" / "model.bin")
    (layout(workspace.models / "coded") / "unet" / "own.py").touch()
    (workspace.models / "old.ckpt").touch()
    (workspace.models / "wrong.safetensors").write_bytes(b"no")
    weights(workspace.models / "torn.safetensors", "w", cut_bytes=1)
    weights(workspace.models / "lora.safetensors", "a.lora_A.weight")
    said = {
        "lora.safetensors": "is a LoRA, not a base model",
        "empty": "no model_index.json",
        "pickled": "no .safetensors weights",
        "coded": "contains Python code",
        "old.ckpt": "is not a .safetensors file",
        "wrong.safetensors": "only 2 bytes",
        "torn.safetensors": "cut off",
    }
    for name, words in said.items():
        with pytest.raises(InvalidInput, match=words):
            find(name)


def test_loras_are_looked_at(tmp_path: Path) -> None:
    def use(path: Path) -> list[LoraUse]:
        return [LoraUse(path=path, name=path.stem)]

    check_loras(use(weights(tmp_path / "lora.safetensors", "a.lora_A.weight", "a.lora_B.weight")))
    for path, error, words in (
        (weights(tmp_path / "whole.safetensors", "a.weight"), InvalidInput, "is not a LoRA"),
        (weights(tmp_path / "torn.safetensors", "a.lora_A.weight", cut_bytes=1), InvalidInput, "cut off"),
        (tmp_path / "gone.safetensors", NotFound, "The LoRA gone cannot be loaded"),
        (weights(tmp_path / "lora.pt", "a.lora_A.weight"), InvalidInput, "other formats"),
    ):
        with pytest.raises(error, match=words):
            check_loras(use(path))
