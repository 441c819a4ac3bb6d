"""`merge_loras`, `resize_lora` and `convert_lora` through a whole worker, with the real child."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_loras import SD_MODULES, lora_tensors, put_lora

from lorapod import weights
from lorapod.actions.action import RunPodJob
from lorapod.errors import Conflict
from lorapod.files.digests import DigestBook
from lorapod.lora_tools.task import LoraToolKind, ToolTurns
from lorapod.processes.order import TaskOrder, read_order
from lorapod.processes.task import TaskStopped
from lorapod.records.progress import StoredProgress
from lorapod.settings import Settings
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

pytestmark = pytest.mark.torch

Answer = dict[str, Any]


class Bench:
    """A worker with two LoRAs of one base model."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.workspace = worker.services.workspace
        self.loras = self.workspace.models / "loras"
        put_lora(
            self.loras / "cat.safetensors",
            lora_tensors(rank=4, seed=1, dtype="bfloat16"),
            trigger_word="ohwx",
        )
        put_lora(
            self.loras / "ink.safetensors",
            lora_tensors(rank=2, seed=2, dtype="bfloat16"),
            trigger_word="inky",
        )

    async def ask(self, type_: str, **fields: Any) -> Answer:
        return await self.worker.answer(
            {"id": "j", "input": {"type": type_, **fields}}, RunPodJob(job_id="j")
        )

    async def merge(self, **fields: Any) -> Answer:
        usual = {
            "loras": [
                {"path": "models/loras/cat.safetensors", "weight": 0.8},
                {"path": "models/loras/ink.safetensors", "weight": 0.5},
            ],
            "name": "both",
            "wait": True,
        }
        return await self.ask("merge_loras", **usual | fields)

    async def log(self, process_id: str) -> str:
        return str((await self.ask("logs", process_id=process_id)).get("text"))

    def put(self, name: str, tensors: Any = None) -> str:
        path = put_lora(self.loras / f"{name}.safetensors", tensors or lora_tensors())
        return self.workspace.relative(path)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    settings = Settings(
        workspace_path=tmp_path / "workspace", scratch_path=tmp_path / "scratch", disk_min_free_bytes=0
    )
    opened = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    opened.start()
    try:
        yield Bench(opened)
    finally:
        await asyncio.to_thread(opened.close)


async def test_a_merge_ends_with_the_card_of_the_new_lora(bench: Bench) -> None:
    before = {path: path.read_bytes() for path in bench.loras.iterdir()}
    await bench.ask("edit_model", model="models/loras/cat.safetensors", tags=["animal"], license="CC0")

    done = await bench.merge(method="svd")

    assert done["status"] == "completed", done
    assert done["process_id"].startswith("merge_")
    told = await bench.ask("process_status", process_id=done["process_id"])
    for answer in (done, told):
        assert (answer["path"], answer["rank"]) == ("models/loras/both.safetensors", 4)
        assert 0 < answer["kept_energy"] < 1
        assert (answer["format"], answer["dtypes"], answer["modules"]) == (
            "diffusers",
            ["BF16"],
            len(SD_MODULES),
        )
        card = answer["model"]
        assert (card["kind"], card["rank"], card["trigger_words"]) == ("lora", 4, ["ohwx", "inky"])
        assert card["tags"] == ["animal"]
        assert "license" not in card
        assert card["sha256"] == answer["sha256"]
        made_by = card["metadata"]["lorapod.made_by"]
        assert (made_by["tool"], made_by["method"]) == ("merge", "svd")
        assert [source["weight"] for source in made_by["loras"]] == [0.8, 0.5]
    digests = DigestBook(workspace=bench.workspace)
    assert digests.sha256(bench.loras / "both.safetensors") == done["sha256"]
    assert {path: path.read_bytes() for path in before} == before
    incoming = bench.workspace.models / ".incoming"
    assert list(incoming.iterdir()) == []


