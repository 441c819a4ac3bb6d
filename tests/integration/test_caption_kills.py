"""A captioning that is killed at random moments: no caption is lost, replaced or cut, and it can always go on."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.integration.line_worker import LineWorker
from tests.servers.toolkit_captioner import install_captioner
from tests.unit.datasets.library_bench import picture

from lorapod.workspace import Workspace

IMAGES = 60
#: How it is ended.
HOW = ("worker", "child", "cancel")
ENDED = {"completed", "failed", "cancelled", "interrupted"}


class KilledCaptioning:
    """One captioning under hostile conditions, and what a person wrote meanwhile."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.random = random.Random(seed)
        workspace = Workspace.create(root / "workspace")
        self.workspace = workspace
        self.folder = workspace.training_data / "cats"
        self.folder.mkdir()
        (workspace.models / "busy").mkdir()
        (workspace.models / "busy" / "config.json").write_text('{"model_type": "qwen3_vl"}')
        (workspace.models / "busy" / "model.safetensors").write_bytes(b"")
        install_captioner(root / "ai-toolkit")
        #: What the model says of each image.
        self.made: dict[str, str] = {}
        #: What a person wrote.
        self.own: dict[str, str] = {}
        for number in range(IMAGES):
            path = self.folder / f"{number:02d}.png"
            path.write_bytes(picture(size=(40 + number, 48)))
            self.made[f"{number:02d}.txt"] = f"describe it {path.stat().st_size} bytes"
        for number in self.random.sample(range(IMAGES), 5):
            self.write_own(f"{number:02d}.txt")
        self.seen: dict[str, str] = {}
        self.workers = 0
        self.process_id = ""
        self.worker: LineWorker | None = None

    def write_own(self, name: str) -> None:
        """Write a caption as an upload does: whole, and only if there is none."""
        text = f"my own words {name}"
        new = self.folder / f".own.{name}"
        new.write_text(text)
        with suppress(FileExistsError):
            (self.folder / name).hardlink_to(new)
            self.own[name] = text
        new.unlink()

    async def open_worker(self) -> None:
        self.workers += 1
        self.worker = await LineWorker.open(
            self.root, f"worker-{self.workers}", module="tests.integration.caption_worker"
        )

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        assert self.worker is not None
        return await self.worker.ask(type_, **fields)

    async def status(self) -> dict[str, Any]:
        return await self.ask("process_status", process_id=self.process_id)

    async def until_ended(self) -> dict[str, Any]:
        while (seen := await self.status())["status"] not in ENDED:  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(0.05)
        return seen

    async def go_on(self) -> None:
        """Start it, or take it up where it was left; if all is captioned, a person has removed some captions."""
        if self.process_id:
            # What a dead worker has left is interrupted as soon as its lease has ended.
            if (await self.until_ended())["status"] != "completed":
                taken = await self.ask("resume", process_id=self.process_id, wait=False)
                assert "error" not in taken, taken
                return
            self.check()
            for name in self.random.sample(sorted(self.made.keys() - self.own.keys()), 30):
                (self.folder / name).unlink()
                del self.seen[name]
        started = await self.ask(
            "caption_dataset", training_name="cats", model="models/busy", prompt="describe it", wait=False
        )
        assert "error" not in started, started
        self.process_id = started["process_id"]

    async def strike(self, how: str) -> None:
        """End it at a random moment, while a person writes captions."""
        started = len(self.child_pids())
        await self.go_on()
        while len(self.child_pids()) == started:
            if (await self.status())["status"] in ENDED:
                return
            await asyncio.sleep(0.02)
        for _ in range(self.random.randrange(1, 4)):
            await asyncio.sleep(self.random.uniform(0, 0.5))
            self.write_own(self.random.choice(sorted(self.made)))
        if how == "child":
            with suppress(ProcessLookupError):
                os.kill(self.child_pids()[-1], signal.SIGKILL)
        elif how == "cancel":
            await self.ask("cancel", process_id=self.process_id)
        else:
            await self.kill_worker()
            await self.open_worker()

    def child_pids(self) -> list[int]:
        """Every child that it has had, the newest last."""
        try:
            log = self.workspace.log_path(self.process_id).read_text() if self.process_id else ""
        except FileNotFoundError:
            return []
        return [int(pid) for pid in re.findall(r"started \S+ as process (\d+)", log)]

    async def kill_worker(self) -> None:
        assert self.worker is not None
        await self.worker.kill()

    def check(self) -> None:
        """Each caption is whole, and either a person's or the model's; none that was there has changed."""
        captions = {path.name: path.read_text() for path in self.folder.glob("[0-9]*.txt")}
        for name, text in captions.items():
            assert text == self.own.get(name, self.made[name]), name
        assert self.seen.items() <= captions.items()
        self.seen = captions


@pytest.mark.timeout(1800)
async def test_a_captioning_that_is_killed_loses_and_replaces_no_caption(tmp_path: Path) -> None:
    """Three kills, or `CHAOS_KILLS`; at other moments with another `CHAOS_SEED`."""
    seed, count = (
        int(os.environ.get(name) or usual) for name, usual in (("CHAOS_SEED", 1), ("CHAOS_KILLS", 3))
    )
    kills = [HOW[number % len(HOW)] for number in range(count)]
    captioning = KilledCaptioning(tmp_path, seed)
    await captioning.open_worker()
    try:
        for how in captioning.random.sample(kills, len(kills)):
            await captioning.strike(how)
            captioning.check()
        await captioning.until_ended()
        if (await captioning.status())["status"] != "completed":
            await captioning.go_on()
            ended = await captioning.until_ended()
            assert ended["status"] == "completed", ended
            assert ended["captioned"] + ended["skipped"] == IMAGES
            assert ended["failed"] == []
        captioning.check()
        assert len(captioning.seen) == IMAGES
        assert [path.name for path in captioning.folder.iterdir() if path.name.startswith(".")] == []
    finally:
        await captioning.kill_worker()
