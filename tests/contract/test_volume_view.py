"""`VolumeView` reads the same from the workspace's folder and from the volume over S3, and the same as the worker."""

from __future__ import annotations

import asyncio
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.servers.volume_server import SECRET_KEY, RunningVolume

from lorapod.actions.process_view import view as worker_view
from lorapod.client import LorapodError
from lorapod.client.volume import AsyncVolume, Volume
from lorapod.client.volume_answers import VolumeAnswers
from lorapod.client.volume_download import download_from_volume
from lorapod.errors import InvalidInput, NotFound, UnsafePath, WorkerError
from lorapod.files.listing import list_files
from lorapod.kinds import FileKind
from lorapod.processes.store.file import FileRecords
from lorapod.records.process_id import new_process_id
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record
from lorapod.trainers.builtin.loss_log_writer import LossLogWriter
from lorapod.volume import loss_log
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.log_part import read_log
from lorapod.volume.view import VolumeView
from lorapod.workspace import Workspace

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LOG = "first line\nzweite Zeile: ä\nthird line\n"


@pytest.fixture(scope="module")
def workspace(volume: RunningVolume) -> Workspace:
    return Workspace.create(volume.folder)


@pytest.fixture(scope="module")
def records(workspace: Workspace) -> FileRecords:
    return FileRecords(workspace.processes)


@pytest.fixture(params=["folder", "bucket"])
def looks(
    request: pytest.FixtureRequest, volume: RunningVolume, workspace: Workspace
) -> Iterator[VolumeView]:
    if request.param == "folder":
        view = VolumeView(LOCAL_FILES, workspace)
        yield view
        view.close()
        return
    with Volume(volume.access()) as opened:
        yield opened.view


@pytest.fixture(scope="module")
def training(workspace: Workspace, records: FileRecords) -> Iterator[ProcessRecord]:
    """A training that was resumed, with everything that a training leaves."""
    record = make_record(
        process_id=new_process_id("train", BEGAN),
        name="my cat+dog",
        folder="my cat+dog",
        status=ProcessStatus.RUNNING,
        created_at=BEGAN,
        progress=StoredProgress(step=30, total_steps=40, loss=0.5),
        training=TrainingDetails(trainer="builtin", trigger_word="cat"),
    )
    records.create(record)
    for generation in (2, 10):
        record = record.changed(
            generation=generation, progress=StoredProgress(step=generation, total_steps=40)
        )
        records.create(record)
    run = record.run_folder(workspace)
    (run / "samples").mkdir(parents=True)
    for step in (10, 20):
        (run / f"{record.name}_{step:09d}.safetensors").write_bytes(b"w" * step)
        for index in (0, 1):
            (run / "samples" / f"1767225600000__{step:09d}_{index}.jpg").write_bytes(b"picture")
    (run / "samples" / "notes.txt").write_text("no sample")
    (run / f"{record.name}.safetensors").write_bytes(b"final")
    (run / "_latent_cache").mkdir()
    (run / "_latent_cache" / "x.safetensors").write_bytes(b"cache")
    (run / ".hidden").write_text("hidden")
    (run / "link.safetensors").symlink_to(run / f"{record.name}.safetensors")
    (run / "a # folder").mkdir()
    (run / "a # folder" / "100% ü.txt").write_text("odd name")
    # It stays open, so that a part of it is in its write-ahead log.
    log = LossLogWriter(run / loss_log.FILE_NAME, resumed_step=0)
    for step in range(30):
        log.write(step, {"loss/loss": 1 / (step + 1), "learning_rate": 1e-4})
    log.flush()
    workspace.log_path(record.process_id).write_text(LOG)
    RunningVolume.settle()
    yield record
    log.close()


@pytest.fixture(scope="module")
def history(records: FileRecords, training: ProcessRecord) -> list[ProcessRecord]:
    """More processes than are read one by one, the newest first; the training is the oldest."""
    found = [training]
    for number in range(1, 131):
        made = BEGAN + timedelta(minutes=number)
        status = ProcessStatus.FAILED if number % 2 else ProcessStatus.COMPLETED
        record = make_record(process_id=new_process_id("train", made), status=status, created_at=made)
        records.create(record)
        if number % 10 == 0:
            record = record.changed(generation=2, name="resumed")
            records.create(record)
        found.insert(0, record)
    RunningVolume.settle()
    return found


def test_a_process_is_what_the_worker_answers(
    looks: VolumeView, workspace: Workspace, training: ProcessRecord
) -> None:
    shown = looks.process(training.process_id, log_tail=2, metrics=True)

    wanted = worker_view(
        training,
        workspace,
        log_tail=["zweite Zeile: ä", "third line"],
        metrics={"learning_rate": 1e-4, "loss/loss": 1 / 30},
    )
    assert without_clock(shown.answer()) == without_clock(wanted.answer())
    assert [one.step for one in shown.checkpoints] == [10, 20, 10]
    assert len(shown.samples) == 4


