"""`compare` with an engine that draws squares: which cells there are, which are drawn, and what is answered."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.actions.desk import Desk
from tests.unit.models.model_files import put_model

from lorapod.engines.port import Generation, GenerationResult, GenerationRun
from lorapod.errors import InvalidInput
from lorapod.records.progress import StoredProgress
from lorapod.records.record import TaskDetails
from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record


@pytest.fixture(scope="module")
def trained(desk: Desk) -> str:
    """A finished training."""
    process_id: str = desk.stock()["process_status"]["process_id"]
    return process_id


@pytest.fixture
def training(desk: Desk, trained: str) -> str:
    """It, with checkpoints of three steps and final weights that no other test has compared."""
    folder = desk.root / "output" / trained / "cat"
    number = next(NUMBERS)
    for step in (250, 500, 750):
        put_model(folder / f"cat_{step:09d}.safetensors", data=bytes([step % 251, number]) * 64)
    put_model(folder / "cat.safetensors", data=bytes([1, number]) * 64)
    return trained


@pytest.fixture
def drawn(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[Generation]:
    """Every generation that the engine was asked for."""
    seen: list[Generation] = []
    generate = desk.engine.generate

    def look(generation: Generation, run: GenerationRun) -> GenerationResult:
        seen.append(generation)
        return generate(generation, run)

    monkeypatch.setattr(desk.engine, "generate", look)
    return seen


Compare = Callable[..., dict[str, Any]]
#: Makes each test's files other ones.
NUMBERS = itertools.count(1)
SMALL = {"width": 16, "height": 16, "sample_steps": 2}


@pytest.fixture
def compare(desk: Desk, training: str) -> Compare:
    def ask(**fields: Any) -> dict[str, Any]:
        asked = {**SMALL, "process_ids": [training], "prompts": ["a cat"], "seeds": [7], "wait": True}
        return desk.ask(type="compare", **asked | fields)

    return ask


def steps(answer: Mapping[str, Any]) -> list[int | None]:
    return [cell["step"] for cell in answer["cells"]]


def test_every_checkpoint_is_drawn(
    desk: Desk, training: str, compare: Compare, drawn: list[Generation]
) -> None:
    answer = compare(prompts=["a cat", "a dog"], seeds=[7, 8], weights=[0.5, 1])

    assert answer["status"] == "completed", answer
    assert answer["process_id"].startswith("compare_")
    assert len(answer["cells"]) == len(drawn) == 4 * 2 * 2 * 2
    assert steps(answer)[::8] == [250, 500, 750, 1]
    first = answer["cells"][0]
    assert {name: first[name] for name in ("process_id", "step", "weight", "prompt", "seed")} == {
        "process_id": training,
        "step": 250,
        "weight": 0.5,
        "prompt": "a cat",
        "seed": 7,
    }
    with Image.open(desk.root / first["path"]) as image:
        assert image.getpixel((0, 0)) == (7, 0, 0)
    with Image.open(desk.root / answer["grid_path"]) as grid:
        assert grid.format == "PNG"
    assert desk.engine.loads == 1
    assert (answer["progress"]["image"], answer["progress"]["total_images"]) == (32, 32)
    told = desk.ask(type="process_status", process_id=answer["process_id"])
    assert (told["cells"], told["grid_path"]) == (answer["cells"], answer["grid_path"])


def test_without_an_embedding_model_there_are_no_scores_but_a_warning(compare: Compare) -> None:
    answer = compare(steps=[250])
    assert "no scores" in answer["warnings"][0]
    assert not {"ranking", "recommended"} & set(answer)
    assert "scores" not in answer["cells"][0]
    assert compare(steps=[250], score=False)["warnings"] == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("all", [250, 500, 750, 1]),
        ("last:2", [750, 1]),
        ("last:9", [250, 500, 750, 1]),
        ([500, 250], [500, 250]),
    ],
)
def test_checkpoints_are_chosen(compare: Compare, asked: object, expected: list[int]) -> None:
    assert steps(compare(steps=asked)) == expected


def test_one_training_may_have_its_own_steps(compare: Compare, training: str) -> None:
    answer = compare(
        process_ids=[],
        loras=[{"process_id": training, "steps": [250]}, {"path": "models/loras/cat.safetensors"}],
    )
    assert [cell.get("process_id") for cell in answer["cells"]] == [training, None]
    assert [cell["lora"] for cell in answer["cells"]] == ["cat_000000250.safetensors", "cat.safetensors"]


def test_one_more_prompt_draws_only_that(desk: Desk, compare: Compare, drawn: list[Generation]) -> None:
    first = compare(prompts=["a cat"])
    drawn.clear()

    again = compare(prompts=["a cat", "a dog"])

    assert [generation.prompt for generation in drawn] == ["a dog"] * 4
    assert (again["drawn"], again["kept"]) == (4, 4)
    # Each comparison has its own files: those of the first can go. (`delete` waits for the events of a process, and this
    # worker's broker has no valid URL.)
    shutil.rmtree(desk.root / "output" / first["process_id"])
    assert all((desk.root / cell["path"]).is_file() for cell in again["cells"])
    drawn.clear()
    assert compare(prompts=["a dog", "a cat"])["kept"] == 8
    assert drawn == []


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [0.5]},
        {"seeds": [8]},
        {"negative_prompt": "blur"},
        {"width": 32},
        {"sample_steps": 3},
        {"guidance_scale": 4},
        {"model": "other"},
        {"params": {"colour": "red"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_the_picture_draws_it_again(
    compare: Compare, drawn: list[Generation], change: dict[str, Any]
) -> None:
    compare(steps=[250])
    compare(steps=[250], **change)
    assert len(drawn) == 2


def test_other_weights_in_the_same_file_are_drawn_again(
    desk: Desk, compare: Compare, training: str, drawn: list[Generation]
) -> None:
    compare(steps=[250])
    put_model(desk.root / f"output/{training}/cat/cat_000000250.safetensors", data=bytes([9]) * 128)
    compare(steps=[250])
    assert len(drawn) == 2


def test_weight_0_is_the_base_model_and_is_drawn_once(compare: Compare, drawn: list[Generation]) -> None:
    answer = compare(weights=[0])
    assert len(answer["cells"]) == 4
    assert [list(generation.loras) for generation in drawn] == [[]]


def test_a_lora_that_the_engine_refuses_is_left_out(
    desk: Desk, compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = desk.engine.generate

    def refuse(generation: Generation, run: GenerationRun) -> GenerationResult:
        if generation.loras[0].path.name == "cat_000000500.safetensors":
            raise InvalidInput("The LoRA cat_000000500 does not fit the model.")
        return generate(generation, run)

    monkeypatch.setattr(desk.engine, "generate", refuse)

    answer = compare(score=False)

    assert steps(answer) == [250, 750, 1]
    assert answer["warnings"] == [
        "cat_000000500.safetensors is left out: The LoRA cat_000000500 does not fit the model."
    ]
    failed = compare(steps=[500])
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "invalid_input")


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"process_ids": []}, "invalid_input", "process_ids, sweep_id or loras"),
        ({"process_ids": ["train_0123456789ab"]}, "not_found", "no process"),
        ({"steps": [999]}, "not_found", "no checkpoint of step 999"),
        ({"steps": "first:2"}, "invalid_input", "steps"),
        ({"loras": [{"path": "models/none.safetensors"}]}, "not_found", "no LoRA"),
        ({"loras": [{"path": "../x.safetensors"}]}, "unsafe_path", "outside"),
        ({"loras": [{"path": "a.safetensors", "steps": [1]}]}, "invalid_input", "a file is one checkpoint"),
        ({"engine": "none"}, "invalid_input", "no engine"),
        ({"width": 33}, "invalid_input", "even"),
        (
            {"prompts": [f"cat {number}" for number in range(64)], "seeds": list(range(10))},
            "invalid_input",
            "1000",
        ),
        ({"step": [1]}, "invalid_input", "steps"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value)[:20],
)
def test_what_cannot_be_compared_is_refused_before_the_start(
    desk: Desk, compare: Compare, fields: dict[str, Any], code: str, said: str
) -> None:
    refused = compare(**fields)
    assert refused["code"] == code, refused
    assert said in str(refused)


def test_a_process_without_checkpoints_is_refused(desk: Desk, compare: Compare) -> None:
    made = desk.ask(type="generate", prompt="a square")
    refused = compare(process_ids=[made["process_id"]])
    assert "is not a training" in refused["error"]


def test_nothing_strays(desk: Desk, compare: Compare) -> None:
    answer = compare()
    folder = desk.root / "output" / answer["process_id"]
    assert sorted(path.name for path in folder.iterdir()) == ["cells", "grid.png"]
    assert desk.strays() == []
    assert not (Path(desk.worker.scratch.path) / answer["process_id"]).exists()


SWEEP = "sweep_0123456789ab"
MEMBERS = ("train_0123456789a1", "train_0123456789a2", "train_0123456789a3")


@pytest.fixture(scope="module")
def swept(desk: Desk) -> str:
    """A sweep of three trainings; the last has no weights yet, and a fourth could not be started."""
    records = desk.worker.context.store.records
    for number, process_id in enumerate(MEMBERS, 1):
        name = f"mycat-{number:02d}"
        if process_id != MEMBERS[-1]:
            put_model(
                desk.root / "output" / process_id / name / f"{name}.safetensors", data=bytes([number]) * 128
            )
        records.create(
            make_record(
                process_id=process_id,
                name=name,
                folder=name,
                status=ProcessStatus.COMPLETED,
                progress=StoredProgress(step=number),
            )
        )
    shown = [{"variant": {"rank": 4}, "process_id": one, "status": "completed"} for one in MEMBERS]
    shown.append({"variant": {"rank": 13}, "status": "failed", "error": "is unlucky"})
    records.create(
        make_record(
            process_id=SWEEP,
            type="sweep",
            training=None,
            name="mycat",
            folder="",
            status=ProcessStatus.FAILED,
            task=TaskDetails(outcome={"processes": shown}),
        )
    )
    return SWEEP


@pytest.mark.parametrize(
    "named", [{"sweep_id": SWEEP}, {"process_ids": [SWEEP]}, {"loras": [{"process_id": SWEEP}]}]
)
def test_a_sweep_stands_for_its_trainings(desk: Desk, swept: str, named: Mapping[str, Any]) -> None:
    answer = desk.ask(type="compare", **SMALL, prompts=["a cat"], wait=True, **named)
    assert answer.get("status") == "completed", answer
    assert [(cell["process_id"], cell["step"]) for cell in answer["cells"]] == [
        (MEMBERS[0], 1),
        (MEMBERS[1], 2),
    ], swept


def test_a_sweeps_training_without_weights_is_named(desk: Desk, swept: str) -> None:
    answer = desk.ask(type="compare", **SMALL, prompts=["a cat"], sweep_id=swept, wait=False)
    assert answer["warnings"] == [f"{MEMBERS[2]} (mycat-03) is left out: it has no weights yet."]


def test_a_sweep_without_any_weights_is_refused(desk: Desk, swept: str) -> None:
    path = desk.root / "output" / MEMBERS[0] / "mycat-01" / "mycat-01.safetensors"
    other = desk.root / "output" / MEMBERS[1] / "mycat-02" / "mycat-02.safetensors"
    path.unlink()
    other.unlink()
    answer = desk.ask(type="compare", **SMALL, prompts=["a cat"], sweep_id=swept)
    assert answer["code"] == "not_found"
    assert swept in answer["error"]
