"""LoRA tools on the files of the trainers: saved by the real AI Toolkit, and trained by it and by `builtin`."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from tests.integration.trainers.test_ai_toolkit_worker import config
from tests.integration.trainers.toolkit_loras import MISSING, is_installed, save_loras
from tests.tiny_loras import changes_of
from tests.tiny_models import place_tiny

from lorapod.actions.action import RunPodJob
from lorapod.lora_tools.job import LoraToolAnswer, LoraToolJob
from lorapod.settings import Settings
from lorapod.testing.pictures import draw_dataset
from lorapod.worker import Worker

pytestmark = [
    pytest.mark.ai_toolkit,
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.timeout(500),
    pytest.mark.skipif(not is_installed(), reason=MISSING),
]

#: The architecture that a file is for, the form in which AI Toolkit saves it, and one of its modules, by its names.
SAVED = {
    "flux": ("diffusers", "single_transformer_blocks.0.attn.to_k"),
    "qwen_image": ("comfyui", "transformer_blocks.0.attn.add_k_proj"),
    "zimage": ("comfyui", "layers.0.attention.to_k"),
    "wan": ("comfyui", "blocks.0.cross_attn.k blocks.0.attn2.to_k"),
    "sdxl": ("kohya", "down_blocks_1_attentions_0_transformer_blocks_1_attn2_to_k"),
}
Tool = Callable[..., tuple[LoraToolAnswer, Path]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_loras(folder, list(SAVED))
    return folder


@pytest.fixture
def tool(saved: Path, tmp_path: Path) -> Tool:
    """Run a tool on some of the files."""

    def use(kind: str, sources: list[Path], **order: Any) -> tuple[LoraToolAnswer, Path]:
        from lorapod.lora_tools.child.work import run

        target = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        job = LoraToolJob(
            kind=kind,
            order={"name": "new", **order},
            sources=sources,
            target=target,
            answer=tmp_path / "answer.json",
        )
        return run(job), target

    return use


def change_of(path: Path, module: str) -> Any:
    """The change of the one module that has one of these names, with `.` or `_` between their parts."""
    (change,) = (
        change
        for name, change in changes_of(path).items()
        if any(one.replace(".", "_") in name.replace(".", "_") for one in module.split())
    )
    return change


@pytest.mark.parametrize("arch", SAVED)
def test_every_tool_reads_what_ai_toolkit_saves(tool: Tool, saved: Path, arch: str) -> None:
    source = saved / f"{arch}.safetensors"
    form, module = SAVED[arch]
    before = change_of(source, module)

    shares = [{"path": "a", "weight": 0.5}, {"path": "a", "weight": 0.25}]
    merged, path = tool("merge", [source, source], loras=shares, method="cat")
    assert (merged.rank, merged.key_format) == (8, form)
    assert (change_of(path, module) - 0.75 * before).norm() < 0.01 * before.norm()

    resized, path = tool("resize", [source], path="a", rank=2)
    assert (resized.rank, resized.modules, resized.key_format) == (2, merged.modules, form)
    assert resized.kept_energy is not None
    assert 0.1 < (change_of(path, module) - before).norm() / before.norm() < 0.9

    for wanted in {"diffusers", "kohya", "comfyui"} - {form}:
        converted, path = tool("convert", [source], path="a", format=wanted)
        assert converted.key_format == wanted
        if arch == "flux":  # kohya's form has several of its matrices in one
            path = tool("convert", [path], path="a", format=form)[1]
        assert (change_of(path, module) - before).norm() < 0.01 * before.norm()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    root = tmp_path_factory.mktemp("worker")
    settings = Settings(
        workspace_path=root / "workspace",
        scratch_path=root / "scratch",
        allow_cpu=True,
        disk_min_free_bytes=0,
        warm_trainer=False,
    )
    worker = Worker.create(settings)
    place_tiny(worker.services.workspace.models / "tiny")
    draw_dataset(worker.services.workspace.training_data / "circles", count=4)
    worker.start()
    yield worker
    await asyncio.to_thread(worker.close)


async def ask(worker: Worker, kind: str, **fields: Any) -> dict[str, Any]:
    answer = await worker.answer({"id": "1", "input": {"type": kind, **fields}}, RunPodJob(job_id="1"))
    assert "error" not in answer, answer
    return answer


@pytest.mark.asyncio(loop_scope="module")
async def test_loras_of_both_trainers_become_one_that_diffusers_draws_with(worker: Worker) -> None:
    trained = []
    for trainer in ("ai-toolkit", "builtin"):
        asked = config(steps=4)
        asked["config"]["name"] = trainer.replace("-", "_")
        asked["config"]["process"][0]["train"]["lr"] = 0.02
        done = await ask(
            worker,
            "train",
            config=asked,
            dataset={"training_name": "circles"},
            trainer=trainer,
            wait=True,
        )
        assert done["status"] == "completed", done
        trained.append(done["process_id"])

    loras = [{"process_id": process_id} for process_id in trained]
    merged = await ask(worker, "merge_loras", loras=loras, name="both", wait=True)
    assert (merged["status"], merged["rank"]) == ("completed", 8), merged
    small = await ask(worker, "resize_lora", path=merged["path"], energy=0.9, name="small", wait=True)
    assert small["kept_energy"] >= 0.9
    form = await ask(
        worker, "convert_lora", process_id=trained[0], format="diffusers", name="named", wait=True
    )
    assert form["format"] == "diffusers"

    draw = {"prompt": "a circle", "model": "models/tiny", "width": 64, "height": 64, "steps": 2, "seed": 1}
    images = []
    for lora in (None, trained[0], form["path"], merged["path"], small["path"]):
        chosen = [] if lora is None else [{"path" if "/" in lora else "process_id": lora}]
        answer = await ask(worker, "generate", engine="diffusers", loras=chosen, wait=True, **draw)
        # The file has the LoRA's name in it, too.
        image = Image.open(io.BytesIO(base64.b64decode(answer["images"][0]["data"])))
        images.append(image.convert("RGB").tobytes())
    assert images[1] == images[2]
    assert len(set(images)) == 4