def without_clock(answer: dict[str, object]) -> dict[str, object]:
    """Over S3, times are of milliseconds, or of seconds."""
    checkpoints = answer["checkpoints"]
    assert isinstance(checkpoints, list)
    for checkpoint in checkpoints:
        checkpoint["created_at"] = checkpoint["created_at"][:19]
    return answer


def test_curves_are_read_while_their_log_is_open(
    looks: VolumeView, workspace: Workspace, training: ProcessRecord
) -> None:
    path = training.run_folder(workspace) / loss_log.FILE_NAME
    found = looks.metrics(training.process_id, keys=["loss/loss"], since_step=4, stride=5)

    assert found.series == loss_log.read_series(path, keys=["loss/loss"], since_step=4, stride=5)
    assert [step for step, _ in found.series["loss/loss"]] == [5, 10, 15, 20, 25]
    assert found.last_step == 29


@pytest.mark.parametrize(
    ("offset", "limit"), [(0, 1000), (0, 26), (5, 10), (-20, 1000), (-20, 8), (-1000, 5), (1000, 5), (46, 5)]
)
def test_a_part_of_a_log_is_the_workers(
    looks: VolumeView, workspace: Workspace, training: ProcessRecord, offset: int, limit: int
) -> None:
    part = looks.log(training.process_id, offset=offset, limit=limit)

    assert part == read_log(workspace.log_path(training.process_id), offset, limit)


def test_a_log_that_is_not_there_yet_is_empty(looks: VolumeView, history: list[ProcessRecord]) -> None:
    assert looks.log(history[0].process_id).text == ""
    assert looks.log_tail(history[0].process_id, 5) == []


def test_pages_are_the_newest_of_each_process(looks: VolumeView, history: list[ProcessRecord]) -> None:
    first = looks.processes(limit=20)
    rest = looks.processes(limit=500, cursor=first.next_cursor)

    assert [one.process_id for one in first.processes] == [one.process_id for one in history[:20]]
    assert [one.process_id for one in rest.processes] == [one.process_id for one in history[20:]]
    assert [one.name for one in first.processes] == [one.name for one in history[:20]]
    assert [one.name for one in rest.processes] == [one.name for one in history[20:]]
    assert rest.processes[-1].progress.step == 10
    assert rest.next_cursor is None


def test_a_state_is_looked_for_in_all_pages(looks: VolumeView, history: list[ProcessRecord]) -> None:
    running = looks.processes(status=ProcessStatus.RUNNING, limit=1)

    assert [one.process_id for one in running.processes] == [history[-1].process_id]


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (None, {}),
        ("output", {"pattern": "*.safetensors"}),
        ("/runpod-volume/output", {"kind": FileKind.IMAGE}),
        ("/workspace/logs/", {"recursive": False}),
        ("models", {}),
    ],
)
def test_files_are_those_that_the_worker_lists(
    looks: VolumeView,
    workspace: Workspace,
    training: ProcessRecord,
    path: str | None,
    options: dict[str, Any],
) -> None:
    asked = workspace.root if path is None else workspace.safe_path(path)
    wanted = [
        workspace.relative(one.path)
        for one in list_files(workspace, asked, **options).files
        if one.path.name != "link.safetensors"
    ]
    found: list[str] = []
    page = looks.list_files(path, limit=3, **options)
    while True:
        found += [looks.workspace.relative(one.path) for one in page.files]
        if page.next_cursor is None:
            break
        page = looks.list_files(path, limit=3, cursor=page.next_cursor, **options)

    assert found == wanted
    assert found or path == "models"


def test_one_file_is_listed_alone(looks: VolumeView, workspace: Workspace, training: ProcessRecord) -> None:
    (file,) = looks.list_files(f"logs/{training.process_id}.log").files

    assert (file.size_bytes, file.kind) == (len(LOG.encode()), FileKind.LOG)


@pytest.mark.parametrize(
    ("path", "error"),
    [("output/none", NotFound), ("processes/.live", NotFound), ("../..", UnsafePath), ("/etc", UnsafePath)],
)
def test_other_folders_are_refused(
    looks: VolumeView, training: ProcessRecord, path: str, error: type[WorkerError]
) -> None:
    with pytest.raises(error):
        looks.list_files(path)


def test_pictures_come_in_order_and_gaps_are_told(
    looks: VolumeView, training: ProcessRecord, workspace: Workspace
) -> None:
    paths = [sample.path for sample in looks.process(training.process_id).samples]
    outside = workspace.root.parent / "outside"
    outside.write_bytes(b"not of the workspace")

    asked = [paths[0], "output/none.jpg", *paths[1:], "../outside", str(outside)]
    assert list(looks.contents(asked)) == [b"picture", None, *[b"picture"] * 3, None, None]


