"""The volume over loopback S3: 1,000 processes, a page of samples, a large file; beside bare requests for the same bytes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.benchmarks.report import Report
from tests.servers.volume_server import RunningVolume

from lorapod.client.volume import Volume
from lorapod.client.volume_download import download_from_volume
from lorapod.records.process_id import new_process_id
from lorapod.records.status import ProcessStatus
from lorapod.records.stored_record import RECORD_NAME, TAKEN_NAME, dump, record_path
from lorapod.testing.records import make_record
from lorapod.volume.view import READS_AT_A_TIME
from lorapod.workspace import Workspace

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

PROCESSES = 1000
#: What the project promises.
MOST_LIST_S = 3.0

ROUNDS = 3
SAMPLES, SAMPLE_BYTES = 48, 400_000
FILE_BYTES = 200_000_000


@pytest.fixture(scope="module")
def ids(volume: RunningVolume) -> list[str]:
    """1,000 processes as a worker leaves them: a record, an order, a config, some of them resumed."""
    processes = Workspace.create(volume.folder).processes
    began = datetime(2026, 1, 1, tzinfo=UTC)
    made = []
    for number in range(PROCESSES):
        moment = began + timedelta(seconds=number)
        record = make_record(
            process_id=new_process_id("train", moment), status=ProcessStatus.COMPLETED, created_at=moment
        )
        folder = processes / record.process_id
        for generation in (1, 2) if number % 20 == 0 else (1,):
            path = record_path(folder, generation)
            path.parent.mkdir(parents=True)
            path.write_bytes(dump(record.changed(generation=generation)))
        (folder / "order.json").write_text("{}" * 500)
        (folder / "config.yaml").write_text("job: extension\n" * 50)
        made.append(record.process_id)
    volume.settle()
    return made[::-1]


@pytest.fixture
def opened(volume: RunningVolume) -> Iterator[Volume]:
    with Volume(volume.access()) as each:
        yield each


def medians(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """The median time of each in seconds; they take turns, so that they see the same machine."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, kept in zip(calls, taken, strict=True):
            began = time.perf_counter()
            call()
            kept.append(time.perf_counter() - began)
    return [statistics.median(kept) for kept in taken]


def test_a_thousand_processes_are_listed_in_seconds(opened: Volume, ids: list[str], report: Report) -> None:
    def listed() -> None:
        page = opened.view.processes(limit=PROCESSES)
        assert [one.process_id for one in page.processes] == ids

    def bare() -> None:
        def read(process_id: str) -> bytes:
            return opened.bucket.request("GET", f"processes/{process_id}/{RECORD_NAME}").body

        with ThreadPoolExecutor(READS_AT_A_TIME) as pool:
            list(pool.map(lambda each: list(opened.bucket.folder(f"processes/{each}/{TAKEN_NAME}/")), ids))
            assert all(pool.map(read, ids))

    measured, reference = medians(ROUNDS, listed, bare)
    first, _ = medians(ROUNDS, lambda: opened.view.processes(limit=20), bare)
    report(
        f"{PROCESSES} processes listed over S3",
        measured,
        "s",
        against="bare requests for the same",
        reference=reference,
        at_most=MOST_LIST_S,
    )
    report("The newest 20 of them", first, "s")


def test_a_page_of_samples_comes_at_once(
    volume: RunningVolume, opened: Volume, tmp_path: Path, report: Report
) -> None:
    folder = volume.folder / "output" / "samples"
    folder.mkdir(parents=True)
    names = [f"{number}.jpg" for number in range(SAMPLES)]
    for name in names:
        (folder / name).write_bytes(os.urandom(SAMPLE_BYTES))
    volume.settle()
    paths = [f"output/samples/{name}" for name in names]

    def together() -> None:
        assert all(opened.view.contents(paths))

    def one_by_one() -> None:
        for path in paths:
            opened.files.read(Path(path))

    measured, reference = medians(ROUNDS, together, one_by_one)
    report(f"{SAMPLES} samples over S3", measured, "s", against="one by one", reference=reference)


def test_a_large_file_arrives_at_the_speed_of_s3(
    volume: RunningVolume, opened: Volume, tmp_path: Path, report: Report
) -> None:
    (volume.folder / "large.bin").write_bytes(os.urandom(FILE_BYTES))
    volume.settle()

    def downloaded() -> None:
        download_from_volume(opened.files, Path("large.bin"), tmp_path / "large.bin")

    def bare() -> None:
        (tmp_path / "bare.bin").write_bytes(opened.files.read(Path("large.bin")).data)

    measured, reference = medians(3, downloaded, bare)
    report(
        f"A file of {FILE_BYTES / 1e6:.0f} MB over S3, checked and synced",
        measured,
        "s",
        against="one bare request",
        reference=reference,
    )
