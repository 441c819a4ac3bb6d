"""`datasets` and `dataset` through a whole worker."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.tiny_tokenizers import make_clip, make_t5
from tests.unit.datasets.library_bench import picture

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    settings = Settings(
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        max_reply_bytes=200_000,
    )
    opened = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    opened.start()
    yield opened
    await asyncio.to_thread(opened.close)


async def ask(worker: Worker, type_: str, **fields: Any) -> dict[str, Any]:
    answer = await worker.answer({"id": "job", "input": {"type": type_, **fields}}, RunPodJob(job_id="job"))
    assert len(json.dumps(answer)) <= 200_000
    return answer


def make(worker: Worker, name: str, count: int) -> None:
    folder = worker.services.workspace.training_data / name
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}.png").write_bytes(picture(size=(300 + number, 300)))
        (folder / f"{number:03}.txt").write_text(f"a cat, number {number}")


async def test_datasets_are_listed_with_the_trainings_that_used_them(worker: Worker) -> None:
    for name in ("b", "a", "c"):
        make(worker, name, 2)
    trained = await ask(worker, "train", config={"steps": 2}, dataset={"training_name": "a"}, wait=True)
    first = await ask(worker, "datasets", limit=2)
    second = await ask(worker, "datasets", limit=2, cursor=first["next_cursor"])
    assert [one["training_name"] for one in [*first["datasets"], *second["datasets"]]] == ["a", "b", "c"]
    assert "next_cursor" not in second
    shown = first["datasets"][0]
    assert (shown["path"], shown["images"], shown["videos"], shown["captions"]) == (
        "training_data/a",
        2,
        0,
        2,
    )
    assert shown["used_by"] == [trained["process_id"]]
    assert first["datasets"][1]["used_by"] == []


async def test_pages_of_a_large_dataset_fit_their_replies(worker: Worker) -> None:
    make(worker, "cats", 120)
    names: list[str] = []
    cursor = None
    pages = 0
    while True:
        page = await ask(
            worker,
            "dataset",
            training_name="cats",
            thumbnail_px=256,
            **({"cursor": cursor} if cursor else {}),
        )
        assert page["images"] == 120
        names += [item["name"] for item in page["items"]]
        pages += 1
        if (cursor := page.get("next_cursor")) is None:
            break
    assert names == [f"{number:03}.png" for number in range(120)]
    item = page["items"][-1]
    assert (item["path"], item["kind"], item["caption"]) == (
        "training_data/cats/119.png",
        "image",
        "a cat, number 119",
    )
    kind, _, data = item["thumbnail"].partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as thumbnail:
        assert max(thumbnail.size) == 256


async def test_captions_are_counted_in_tokens_of_the_model_that_will_be_trained(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    make(worker, "cats", 3)
    folder = worker.services.workspace.training_data / "cats"
    (folder / "001.txt").write_text("a " * 90)

    async def figures(**fields: Any) -> dict[str, Any]:
        page = await ask(worker, "dataset", training_name="cats", thumbnail_px=0, **fields)
        found: dict[str, Any] = page["caption_statistics"]
        return found

    plain = await figures()
    assert not {"tokens", "no_tokens"} & plain.keys()
    without = await figures(preset="sdxl")
    assert "tokens" not in without
    assert without["no_tokens"] == (
        "Lengths are in words: the tokenizer of stabilityai/stable-diffusion-xl-base-1.0 is not on this worker."
    )
    assert without["words_max"] == 90
    snapshot = tmp_path / "hub" / "models--stabilityai--stable-diffusion-xl-base-1.0" / "snapshots" / "abc"
    make_clip(snapshot / "tokenizer")
    counted = await figures(preset="sdxl")
    assert counted["tokens"] == {
        "tokenizer": "stabilityai/stable-diffusion-xl-base-1.0/tokenizer",
        "limit": 77,
        "min": counted["tokens"]["min"],
        "median": counted["tokens"]["median"],
        "max": 92,
        "cut_count": 1,
        "cut": ["001.png"],
    }
    make_t5(worker.services.workspace.models / "mine" / "tokenizer")
    own = await figures(base_model="models/mine", arch="wan21")
    assert (own["tokens"]["limit"], own["tokens"]["cut"]) == (512, [])
    assert "limit" not in (await figures(base_model="models/mine"))["tokens"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "invalid_input"),
        ({"training_name": "cats", "path": "training_data/cats"}, "invalid_input"),
        ({"training_name": "dogs"}, "not_found"),
        ({"training_name": "../models"}, "invalid_input"),
        ({"path": "../.."}, "unsafe_path"),
        ({"path": "training_data/cats/000.png"}, "not_found"),
        ({"training_name": "cats", "thumbnail_px": 5000}, "invalid_input"),
        ({"training_name": "cats", "resolution": 0}, "invalid_input"),
        ({"training_name": "cats", "resolution": []}, "invalid_input"),
        ({"training_name": "cats", "caption_ext": "../x"}, "invalid_input"),
        ({"training_name": "cats", "preset": "sdxll"}, "invalid_input"),
        ({"training_name": "cats", "preset": "sdxl", "arch": "sdxl"}, "invalid_input"),
        ({"training_name": "cats", "base_model": ""}, "invalid_input"),
    ],
)
async def test_bad_input_is_a_sentence(worker: Worker, fields: dict[str, Any], code: str) -> None:
    make(worker, "cats", 1)
    answer = await ask(worker, "dataset", **fields)
    assert answer["code"] == code, answer


async def test_any_folder_of_the_workspace_can_be_shown(worker: Worker) -> None:
    make(worker, "cats", 1)
    page = await ask(worker, "dataset", path="/workspace/training_data/cats", resolution=[256, 512])
    assert (page["path"], len(page["items"])) == ("training_data/cats", 1)
