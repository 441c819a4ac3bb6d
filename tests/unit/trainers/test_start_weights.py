from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lorapod.errors import InvalidInput, NotFound
from lorapod.processes.order import TrainingOrder
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.start_weights import ParentLora, begin_with
from lorapod.workspace import Workspace

PROCESS_ID = "train_0123456789ab"


def write_lora(
    path: Path, *, rank: int = 4, notes: Mapping[str, str] | None = None, tensor: str = "a.lora_down.weight"
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = {"dtype": "F32", "shape": [rank, 1], "data_offsets": [0, 4 * rank]}
    header = json.dumps({"__metadata__": dict(notes or {}), tensor: entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * rank))
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


def parent(workspace: Workspace, **said: Any) -> ParentLora:
    order = TrainingOrder(
        trainer="builtin", config={}, start_from={"path": "models/loras/before.safetensors", **said}
    )
    found = ParentLora.of(order, PROCESS_ID, workspace)
    assert found is not None
    return found


def plan(workspace: Workspace, *, network: Any = None, model: Any = None) -> TrainingPlan:
    process = {
        "network": {"type": "lora", "linear": 4, "linear_alpha": 4} if network is None else network,
        "model": {"arch": "sd1"} if model is None else model,
    }
    return TrainingPlan(
        process_id=PROCESS_ID,
        name="after",
        config={"config": {"process": [process]}},
        run_folder=workspace.output / PROCESS_ID / "after",
        control_path=workspace.root / "control.db",
        total_steps=10,
    )


def source(workspace: Workspace) -> Path:
    return workspace.models / "loras" / "before.safetensors"


def test_what_fits_is_taken(workspace: Workspace) -> None:
    write_lora(source(workspace), notes={"ss_base_model_version": "sd_1.5", "ss_network_alpha": "4.0"})
    assert parent(workspace).check(plan(workspace)) == ()


def test_a_lora_that_does_not_say_its_base_model_is_taken_with_a_warning(workspace: Workspace) -> None:
    write_lora(source(workspace))
    (warning,) = parent(workspace).check(plan(workspace))
    assert "before.safetensors does not say which base model" in warning


def test_everything_that_does_not_fit_is_named(workspace: Workspace) -> None:
    write_lora(
        source(workspace),
        rank=8,
        notes={"ss_base_model_version": "sdxl_base_v1-0", "ss_network_alpha": "16"},
    )
    with pytest.raises(InvalidInput) as caught:
        parent(workspace).check(plan(workspace, network={"linear": 4}))
    assert [problem["error"] for problem in caught.value.details] == [
        "its rank is 8, and the config asks for 4",
        "its alpha is 16, and the config asks for 1",
        "it was trained for sdxl, and the config trains sd1",
    ]


def test_what_its_training_said_counts_before_its_header(workspace: Workspace) -> None:
    write_lora(source(workspace), notes={"ss_base_model_version": "sd_v1", "ss_network_alpha": "4"})
    with pytest.raises(InvalidInput) as caught:
        parent(workspace, arch="flux", alpha=2, network="lokr").check(plan(workspace))
    assert [problem["error"] for problem in caught.value.details] == [
        "it is a lokr, and the config trains a lora",
        "its alpha is 2, and the config asks for 4",
        "it was trained for flux, and the config trains sd1",
    ]


def test_a_file_that_is_no_lora_is_refused(workspace: Workspace) -> None:
    write_lora(source(workspace), tensor="model.weight")
    with pytest.raises(InvalidInput, match="is no LoRA"):
        parent(workspace).check(plan(workspace))


def test_a_file_that_is_cut_off_is_refused(workspace: Workspace) -> None:
    path = write_lora(source(workspace))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InvalidInput, match="is cut off"):
        parent(workspace).check(plan(workspace))


def test_a_file_that_is_gone_is_refused_until_the_training_has_a_checkpoint(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="is gone"):
        parent(workspace).check(plan(workspace))
    write_lora(
        workspace.output / PROCESS_ID / "after" / "after_000000002.safetensors",
        notes={"training_info": json.dumps({"step": 2, "epoch": 0})},
    )
    assert parent(workspace).check(plan(workspace)) == ()


@pytest.mark.parametrize("links", [True, False])
def test_a_process_keeps_the_file_when_its_source_is_removed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    if not links:

        def refused(_path: Path, _target: Path) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    content = write_lora(source(workspace)).read_bytes()
    before = parent(workspace)
    before.keep()
    source(workspace).unlink()
    before.keep()
    assert before.weights.path.read_bytes() == content
    assert [path.name for path in before.kept.parent.iterdir()] == ["start_from.safetensors"]
    before.check(plan(workspace))


def test_the_config_names_the_file_and_its_parent(workspace: Workspace) -> None:
    weights = parent(workspace, process_id="train_000000000001", step=20, arch="sd1").weights
    config: dict[str, Any] = {"config": {"process": [{"network": {"linear": 4}}]}, "meta": {"version": "1"}}
    begin_with(config, weights)
    assert config["config"]["process"][0]["network"]["pretrained_lora_path"] == str(weights.path)
    assert config["meta"] == {
        "version": "1",
        "start_from": {"process_id": "train_000000000001", "step": 20, "file": "before.safetensors"},
    }
    with pytest.raises(InvalidInput, match="pretrained_lora_path already"):
        begin_with(config, weights)
    with pytest.raises(InvalidInput, match="trains no LoRA"):
        begin_with({"config": {"process": [{}]}}, weights)
