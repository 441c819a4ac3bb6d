"""What a request for images resolves to: its LoRAs, and the base model that they were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.models.model_files import put_model

from lorapod.engines.inputs import ReceivedInputs
from lorapod.engines.port import Generation
from lorapod.engines.resolving import resolve
from lorapod.errors import NotFound
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.testing.records import make_record
from lorapod.wire.generation import GenerateRequest
from lorapod.workspace import Workspace

TRAINED = "train_0123456789ab"
BASE = "black-forest-labs/FLUX.1-dev"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "workspace")
    put_model(workspace.models / "loras" / "style.safetensors")
    put_model(workspace.output / TRAINED / "cat" / "cat.safetensors")
    put_model(workspace.output / "train_ffffffffffff" / "gone" / "gone.safetensors")
    return workspace


def resolved(workspace: Workspace, *loras: dict[str, Any], **fields: Any) -> Generation:
    def find(process_id: str) -> ProcessRecord:
        if process_id != TRAINED:
            raise NotFound(f"There is no process {process_id}.")
        return make_record(
            process_id=TRAINED,
            name="cat",
            folder="cat",
            training=TrainingDetails(trainer="ai-toolkit", base_model=BASE),
        )

    return resolve(
        GenerateRequest.model_validate({"prompt": "a cat", "loras": list(loras), **fields}),
        inputs=ReceivedInputs(),
        workspace=workspace,
        find=find,
        max_config_bytes=1000,
    )


@pytest.mark.parametrize(
    ("loras", "base"),
    [
        ([{"process_id": TRAINED}], BASE),
        ([{"path": f"output/{TRAINED}/cat/cat.safetensors"}], BASE),
        ([{"path": "models/loras/style.safetensors"}, {"process_id": TRAINED}], BASE),
        ([{"path": "models/loras/style.safetensors"}], None),
        ([{"path": "output/train_ffffffffffff/gone/gone.safetensors"}], None),
        ([], None),
    ],
    ids=["training", "its file", "beside another", "other file", "record gone", "no LoRA"],
)
def test_a_lora_brings_the_base_model_of_its_training(
    workspace: Workspace, loras: list[dict[str, Any]], base: str | None
) -> None:
    assert resolved(workspace, *loras).trained_on == base


def test_the_model_of_the_request_is_kept_beside_it(workspace: Workspace) -> None:
    generation = resolved(workspace, {"process_id": TRAINED}, model="other")
    assert (generation.model, generation.trained_on) == ("other", BASE)
