from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.actions.desk import Desk
from tests.unit.models.model_files import put_model

from lorapod.actions.start_lora import StartLoras
from lorapod.errors import NotFound, UnsafePath
from lorapod.wire.start_from import StartFrom
from lorapod.workspace import Workspace


def step(number: int) -> str:
    return json.dumps({"step": number, "epoch": 0})


@pytest.fixture(scope="module")
def trained(desk: Desk) -> str:
    """A completed training with final weights of step 30 and a checkpoint of step 20."""
    desk.ask(
        type="upload_training_data", training_name="pictures", files=[{"filename": "a.txt", "content": ""}]
    )
    done = desk.ask(type="train", config="name: cat", wait=True)
    assert done["status"] == "completed", done
    folder = desk.root / "output" / done["process_id"] / "cat"
    put_model(folder / "cat.safetensors", training_info=step(30))
    put_model(folder / "cat_000000020.safetensors", training_info=step(20))
    put_model(folder / "cat_000000025.safetensors", training_info=step(25), data=b"cut off")
    return str(done["process_id"])


@pytest.fixture
def loras(desk: Desk) -> StartLoras:
    return StartLoras(processes=desk.worker.services.processes, workspace=Workspace(root=desk.root))


@pytest.mark.parametrize(
    ("asked", "name", "number"),
    [(None, "cat.safetensors", 30), (30, "cat.safetensors", 30), (20, "cat_000000020.safetensors", 20)],
)
def test_a_training_and_a_step(
    loras: StartLoras, trained: str, asked: int | None, name: str, number: int
) -> None:
    found = loras.find(StartFrom(process_id=trained, step=asked))
    assert (found["path"], found["step"]) == (f"output/{trained}/cat/{name}", number)
    assert found["process_id"] == trained


def test_a_step_without_a_whole_checkpoint_names_those_that_there_are(
    loras: StartLoras, trained: str
) -> None:
    with pytest.raises(NotFound, match="no checkpoint of step 25") as caught:
        loras.find(StartFrom(process_id=trained, step=25))
    assert "20, 30" in caught.value.hint


def test_a_file_in_a_training_s_output_is_known_as_its(loras: StartLoras, trained: str) -> None:
    path = f"output/{trained}/cat/cat_000000020.safetensors"
    assert loras.find(StartFrom(path=path))["process_id"] == trained


@pytest.mark.parametrize("name", ["models/loras/mine.safetensors", "mine.safetensors", "mine"])
def test_a_file_of_the_models(loras: StartLoras, desk: Desk, name: str) -> None:
    put_model(desk.root / "models/loras/mine.safetensors")
    assert loras.find(StartFrom(path=name)) == {"path": "models/loras/mine.safetensors"}


def test_a_file_that_is_not_there_and_one_outside(loras: StartLoras, desk: Desk, tmp_path: Path) -> None:
    put_model(tmp_path / "theirs.safetensors")
    with pytest.raises(NotFound, match="there is no file 'models/loras/none'"):
        loras.find(StartFrom(path="models/loras/none"))
    with pytest.raises(UnsafePath):
        loras.find(StartFrom(path=str(tmp_path / "theirs.safetensors")))
    answer = desk.ask(type="train", preset="sd15", start_from={"path": "none"})
    assert answer["code"] == "not_found"
    assert answer["details"] == [{"field": "start_from.path", "error": "there is no such file"}]


@pytest.mark.parametrize(
    "start", [{}, {"process_id": "train_0123456789ab", "path": "a"}, {"path": "a", "step": 3}]
)
def test_what_names_no_lora_or_two_is_refused(desk: Desk, start: dict[str, object]) -> None:
    assert desk.ask(type="train", preset="sd15", start_from=start)["code"] == "invalid_input"
