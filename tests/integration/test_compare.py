"""`compare` behind the real SDK loop: cancelled, its worker killed, and the files of others that it uses."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.endpoint_caller import Caller, eventually
from tests.integration.served_worker import Worker, holder_pid, serve

from lorapod.events.outbox import Outbox
from lorapod.workspace import Workspace

#: A cell takes about a tenth of a second.
SLOW: Mapping[str, Any] = {"sample_steps": 2, "params": {"step_s": 0.05}, "width": 16, "height": 16}


class Comparisons(Worker):
    """A worker with a training of four checkpoints and its final weights."""

    process_id = ""

    def __init__(self, worker: Worker, workspace: Path) -> None:
        super().__init__(worker.endpoint, worker.caller)
        self.workspace = workspace

    async def train(self) -> None:
        trained = await self.ask("train", config={"steps": 9, "save_every": 2}, wait=True)
        assert trained["status"] == "completed", trained
        self.process_id = trained["process_id"]

    async def begin(self, cells: int, **fields: Any) -> str:
        prompts = [f"square {number}" for number in range(cells // 5 + 1)]
        asked = {**SLOW, "process_ids": [self.process_id], "prompts": prompts[: cells // 5], "wait": False}
        return str((await self.ask("compare", **asked | fields))["process_id"])

    def drawn(self, process_id: str) -> dict[str, int]:
        """The cells on the disk, and the inode of each."""
        folder = self.workspace / "output" / process_id / "cells"
        return {path.name: path.stat().st_ino for path in folder.glob("*.png")}

    async def until_events(self, process_id: str, last: str) -> list[dict[str, Any]]:
        """The events of a process, once the last of them is of this type: an end is emitted just after it is stored."""

        async def reached() -> Any:
            outbox = Outbox(Workspace(root=self.workspace.resolve()), process_id)
            found = [json.loads(event.body()) for event in outbox.history()]
            return found if found and found[-1]["event_type"] == last else None

        return list(await eventually(reached, f"the event {last}"))

    async def until_drawn(self, process_id: str, count: int) -> None:
        async def reached() -> bool:
            return len(self.drawn(process_id)) >= count

        await eventually(reached, f"{count} cells")


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Comparisons]:
    async with serve(tmp_path / "workspace") as endpoint, Caller(endpoint.url) as caller:
        worker = Comparisons(Worker(endpoint, caller), tmp_path / "workspace")
        await worker.train()
        yield worker


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Comparisons]:
    async with serve(tmp_path / "workspace", workers=2) as endpoint, Caller(endpoint.url) as caller:
        worker = Comparisons(Worker(endpoint, caller), tmp_path / "workspace")
        await worker.train()
        yield worker


async def test_cells_that_were_drawn_stay_after_a_cancel_and_are_used_again(one: Comparisons) -> None:
    process_id = await one.begin(65)
    await one.until_drawn(process_id, 5)
    running = await one.ask("process_status", process_id=process_id)
    assert running["status"] == "running"
    assert running["cells"], "those who watch see them"
    busy = await one.caller.until(await one.start("delete", process_id=one.process_id), "FAILED")
    assert (busy["output"]["code"], process_id in busy["error"]) == ("conflict", True), busy

    await one.ask("cancel", process_id=process_id)
    ended = await one.until_status(process_id, "cancelled")

    kept = one.drawn(process_id)
    assert 5 <= len(kept) < 65
    assert sorted(Path(cell["path"]).name for cell in ended["cells"]) == sorted(kept)
    assert ended["resumable"]
    assert not {"grid_path", "ranking"} & set(ended)
    events = await one.until_events(process_id, "compare.cancelled")
    assert events[0]["event_type"] == "compare.started"
    assert events[0]["data"]["engine"] == "fake"
    assert {event["event_type"] for event in events[1:-1]} <= {"compare.progress"}
    assert events[-1]["data"]["cells"] == len(kept)

    again = await one.begin(65, params={"step_s": 0}, wait=True)
    # Another parameter is another picture: nothing of it is used.
    fresh = await one.until_status(again, "completed")
    assert (fresh["drawn"], fresh["kept"]) == (65, 0)
    await one.ask("resume", process_id=process_id, wait=False)
    whole = await one.until_status(process_id, "completed")
    assert (whole["drawn"], whole["kept"]) == (65 - len(kept), len(kept))
    assert one.drawn(process_id).items() >= kept.items()
    assert (one.workspace / whole["grid_path"]).is_file()


async def test_a_worker_that_is_killed_costs_no_cell(two: Comparisons) -> None:
    job_id = await two.start(
        "compare", **SLOW, process_ids=[two.process_id], prompts=["a", "b", "c", "d", "e", "f"], wait=True
    )
    process_id = (await two.first_update(job_id))["process_id"]
    await two.until_drawn(process_id, 6)
    status = await two.ask("process_status", process_id=process_id)

    os.kill(holder_pid(two, status), signal.SIGKILL)
    kept = two.drawn(process_id)

    answer = (await two.caller.until(job_id, "COMPLETED"))["output"]
    assert (answer["process_id"], answer["status"]) == (process_id, "completed")
    assert (answer["drawn"], answer["kept"]) == (30 - len(kept), len(kept))
    after = two.drawn(process_id)
    assert len(after) == len(answer["cells"]) == 30
    assert after.items() >= kept.items()