@pytest.mark.parametrize("process_id", ["train_00000000abcd", "../../etc", ".live", ""])
def test_an_unknown_process_is_not_found(looks: VolumeView, workspace: Workspace, process_id: str) -> None:
    with pytest.raises(NotFound):
        looks.process(process_id)


def test_a_record_that_is_being_replaced_is_read_again(
    volume: RunningVolume,
    looks: VolumeView,
    records: FileRecords,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = make_record(process_id=new_process_id("train", BEGAN - timedelta(days=1)))
    records.create(record)
    volume.settle()
    torn: list[bool] = []
    whole: Callable[..., bytes | None] = looks._content

    def read(path: Path) -> bytes | None:
        data = whole(path)
        if data is not None and not torn:
            torn.append(True)
            return data[: len(data) // 2]
        return data

    monkeypatch.setattr(looks, "_content", read)
    assert looks.record(record.process_id) == record
    assert torn


async def test_an_event_loop_asks_without_waiting(
    volume: RunningVolume, training: ProcessRecord, history: list[ProcessRecord]
) -> None:
    asked = AsyncVolume(Volume(volume.access()))
    try:
        shown, page = await asyncio.gather(
            asked.ask(lambda view: view.process(training.process_id)),
            asked.ask(lambda view: view.processes(limit=3)),
        )
    finally:
        await asked.close()

    assert shown.process_id == training.process_id
    assert [one.process_id for one in page.processes] == [one.process_id for one in history[:3]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret_key": "rps_wrong_but_secret"}, "does not accept the S3 keys.*RUNPOD_S3_SECRET_KEY"),
        ({"access_key": "user_other"}, "does not accept the S3 keys.*RUNPOD_S3_ACCESS_KEY"),
        ({"volume": "nosuchvol"}, "There is no volume nosuchvol.*LORAPOD_VOLUME"),
    ],
)
async def test_a_refusal_says_what_to_check(
    volume: RunningVolume, changes: dict[str, str], said: str
) -> None:
    asked = AsyncVolume(Volume(volume.access(**changes)))
    with pytest.raises(LorapodError, match=said) as refused:
        await asked.ask(lambda view: view.processes())
    await asked.close()

    for secret in (SECRET_KEY, "rps_wrong_but_secret", "user_other"):
        assert secret not in str(refused.value)
        assert secret not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("action", "fields", "field"),
    [
        ("process_status", {}, "process_id"),
        ("process_status", {"process_id": 5}, "process_id"),
        ("process_status", {"process_id": "train_0123456789ab", "log_tail": "abc"}, "log_tail"),
        ("processes", {"limit": -1}, "limit"),
        ("processes", {"limit": 10**9}, "limit"),
        ("processes", {"status": 7}, "status"),
        ("logs", {"process_id": "train_0123456789ab", "offset": "x"}, "offset"),
        ("metrics", {"process_id": "train_0123456789ab", "stride": 0}, "stride"),
        ("metrics", {"process_id": "train_0123456789ab", "keys": "loss/loss"}, "keys"),
        ("list_files", {"path": 5}, "path"),
        ("datasets", {"limit": -1}, "limit"),
        ("dataset", {"training_name": 5, "thumbnail_px": 0}, "training_name"),
        ("list_files", {"limit": 0}, "limit"),
    ],
)
def test_a_wrong_request_is_refused_as_a_worker_does(
    looks: VolumeView, action: str, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        VolumeAnswers(looks).answer(action, fields)

    assert [problem["field"] for problem in refused.value.details] == [field]


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"version": "2"}', b'{"a": "\xff', b"[]", b""], ids=range(5)
)
def test_a_damaged_record_hides_no_other(
    looks: VolumeView, history: list[ProcessRecord], workspace: Workspace, data: bytes
) -> None:
    folder = workspace.process_folder(new_process_id("train", BEGAN + timedelta(days=2)))
    (folder / "taken" / "²").mkdir(parents=True)
    (folder / "record.json").write_bytes(data)
    RunningVolume.settle()
    try:
        found = looks.processes(limit=1).processes
    finally:
        shutil.rmtree(folder)

    assert [one.process_id for one in found] == [history[0].process_id]


def test_a_download_mixes_no_two_files(
    volume: RunningVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (volume.folder / "whole.bin").write_bytes(b"B" * 1000)
    (tmp_path / "whole.bin.part").write_bytes(b"A" * 500)
    volume.settle()
    with Volume(volume.access()) as opened:
        state = opened.files.state
        # As of a file that was uploaded in parts.
        monkeypatch.setattr(opened.files, "state", lambda path: replace(state(path), etag="0123-2"))

        arrived = download_from_volume(opened.files, Path("whole.bin"), tmp_path)

    assert arrived.read_bytes() == b"B" * 1000
