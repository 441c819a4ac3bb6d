from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lorapod.processes.changes import ChangeQueue
from lorapod.processes.folder_users import FolderUsers
from lorapod.processes.order import TaskOrder, TrainingOrder, keep_order
from lorapod.processes.registry import ProcessRegistry
from lorapod.records.record import ProcessRecord, TaskDetails, TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.testing.store import open_memory_store
from lorapod.workspace import Workspace


class Bench:
    """One process in a store, and the question whether it reads `training_data/cats`."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root)
        self.store = open_memory_store()

    def record(self, status: ProcessStatus = ProcessStatus.QUEUED, **dataset: Any) -> None:
        training = TrainingDetails(trainer="script", dataset=dataset)
        self.store.records.create(
            ProcessRecord(
                process_id="train_1",
                type="train",
                name="cat",
                folder="cat",
                status=status,
                created_at=datetime.now(UTC),
                worker_id="w",
                training=training,
            )
        )

    def order(self, **fields: Any) -> None:
        order = TrainingOrder(**({"trainer": "script", "config": {}} | fields))
        keep_order(order, self.store.orders, "train_1")

    def reader(self, other_than: str | None = None) -> str | None:
        folder = self.workspace.training_data / "cats"
        live = ProcessRegistry(self.store.records, ChangeQueue(lambda _: None)).live
        return FolderUsers(self.workspace, self.store.orders, live).reader_of(folder, other_than)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_process_whose_order_is_not_written_yet_reads_what_its_record_says(bench: Bench) -> None:
    bench.record(path="training_data/cats")
    assert bench.reader() == "train_1"
    assert bench.reader(other_than="train_1") is None


@pytest.mark.parametrize("status", sorted(status for status in ProcessStatus if status.final))
def test_a_process_that_has_ended_reads_nothing(bench: Bench, status: ProcessStatus) -> None:
    bench.record(status, path="training_data/cats")
    bench.order(dataset_path="training_data/cats")
    assert bench.reader() is None


def test_a_remote_dataset_is_read_once_it_is_fetched(bench: Bench) -> None:
    bench.record(path="training_data/cats")
    bench.order(dataset_path="training_data/cats", dataset_source={"urls": ["https://example.org/a.png"]})
    assert bench.reader() is None
    record = bench.store.records.load("train_1")
    assert record is not None
    bench.store.records.save(record.with_dataset({"path": "training_data/cats", "images": 3}))
    assert bench.reader() == "train_1"


@pytest.mark.parametrize(
    ("text", "reader"),
    [
        ("training_data/cats", "train_1"),
        ("/runpod-volume/training_data/cats/sub", "train_1"),
        ("/workspace/training_data", "train_1"),
        ("training_data/cats_2", None),
        ("training_data/dogs", None),
        (".", None),
        ("/workspace", None),
        ("/etc", None),
        ("a photo of cats\0", None),
        ("cats " * 2000, None),
    ],
)
def test_a_config_that_names_a_folder_reads_it(bench: Bench, text: str, reader: str | None) -> None:
    bench.record()
    bench.order(config={"process": [{"datasets": [{"control_path": [text]}]}]})
    assert bench.reader() == reader


def test_a_captioning_uses_its_dataset_and_no_other(bench: Bench) -> None:
    bench.store.records.create(
        ProcessRecord(
            process_id="caption_1",
            type="caption",
            name="cats",
            folder="",
            status=ProcessStatus.QUEUED,
            created_at=datetime.now(UTC),
            worker_id="w",
            task=TaskDetails(engine="transformers", dataset="training_data/cats"),
        )
    )
    assert bench.reader() == "caption_1"
    assert bench.reader(other_than="caption_1") is None
    live = ProcessRegistry(bench.store.records, ChangeQueue(lambda _: None)).live
    users = FolderUsers(bench.workspace, bench.store.orders, live)
    assert users.writer_of(bench.workspace.training_data / "cats") == "caption_1"
    assert users.writer_of(bench.workspace.training_data / "dogs") is None
    assert users.reader_of(bench.workspace.training_data / "dogs") is None


COMPARED = "train_0123456789ab"


def compared_users(bench: Bench, *, session: str | None) -> FolderUsers:
    """A live comparison of an ended training, whose dataset and base model are in the workspace."""
    training = TrainingDetails(
        trainer="script",
        session=session,
        base_model=str(bench.workspace.models / "base"),
        dataset={"path": "training_data/cats"},
    )
    bench.store.records.create(
        ProcessRecord(
            process_id=COMPARED,
            type="train",
            name="cat",
            folder="cat",
            status=ProcessStatus.COMPLETED,
            created_at=datetime.now(UTC),
            worker_id="w",
            training=training,
        )
    )
    bench.store.records.create(
        ProcessRecord(
            process_id="compare_1",
            type="compare",
            name="cat",
            folder="",
            status=ProcessStatus.RUNNING,
            created_at=datetime.now(UTC),
            worker_id="w",
            task=TaskDetails(engine="diffusers"),
        )
    )
    order = TaskOrder(input={"loras": [{"process_id": COMPARED}], "prompts": ["a cat"]})
    keep_order(order, bench.store.orders, "compare_1")
    registry = ProcessRegistry(bench.store.records, ChangeQueue(lambda _: None))
    return FolderUsers(bench.workspace, bench.store.orders, registry.live, registry.get)


@pytest.mark.parametrize("session", [None, "training_session_1700000000"])
def test_a_comparison_uses_what_its_trainings_wrote_and_learnt_from(
    bench: Bench, session: str | None
) -> None:
    users, root = compared_users(bench, session=session), bench.workspace.root
    output = root / session / "output" if session else root / "output" / COMPARED
    for used in (output / "cat", output, root / "training_data" / "cats", root / "models" / "base"):
        found = users.use_of([used])
        assert found is not None, used
        assert found.process_id == "compare_1"
    for free in (
        root / "training_data" / "dogs",
        root / "models" / "other",
        root / "output" / "train_aaaaaaaaaaaa",
    ):
        assert users.use_of([free]) is None, free
