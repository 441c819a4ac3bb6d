"""What is told of real trainings."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.events.event_room import EventRoom
from tests.unit.events.courier_bench import eventually

from lorapod.errors import InvalidInput
from lorapod.events import courier, emitter, event_texts, outbox_part
from lorapod.events.event_data import CheckpointData, EventData, ProgressData, SampleData
from lorapod.events.event_types import EventType
from lorapod.events.outbox import Outbox
from lorapod.events.told_kinds import TOLD_KINDS
from lorapod.processes.order import TrainingOrder
from lorapod.processes.requests import ControlRequest
from lorapod.processes.store.port import RecordStore, StateStoreUnavailable
from lorapod.records.limits import Continuation
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.events import MemorySink
from lorapod.testing.manager import until
from lorapod.testing.provider import ScriptedDatasets
from lorapod.testing.records import make_record
from lorapod.testing.store import open_memory_store

CANCEL = ControlRequest(save=True, grace_s=10)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "TICK_S", 0.05)


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def room(tmp_path: Path, sink: MemorySink) -> Iterator[EventRoom]:
    opened = EventRoom(tmp_path / "workspace", sink)
    yield opened
    opened.close(0)


def paths(room: EventRoom, record: ProcessRecord) -> list[str]:
    told = [event.data for event in room.told(record)]
    return [data.path for data in told if isinstance(data, CheckpointData | SampleData)]


def running(record: ProcessRecord) -> bool:
    return record.progress.step > 0


async def test_a_training_is_told_from_its_start_to_its_end(room: EventRoom, sink: MemorySink) -> None:
    record = await room.ended(room.train(steps=40, step_s=0.02, save_every=20))
    await eventually(lambda: bool(sink.events) and sink.events[-1].event_type.last)
    told = [json.loads(event.body()) for event in sink.events]
    output = f"output/{record.process_id}"
    assert told[0]["event_type"] == "training.started"
    assert told[0]["data"] == {
        "status": "started",
        "progress": 0,
        "current_step": "Step 0/40",
        "step": 0,
        "total_steps": 40,
        "run": 1,
        "name": "model",
        "trainer": "script",
        "config_path": f"processes/{record.process_id}/config.yaml",
        "output_path": output,
    }
    assert told[-1]["event_type"] == "training.completed"
    assert told[-1]["data"] == {
        "status": "completed",
        "progress": 100,
        "current_step": "Step 40/40",
        "step": 40,
        "total_steps": 40,
        "artifacts": [
            f"{output}/model/model.safetensors",
            f"{output}/model/model_000000020.safetensors",
            f"{output}/model/model_000000040.safetensors",
        ],
        "model": f"{output}/model/model.safetensors",
    }
    assert [body["sequence"] for body in told] == list(range(1, len(told) + 1))
    assert len({body["event_id"] for body in told}) == len(told)
    assert {(body["process_id"], body["job_id"]) for body in told} == {(record.process_id, "12345")}
    assert sorted(paths(room, record)) == told[-1]["data"]["artifacts"]
    training = [
        body["data"] for body in told if body["data"]["status"] == "training" and "loss" in body["data"]
    ]
    assert training
    assert all(
        data["current_step"] == f"Step {data['step']}/40" and data["progress"] == data["step"] * 100 // 40
        for data in training
    )


async def test_the_final_weights_of_a_longer_training_are_told_again(
    room: EventRoom, sink: MemorySink
) -> None:
    record = await room.ended(room.train(steps=3))
    room.manager.resume(record.process_id, changes=Continuation(steps=6))
    await room.ended(record)
    await eventually(lambda: sum(event.event_type.last for event in sink.events) == 2)
    told = [
        (Path(event.data.path).name, event.data.checkpoint_step)
        for event in sink.events
        if isinstance(event.data, CheckpointData)
    ]
    assert told == [
        ("model.safetensors", 3),
        ("model_000000003.safetensors", 3),
        ("model.safetensors", 6),
    ]
    assert len({event.event_id for event in sink.events}) == len(sink.events)


async def test_config_and_folder_stand_when_the_start_is_told(
    room: EventRoom, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    tell = room.emitter.started

    def started(record: ProcessRecord) -> None:
        seen.append(record.config_path(room.workspace).is_file())
        tell(record)

    monkeypatch.setattr(room.emitter, "started", started)
    await room.ended(room.train())
    assert seen == [True]


async def test_the_fetching_of_a_dataset_is_told(tmp_path: Path, sink: MemorySink) -> None:
    supply = ScriptedDatasets(tmp_path / "workspace")
    supply.endless = True
    room = EventRoom(tmp_path / "workspace", sink, datasets=supply)
    order = TrainingOrder(
        trainer="script",
        config={"steps": 2},
        dataset_path="training_data/urls_1",
        dataset_source={"path": "training_data/urls_1"},
    )
    record = room.manager.submit("train", order).record

    def fetching() -> list[ProgressData]:
        datas = [event.data for event in sink.events]
        return [data for data in datas if isinstance(data, ProgressData) and data.fetch is not None]

    await eventually(lambda: bool(fetching()))
    supply.endless = False
    await room.ended(record)
    assert (fetching()[0].status, fetching()[0].progress) == ("preparing", 0)
    assert fetching()[0].current_step == "Fetching 0/1 files"
    room.close()
    assert sink.events[0].event_type is EventType.STARTED


async def test_progress_is_told_now_and_then(tmp_path: Path, sink: MemorySink) -> None:
    room = EventRoom(tmp_path / "workspace", sink, interval_s=1.5)
    record = await room.ended(room.train(steps=100, step_s=0.02))
    room.close()
    times = [event.timestamp for event in room.told(record) if event.event_type is EventType.PROGRESS]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(times)]
    assert len(gaps) >= 2
    # The first two may be close: from preparing to training. The ticks add a little to the others.
    assert all(0.4 < gap < 1.5 for gap in gaps[1:]), gaps


async def test_a_failure_is_told_with_its_reason(room: EventRoom) -> None:
    record = await room.ended(room.train(behaviour="crash", steps=4))
    last = json.loads(room.told(record)[-1].body())
    assert last["event_type"] == "training.failed"
    assert last["data"]["error"] == "Error running job: something broke"
    assert (last["data"]["code"], last["data"]["resumable"]) == ("internal", False)


async def test_what_fails_before_the_trainer_starts_is_told(tmp_path: Path, sink: MemorySink) -> None:
    supply = ScriptedDatasets(tmp_path / "workspace")
    supply.error = InvalidInput("a.png is cut off.")
    room = EventRoom(tmp_path / "workspace", sink, datasets=supply)
    order = TrainingOrder(trainer="script", config={}, dataset_path="x", dataset_source={"path": "x"})
    record = await room.ended(room.manager.submit("train", order).record)
    room.close()
    assert room.kinds(record) == ["started", "failed"]


async def test_runs_follow_each_other_and_nothing_is_told_twice(room: EventRoom, sink: MemorySink) -> None:
    record = room.train(steps=60, step_s=0.02, save_every=10)
    await until(room.manager, record, lambda now: now.progress.step >= 25)
    room.manager.ask(record.process_id, CANCEL)
    await room.ended(record)
    first = paths(room, record)
    assert len(first) >= 2
    room.manager.resume(record.process_id)
    await room.ended(record)
    kinds = [kind for kind in room.kinds(record) if kind != "checkpoint"]
    assert kinds == ["started", "cancelled", "started", "completed"]
    told = paths(room, record)
    assert len(told) == len(set(told))
    assert {Path(path).name for path in told} >= {
        f"model_{step:09d}.safetensors" for step in range(10, 61, 10)
    }
    numbers = [event.sequence for event in room.told(record)]
    assert numbers == list(range(1, len(numbers) + 1))
    runs = [event.data.run for event in room.told(record) if event.event_type is EventType.STARTED]  # type: ignore[attr-defined]
    assert runs == [1, 2]


async def test_a_cancel_in_the_line_is_told_without_a_start(tmp_path: Path, sink: MemorySink) -> None:
    room = EventRoom(tmp_path / "workspace", sink, gpus=(0,))
    before = room.train(steps=500)
    await until(room.manager, before, running)
    record = room.train()
    room.manager.ask(record.process_id, CANCEL)
    await room.ended(record)
    assert room.kinds(record) == ["cancelled"]
    room.close()


async def test_a_worker_that_is_stopped_tells_that_it_was_interrupted(
    tmp_path: Path, sink: MemorySink
) -> None:
    room = EventRoom(tmp_path / "workspace", sink)
    record = room.train(steps=5000, save_every=10)
    await until(room.manager, record, lambda now: now.progress.step > 10)
    await asyncio.to_thread(room.close)
    assert sink.events[-1].event_type is EventType.INTERRUPTED
    other = EventRoom(tmp_path / "workspace", sink)
    other.manager.ask(record.process_id, CANCEL)
    assert (await other.ended(record)).status is ProcessStatus.CANCELLED
    await asyncio.to_thread(other.close)
    assert [event.event_type for event in sink.events[-2:]] == [EventType.INTERRUPTED, EventType.CANCELLED]
    assert [event.sequence for event in sink.events] == sorted({event.sequence for event in sink.events})


async def test_samples_are_told_when_they_are_whole(room: EventRoom) -> None:
    record = room.train(steps=400, step_s=0.01)
    await until(room.manager, record, running)
    folder = record.run_folder(room.workspace) / "samples"
    folder.mkdir(parents=True)
    picture = folder / "1760000000000__000000250_1.png"
    Image.new("RGB", (64, 64)).save(picture)
    await eventually(lambda: len(paths(room, record)) == 1)
    (folder / "1760000000001__000000300_0.png").write_bytes(picture.read_bytes()[:40])
    await room.ended(record)
    samples = [event.data for event in room.told(record) if event.event_type is EventType.SAMPLE]
    assert [(data.path, data.sample_step, data.index) for data in samples if isinstance(data, SampleData)][
        :1
    ] == [(room.workspace.relative(picture), 250, 1)]


async def test_a_disk_that_takes_nothing_ends_no_training_and_loses_nothing(
    room: EventRoom, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = outbox_part.OutboxPart.append

    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outbox_part.OutboxPart, "append", full)
    record = room.train(steps=20)
    end = await room.ended(record)
    assert end.status is ProcessStatus.COMPLETED
    monkeypatch.setattr(outbox_part.OutboxPart, "append", append)
    await eventually(lambda: bool(sink.events) and sink.events[-1].event_type.last)
    assert [event.sequence for event in sink.events] == list(range(1, len(sink.events) + 1))
    assert {"started", "checkpoint", "completed"} <= set(room.kinds(record))


async def test_the_end_is_told_by_another_where_the_worker_did_not_live_to(
    tmp_path: Path, sink: MemorySink
) -> None:
    room = EventRoom(tmp_path / "workspace", sink)
    record = await room.ended(room.train(steps=3))
    await asyncio.to_thread(room.close)
    newest = max((room.workspace.process_folder(record.process_id) / "events").glob("*.jsonl"))
    lines = newest.read_bytes().splitlines(keepends=True)
    newest.write_bytes(b"".join(lines[:-1]))
    ids = [event.event_id for event in sink.events]
    for _ in range(2):
        # However often it is told, it has the id that it had first.
        other = EventRoom(tmp_path / "workspace", sink)
        other.emitter.take_up(record.process_id)
        await asyncio.to_thread(other.close)
    assert [event.event_id for event in sink.events] == [*ids, ids[-1]]
    assert sink.events[-1].event_type is EventType.COMPLETED


async def test_a_worker_that_has_lost_a_process_tells_nothing_of_it(tmp_path: Path, sink: MemorySink) -> None:
    room = EventRoom(tmp_path / "workspace", sink)
    record = room.train(steps=1000)
    await until(room.manager, record, running)
    records: RecordStore = room.store.records
    now = room.manager.get(record.process_id)
    records.create(now.moved(ProcessStatus.INTERRUPTED, generation=2))
    await eventually(lambda: not room.manager.supervisors)
    assert "interrupted" not in room.kinds(record)
    assert "failed" not in room.kinds(record)
    await asyncio.to_thread(room.close)


async def test_only_trainings_are_told_of(room: EventRoom) -> None:
    record = make_record(process_id="generate_0123456789ab", type="generate", status=ProcessStatus.COMPLETED)
    room.emitter.started(record)
    room.emitter.changed(record)
    assert room.told(record) == []


async def test_without_what_earlier_runs_told_the_count_begins_behind_it(room: EventRoom) -> None:
    record = make_record(generation=3, status=ProcessStatus.INTERRUPTED)
    room.emitter.changed(record)
    assert [event.sequence for event in room.told(record)] == [2_000_001]


async def test_workers_without_a_common_volume_tell_of_one_training_in_order(
    tmp_path: Path, sink: MemorySink
) -> None:
    store = open_memory_store()
    first = EventRoom(tmp_path / "one", sink, store=store)
    record = first.train(steps=5000)
    await until(first.manager, record, running)
    await asyncio.to_thread(first.close)
    second = EventRoom(tmp_path / "other", sink, store=store)
    second.manager.resume(record.process_id)
    await until(second.manager, record, running)
    second.manager.ask(record.process_id, CANCEL)
    await second.ended(record)
    await asyncio.to_thread(second.close)
    numbers = [event.sequence for event in sink.events]
    assert numbers == sorted(set(numbers))
    begun = [event.sequence for event in sink.events if event.event_type is EventType.STARTED]
    assert begun == [1, 1_000_001]
    assert [event.event_type for event in sink.events if event.event_type.last] == [
        EventType.INTERRUPTED,
        EventType.CANCELLED,
    ]


async def test_a_store_that_is_away_leaves_no_heap_of_empty_files(
    room: EventRoom, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = room.store.orders.read

    def away(process_id: str) -> bytes | None:
        raise StateStoreUnavailable("nobody answers")

    record = make_record(status=ProcessStatus.INTERRUPTED)
    monkeypatch.setattr(room.store.orders, "read", away)
    room.emitter.changed(record)
    for _ in range(3):
        room.emitter.tick()
    assert Outbox(room.workspace, record.process_id).newest() == ""
    monkeypatch.setattr(room.store.orders, "read", read)
    await eventually(lambda: [event.event_type for event in sink.events] == [EventType.INTERRUPTED])


@pytest.mark.expects_errors("events of a training failed")
async def test_a_defect_in_the_events_of_one_training_ends_neither_it_nor_those_of_others(
    room: EventRoom, sink: MemorySink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    progress = event_texts.progress

    def defective(record: ProcessRecord) -> ProgressData:
        if record.caller_job_id == "bad":
            raise ValueError("a defect")
        return progress(record)

    kind = replace(TOLD_KINDS["train"], progress_data=defective, started_data=broken)
    monkeypatch.setattr(emitter, "TOLD_KINDS", {"train": kind})
    bad = room.train(job_id="bad", steps=60, step_s=0.05)
    good = room.train(job_id="good", steps=60, step_s=0.05)
    for record in (bad, good):
        assert (await room.ended(record)).status is ProcessStatus.COMPLETED
        assert room.kinds(record)[-1] == "completed"
    assert any(event.event_type is EventType.PROGRESS for event in room.told(good))
    assert "events of a training failed" in caplog.messages


def broken(*_: object) -> EventData:
    raise LookupError("a defect")