async def test_a_lora_is_resized_and_converted(bench: Bench) -> None:
    small = await bench.ask(
        "resize_lora", path="models/loras/cat.safetensors", rank=2, name="sub/small", wait=True
    )
    kohya = await bench.ask(
        "convert_lora", path=small["path"], format="kohya", name="kohya.safetensors", wait=True
    )

    assert (small["path"], small["rank"]) == ("models/loras/sub/small.safetensors", 2), small
    assert small["process_id"].startswith("resize_")
    assert (kohya["path"], kohya["rank"], kohya["format"]) == (
        "models/loras/kohya.safetensors",
        2,
        "kohya",
    ), kohya
    assert kohya["process_id"].startswith("convert_")
    assert "kept_energy" not in kohya
    header = weights.read_header(bench.loras / "kohya.safetensors")
    assert header.trigger_word == "ohwx"


async def test_what_cannot_be_merged_is_refused_at_once(bench: Bench) -> None:
    """Before there is a process."""
    cat, ink = "models/loras/cat.safetensors", "models/loras/ink.safetensors"
    flux = bench.put("flux", lora_tensors({"transformer.single_transformer_blocks.0.attn.to_q": (64, 64)}))
    lokr = bench.put(
        "lokr", {"lora_unet_a.lokr_w1": lora_tensors()["unet.down_blocks.0.resnets.0.conv1.lora_A.weight"]}
    )
    dora = lora_tensors()
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    dora[f"{name}.lora_magnitude_vector"] = dora[f"{name}.lora_B.weight"][:, 0].clone()
    wide = {name: (16, 8)}
    cut = bench.loras / "cut.safetensors"
    cut.write_bytes((bench.loras / "cat.safetensors").read_bytes()[:-10])
    (bench.loras / "text.safetensors").write_bytes(b"no weights")
    lonely = lora_tensors()
    del lonely[f"{name}.lora_B.weight"]
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"loras": []}, "invalid_input", "loras"),
        ({"loras": [{"path": cat}, {"path": cat, "weight": 0.3}]}, "invalid_input", "there twice"),
        ({"loras": [{"path": cat, "weight": 0}]}, "invalid_input", "every weight is 0"),
        ({"loras": [{"path": cat}, {"path": flux}]}, "invalid_input", "sd1 and flux.safetensors for flux"),
        ({"loras": [{"path": cat}, {"path": lokr}]}, "unsupported", "LoKr"),
        ({"loras": [{"path": cat}, {"path": bench.put("dora", dora)}]}, "unsupported", "DoRA"),
        (
            {"loras": [{"path": cat}, {"path": bench.put("wide", lora_tensors(wide))}]},
            "invalid_input",
            "16 x 8",
        ),
        ({"loras": [{"path": cat}, {"path": bench.put("lonely", lonely)}]}, "invalid_input", "no up matrix"),
        ({"loras": [{"path": "models/loras/cut.safetensors"}]}, "invalid_input", "cut off"),
        ({"loras": [{"path": "models/loras/text.safetensors"}]}, "invalid_input", "safetensors"),
        ({"loras": [{"path": "models/loras/none.safetensors"}]}, "not_found", "none.safetensors"),
        ({"loras": [{"path": "../../etc/passwd"}]}, "unsafe_path", "outside"),
        ({"name": "cat"}, "conflict", "models/loras/cat.safetensors already"),
        ({"name": "../cat"}, "invalid_input", "name"),
        ({"name": "/tmp/cat"}, "invalid_input", "name"),
        ({"name": "trained/cat"}, "invalid_input", "outputs of trainings"),
        ({"method": "sum"}, "invalid_input", "method"),
        ({"density": 1.5, "method": "ties"}, "invalid_input", "density"),
        ({"loras": [{"path": cat}, {"path": ink, "weight": 11}]}, "invalid_input", "weight"),
    ]
    (bench.loras / "trained").symlink_to(bench.workspace.output)
    for fields, code, words in cases:
        answer = await bench.merge(**fields)
        assert (answer.get("code"), words in str(answer)) == (code, True), (fields, answer)
    assert (await bench.ask("processes"))["count"] == 0


