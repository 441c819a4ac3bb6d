from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lorapod import work_marker
from lorapod.deadline import Deadline
from lorapod.settings import Settings
from lorapod.storage.mirror import mirror
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.storage.model_card import TrainedModel
from lorapod.storage.port import ObjectStore, StoreUnavailable
from lorapod.storage.s3_access import JobS3
from lorapod.testing.clock import FakeClock
from lorapod.testing.objects import MemoryObjects
from lorapod.wire.storage import Target
from lorapod.workspace import Workspace

PROCESS = "train_0123456789ab"
UPLOAD = {"local": {"path": "bucket"}}
KEY = "cat/checkpoints/cat.safetensors"
WEIGHTS = (2).to_bytes(8, "little") + b"{}"
SOON_S = 10.0


class Bench:
    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root)
        self.run_folder = self.workspace.output_folder(PROCESS) / "cat"
        self.clock = FakeClock()
        self.store = MemoryObjects()
        self.defects = 0
        self.ended = False
        self.ended_answer: Callable[[str], bool] = lambda _: self.ended
        self.mirrors = self.another()

    def another(self) -> Mirrors:
        return Mirrors(
            workspace=self.workspace,
            clock=self.clock,
            scratch=self.workspace.root / "scratch",
            open_target=self.open,
            default=None,
            has_ended=lambda process_id: self.ended_answer(process_id),  # noqa: PLW0108 - a test may replace it
        )

    @contextmanager
    def open(self, location: Target, *, job_s3: JobS3 | None = None) -> Iterator[ObjectStore]:
        if self.defects:
            self.defects -= 1
            raise RuntimeError("a defect")
        yield self.store

    def begin(self, generation: int = 1) -> None:
        self.mirrors.begin(
            PROCESS, generation, model=TrainedModel(name="cat"), run_folder=self.run_folder, upload=UPLOAD
        )

    def write(self) -> None:
        self.run_folder.mkdir(parents=True, exist_ok=True)
        (self.run_folder / "cat.safetensors").write_bytes(WEIGHTS)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = Bench(tmp_path / "workspace")
    yield opened
    opened.mirrors.close(Deadline.after(0))


def eventually(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON_S
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_rest_is_sent_at_the_end(bench: Bench) -> None:
    bench.begin()
    bench.write()
    assert not bench.mirrors.finished(PROCESS)
    bench.mirrors.end(PROCESS, 1, lost=False)
    eventually(lambda: bench.mirrors.finished(PROCESS))
    assert bench.store.content(KEY) == WEIGHTS


def test_a_late_end_of_an_earlier_run_does_not_end_the_next_one(bench: Bench) -> None:
    bench.begin(1)
    bench.begin(2)
    bench.mirrors.end(PROCESS, 1, lost=False)
    bench.write()
    assert not bench.mirrors.finished(PROCESS)
    bench.mirrors.end(PROCESS, 2, lost=False)
    eventually(lambda: bench.mirrors.finished(PROCESS))
    assert bench.store.content(KEY) == WEIGHTS


def test_what_a_lost_run_left_stays_marked_for_others(bench: Bench) -> None:
    bench.begin()
    bench.write()
    bench.mirrors.end(PROCESS, 1, lost=True)
    bench.mirrors.close(Deadline.after(SOON_S))
    assert not bench.mirrors.finished(PROCESS)
    other, bench.ended = bench.another(), True
    other.sweep()
    bench.clock.advance(work_marker.ABANDONED_S)
    other.sweep()
    eventually(lambda: other.finished(PROCESS))
    assert bench.store.content(KEY) == WEIGHTS
    other.close(Deadline.after(0))


def test_a_worker_that_wakes_late_stops_to_send_what_another_one_sends(bench: Bench) -> None:
    bench.begin()
    bench.ended, other = True, bench.another()
    other.sweep()
    bench.clock.advance(work_marker.ABANDONED_S)
    bench.defects = 1000
    other.sweep()
    bench.mirrors.sweep()
    eventually(lambda: PROCESS not in bench.mirrors._active)
    other.close(Deadline.after(0))


def test_a_live_process_is_left_to_its_worker(bench: Bench) -> None:
    bench.begin()
    bench.write()
    other = bench.another()
    for _ in range(3):
        other.sweep()
        bench.clock.advance(work_marker.ABANDONED_S)
    assert not other.finished(PROCESS)
    assert list(bench.store.list_objects()) == []
    other.close(Deadline.after(0))


@pytest.mark.expects_errors("mirror failed")
def test_a_defect_ends_no_training_and_is_made_good_later(bench: Bench) -> None:
    bench.begin()
    bench.write()
    bench.defects = 1
    bench.mirrors.end(PROCESS, 1, lost=False)
    eventually(lambda: PROCESS not in bench.mirrors._active)
    assert not bench.mirrors.finished(PROCESS)
    bench.ended = True
    bench.mirrors.sweep()
    bench.clock.advance(work_marker.ABANDONED_S)
    bench.mirrors.sweep()
    eventually(lambda: bench.mirrors.finished(PROCESS))
    assert bench.store.content(KEY) == WEIGHTS


def test_without_file_events_it_looks_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def deaf(folder: Path, wake: threading.Event) -> Iterator[None]:
        yield

    monkeypatch.setattr("lorapod.storage.mirror.mirrors.watching", deaf)
    monkeypatch.setattr(mirror, "RESCAN_S", 0.02)
    bench.begin()
    bench.write()

    def sent() -> bool:
        bench.clock.advance(1)
        return bench.store.stat(KEY) is not None

    eventually(sent)


def test_an_endpoints_targets_are_read_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOAD_TARGETS", '{"s3": {"prefix": "loras"}, "huggingface": {"repo_id": "me/cat"}}')
    targets = Settings().upload_targets
    assert targets is not None
    assert [type(target).__name__ for target in targets.targets] == ["S3Prefix", "HuggingFaceRepo"]


def test_a_sweep_marks_nothing_that_was_sent_meanwhile(bench: Bench) -> None:
    bench.begin()
    bench.write()
    ended, sweeping = bench.ended_answer, threading.get_ident()

    def slow(process_id: str) -> bool:
        if threading.get_ident() == sweeping:
            bench.store.failure = None
            bench.clock.advance(60)
            eventually(lambda: bench.mirrors.finished(PROCESS))
        return ended(process_id)

    bench.ended_answer = slow
    bench.store.failure = StoreUnavailable("It is away.")
    bench.ended = True
    bench.mirrors.end(PROCESS, 1, lost=False)
    bench.mirrors.sweep()
    assert bench.mirrors.finished(PROCESS)
