"""LoRA tools that are killed in the middle: nothing half written is ever seen, and a resume or a second call makes it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.line_worker import LineWorker
from tests.tiny_loras import lora_tensors, put_lora

from lorapod import weights

pytestmark = [pytest.mark.torch, pytest.mark.slow]

ENDED = {"completed", "failed", "cancelled", "interrupted"}
#: Modules of each LoRA: so many small ones that a tool writes for a part of a second at least.
LORAS = {"models/loras/wide.safetensors": 150, "models/loras/wider.safetensors": 1500}
WIDE, WIDER = LORAS
TOOLS: dict[str, dict[str, Any]] = {
    "merge_loras": {"loras": [{"path": WIDE}], "method": "svd"},
    "resize_lora": {"path": WIDE, "rank": 2},
    "convert_lora": {"path": WIDER, "format": "kohya"},
}


class Killed:
    """A workspace with LoRAs, and the worker that is killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = root / "workspace"
        self.loras = self.workspace / "models" / "loras"
        for path, count in LORAS.items():
            modules = {
                f"unet.down_blocks.0.attentions.{number}.transformer_blocks.0.attn1.to_q": (32, 32)
                for number in range(count)
            }
            put_lora(self.workspace / path, lora_tensors(modules))
        self.workers = 0
        self.worker: LineWorker

    async def open_worker(self) -> None:
        self.workers += 1
        self.worker = await LineWorker.open(self.root, f"worker-{self.workers}")

    async def start(self, tool: str) -> str:
        begun = await self.worker.ask(tool, **TOOLS[tool], name=f"new-{tool}", wait=False)
        assert "error" not in begun, begun
        return str(begun["process_id"])

    async def ended(self, process_id: str) -> dict[str, Any]:
        while (now := await self.worker.ask("process_status", process_id=process_id))["status"] not in ENDED:  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(0.05)
        return now

    async def until_half_written(self, process_id: str) -> int:
        """Return the child's pid once it has begun to write."""
        half = self.incoming(process_id) / "model"
        while not (half.exists() and half.stat().st_size):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.005)
        log = (self.workspace / "logs" / f"{process_id}.log").read_text()
        return int(re.findall(r"started \S+ as process (\d+)", log)[-1])

    def incoming(self, process_id: str) -> Path:
        return self.workspace / "models" / ".incoming" / process_id

    async def seen(self) -> set[str]:
        """The models that a caller finds, and the files that lie where engines look."""
        listed = {model["path"] for model in (await self.worker.ask("list_models"))["models"]}
        return listed | {path.relative_to(self.workspace).as_posix() for path in self.loras.rglob("*.*")}

    def check_whole(self, tool: str) -> None:
        assert weights.read_header(self.loras / f"new-{tool}.safetensors").whole


@pytest.fixture
async def killed(tmp_path: Path) -> AsyncIterator[Killed]:
    bench = Killed(tmp_path)
    await bench.open_worker()
    yield bench
    await bench.worker.kill()


async def gone(pid: int) -> None:
    """Wait until the guard of a dead worker has killed its child."""
    alive: Callable[[], bool] = Path(f"/proc/{pid}/exe").exists
    while alive():  # noqa: ASYNC110 - another process ends it
        await asyncio.sleep(0.05)


async def test_what_is_killed_in_the_middle_is_never_seen_and_can_be_resumed_or_asked_again(
    killed: Killed,
) -> None:
    process_id = await killed.start("merge_loras")
    waiting = await killed.start("resize_lora")
    pid = await killed.until_half_written(process_id)
    await killed.worker.kill()
    await killed.open_worker()
    for each in (process_id, waiting):
        assert (await killed.ended(each))["status"] == "interrupted"
    await gone(pid)
    assert await killed.seen() == set(LORAS)
    assert killed.incoming(process_id).is_dir()

    assert "error" not in await killed.worker.ask("resume", process_id=process_id, wait=False)
    again = await killed.start("resize_lora")
    for each, tool in ((process_id, "merge_loras"), (again, "resize_lora")):
        done = await killed.ended(each)
        assert done["status"] == "completed", done
        killed.check_whole(tool)
    assert not killed.incoming(process_id).exists()

    killed_itself = await killed.start("convert_lora")
    os.kill(await killed.until_half_written(killed_itself), signal.SIGKILL)
    end = await killed.ended(killed_itself)
    assert (end["status"], end["failure"]["code"]) == ("failed", "insufficient_memory"), end
    made = {f"models/loras/new-{tool}.safetensors" for tool in ("merge_loras", "resize_lora")}
    assert {path for path in await killed.seen() if not path.endswith(".json")} == {*LORAS, *made}
    assert not killed.incoming(killed_itself).exists()
