"""Work that hangs (a GPU driver, a volume) stops nothing but itself."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.actions.desk import Desk
from tests.unit.telemetry.test_gpu import FakeNvml

from lorapod.actions.action import RunPodJob
from lorapod.actions.registry import ACTIONS
from lorapod.telemetry import Telemetry
from lorapod.telemetry.gpu import GpuProbe

#: More calls than any pool has threads, and than the default executor has on two processors.
MANY = 40

#: Most of what an answer may take here; a call that hangs takes for ever.
ANSWER_S = 30.0


class HungNvml(FakeNvml):
    """A driver that does not return from a call until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.hangs = True

    def _call(self, name: str, *arguments: Any) -> None:
        if self.hangs:
            self.go_on.wait()
        super()._call(name, *arguments)


@pytest.fixture
def driver() -> Iterator[HungNvml]:
    hung = HungNvml()
    yield hung
    hung.go_on.set()


def ask_all(desk: Desk, *inputs: Mapping[str, Any], threads: int = 6) -> list[dict[str, Any]]:
    """Ask at once, in a loop whose default executor is as small as on two processors."""

    async def ask(fields: Mapping[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(ANSWER_S):
            return await desk.worker.answer({"id": "job-1", "input": fields}, RunPodJob(job_id="job-1"))

    async def scenario() -> list[dict[str, Any]]:
        return await asyncio.gather(*(ask(fields) for fields in inputs))

    return desk.run(scenario(), threads=threads)


def test_a_driver_that_hangs_leaves_every_other_action_as_it_was(
    desk: Desk, driver: HungNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = Telemetry(gpu_probe=GpuProbe(library=lambda: driver, driver_wait_s=0.05))
    desk.use(monkeypatch, telemetry=telemetry)
    before = threading.active_count()

    answers = [ask_all(desk, {"type": "health"})[0] for _ in range(MANY)]

    assert {check["ok"] for answer in answers for check in answer["checks"] if check["name"] == "gpu"} == {
        False
    }
    (listed, pinged) = ask_all(desk, {"type": "list_files"}, {"type": "ping"})
    assert "files" in listed
    assert pinged["pong"]
    hung = [thread for thread in threading.enumerate() if thread.name.startswith("probe-gpu")]
    assert len(hung) == 1, "one thread asks the driver, whatever asks it"
    assert threading.active_count() - before < MANY


def test_health_shows_the_last_figures_with_their_age(
    desk: Desk, driver: HungNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = Telemetry(gpu_probe=GpuProbe(library=lambda: driver, driver_wait_s=0.05))
    desk.use(monkeypatch, telemetry=telemetry)
    driver.hangs = False
    fresh = ask_all(desk, {"type": "health"})[0]
    driver.hangs = True
    stale = ask_all(desk, {"type": "health"})[0]

    assert "gpu_age_s" not in fresh
    assert stale["gpu"] == fresh["gpu"]
    assert len(stale["gpu"]) == 2
    assert stale["gpu_age_s"] >= 0
    (check,) = [check for check in stale["checks"] if check["name"] == "gpu"]
    assert not check["ok"]
    assert check["detail"].startswith("The NVIDIA driver does not answer; its last figures are ")


def test_a_driver_that_hangs_refuses_what_needs_a_gpu(
    desk: Desk, driver: HungNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = Telemetry(gpu_probe=GpuProbe(library=lambda: driver, driver_wait_s=0.05))
    desk.use(monkeypatch, telemetry=telemetry)
    assert telemetry.gpus(wait_s=0.05) == ()
    driver.hangs = False
    driver.go_on.set()
    assert len(telemetry.gpus(wait_s=ANSWER_S)) == 2, "a driver that answers again is believed again"


@pytest.fixture
def stuck_log(desk: Desk) -> Iterator[str]:
    """Answer the id of a process whose log cannot be opened: as on a volume that is away, the call hangs."""
    inputs = desk.stock()
    process_id = str(inputs["logs"]["process_id"])
    log = desk.worker.services.workspace.log_path(process_id)
    kept = log.read_bytes()
    log.unlink()
    os.mkfifo(log)
    yield process_id
    _let_go(log)
    log.unlink()
    log.write_bytes(kept)


def _let_go(fifo: Path) -> None:
    """Open the other end as often as a reader waits."""
    while True:
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return
        threading.Event().wait(0.01)


def test_reads_that_hang_are_answered_with_timeout_and_stop_no_other_kind_of_work(
    desk: Desk, stuck_log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = desk.worker.services.settings.model_copy(update={"read_timeout_s": 0.2})
    desk.use(monkeypatch, settings=settings)

    stuck = ask_all(desk, *[{"type": "logs", "process_id": stuck_log}] * MANY)

    assert {answer["code"] for answer in stuck} == {"timeout"}
    assert stuck[0]["error"] == "`logs` did not answer within 0.2 s."
    assert "READ_TIMEOUT_S" in stuck[0]["hint"]
    for fields in (
        {"type": "ping"},
        {"type": "health"},
        {"type": "train", "preset": "sd15", "dataset": {"training_name": "pictures"}, "dry_run": True},
        {"type": "download_file", "file_path": "training_data/pictures/a.txt"},
        {"type": "generate", "prompt": "a cat", "steps": 1},
    ):
        (answer,) = ask_all(desk, fields)
        assert "error" not in answer, (fields, answer)


def test_no_action_waits_for_the_loop_s_default_executor(desk: Desk) -> None:
    """The SDK resolves host names there: an action that fills it ends the worker's way to its jobs."""
    inputs = desk.stock()
    release = threading.Event()

    async def scenario() -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        stuck = loop.run_in_executor(None, release.wait)
        answers = []
        try:
            for name in ACTIONS:
                async with asyncio.timeout(ANSWER_S):
                    event = {"id": "job-1", "input": {**inputs.get(name, {}), "type": name}}
                    answers.append(await desk.worker.answer(event, RunPodJob(job_id="job-1")))
        finally:
            release.set()
            await stuck
        return answers

    assert len(desk.run(scenario())) == len(ACTIONS)


def test_every_action_that_only_reads_has_a_time_limit() -> None:
    changing = {
        "upload_training_data",
        "train",
        "train_with_yaml",
        "train_from_urls",
        "train_from_supabase",
        "cancel",
        "resume",
        "save_now",
        "sample_now",
        "generate",
        "keep_alive",
        "edit_model",
        "publish_model",
        "download_model",
        "delete",
        "edit_dataset",
        "caption_dataset",
        "compare",
        "merge_loras",
        "resize_lora",
        "convert_lora",
    }
    assert {name for name, action in ACTIONS.items() if action.time_limit is None} == changing