async def test_what_cannot_be_resized_is_refused_at_once(bench: Bench) -> None:
    for fields, words in (
        ({"rank": 4}, "has the rank 4; 4 is not smaller"),
        ({}, "rank or energy"),
        ({"rank": 2, "energy": 0.5}, "rank or energy"),
        ({"energy": 1.0}, "energy"),
        ({"rank": 2, "path": None}, "path or process_id"),
    ):
        answer = await bench.ask(
            "resize_lora", **{"path": "models/loras/cat.safetensors", "name": "x", **fields}
        )
        assert (answer.get("code"), words in str(answer)) == ("invalid_input", True), (fields, answer)


async def test_nan_fails_the_process_with_its_module(bench: Bench) -> None:
    tensors = lora_tensors()
    next(iter(tensors.values()))[0, 0] = float("nan")
    path = bench.put("nan", tensors)

    done = await bench.ask("convert_lora", path=path, format="kohya", name="new", wait=True)

    assert done["status"] == "failed"
    assert done["failure"]["code"] == "invalid_input"
    assert "nan.safetensors holds NaN" in done["failure"]["message"]
    assert not (bench.loras / "new.safetensors").exists()
    assert list((bench.workspace.models / ".incoming").iterdir()) == []


async def test_a_tool_takes_no_gpu_and_ends_when_it_is_cancelled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every slot taken by another process, it runs; while it runs, it is stopped."""
    slots = bench.worker.context.slots
    held = await asyncio.to_thread(slots.acquire, lambda: False, None)
    assert held is not None
    wide = {f"unet.up_blocks.{number}.attentions.0.proj_in": (3000, 3000) for number in range(60)}
    path = bench.put("wide", lora_tensors(wide, rank=4))
    began = await bench.ask("merge_loras", loras=[{"path": path}], method="dare", name="slow", wait=False)
    process_id = began["process_id"]

    while "modules done" not in await bench.log(process_id):  # noqa: ASYNC110 - what is waited for is on a disk
        await asyncio.sleep(0.05)
    await bench.ask("cancel", process_id=process_id, grace_s=5)
    while (seen := await bench.ask("process_status", process_id=process_id))["status"] != "cancelled":
        assert seen["status"] in {"running", "stopping"}, seen
        await asyncio.sleep(0.05)

    slots.release(held)
    assert not (bench.loras / "slow.safetensors").exists()
    assert list((bench.workspace.models / ".incoming").iterdir()) == []
    assert "path" not in seen


async def test_a_name_is_free_for_the_process_that_has_put_its_lora_there(bench: Bench) -> None:
    """Its worker died after that and before the record said so: the next one makes the LoRA again."""
    done = await bench.merge()
    kind = LoraToolKind(
        name="merge", workspace=bench.workspace, models=bench.worker.services.models, turns=ToolTurns()
    )
    order = read_order(TaskOrder, bench.worker.context.store.orders, done["process_id"])

    assert kind.plan(done["process_id"], order).work.needs_slot is False
    with pytest.raises(Conflict, match="already"):
        kind.plan("merge_000000000000", order)


def test_one_tool_waits_for_the_other_and_can_be_stopped() -> None:
    class Waiting:
        """A run that is stopped once it has said that it waits."""

        detail: str | None = None

        def progress(self, progress: StoredProgress) -> None:
            self.detail = progress.detail

        def stopped(self) -> bool:
            return self.detail is not None

    turns = ToolTurns()
    waiting: Any = Waiting()
    with turns.of(waiting), pytest.raises(TaskStopped), turns.of(waiting):
        pytest.fail("two at once")
    assert waiting.detail == "waiting for another LoRA tool"
    with turns.of(waiting):
        pass
