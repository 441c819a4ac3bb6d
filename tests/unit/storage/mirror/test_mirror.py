from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lorapod.errors import InvalidInput
from lorapod.storage.mirror.artifact import DEBOUNCE_S, MirroredRun
from lorapod.storage.mirror.ledger import UploadLedger, read_ledger
from lorapod.storage.mirror.mirror import FIRST_WAIT_S, LOG_INTERVAL_S, Mirror
from lorapod.storage.port import ObjectStore, StoredObject, StoreRefused, StoreUnavailable
from lorapod.testing.clock import FakeClock
from lorapod.testing.objects import MemoryObjects
from lorapod.wire.storage import HuggingFaceRepo, LocalFolder, Target, UploadTargets

WEIGHTS = (2).to_bytes(8, "little") + b"{}"
CHECKPOINT = "cat/checkpoints/cat.safetensors"
LOG = "cat/logs/training.log"


class CountingObjects(MemoryObjects):
    def __init__(self) -> None:
        super().__init__()
        self.puts: list[str] = []
        #: By key.
        self.failures: dict[str, Exception] = {}
        self.after_put: Callable[[], None] = lambda: None

    def put_file(self, path: Path, key: str, **options: object) -> StoredObject:
        if key in self.failures:
            raise self.failures[key]
        stored = super().put_file(path, key, **options)  # type: ignore[arg-type]
        self.puts.append(key)
        self.after_put()
        return stored


class Bench:
    def __init__(self, root: Path, targets: UploadTargets | None = None) -> None:
        self.root = root
        self.folder = root / "cat"
        (self.folder / "samples").mkdir(parents=True)
        self.clock = FakeClock()
        self.store = CountingObjects()
        self.refusal: InvalidInput | None = None
        self.targets = targets or UploadTargets(local=LocalFolder(path="there"))
        self.mirror = self.fresh()

    @contextmanager
    def open(self, target: Target) -> Iterator[ObjectStore]:
        if self.refusal is not None:
            raise self.refusal
        yield self.store

    def fresh(self) -> Mirror:
        """As the next worker has it."""
        path = self.root / "uploads" / "local.json"
        run = MirroredRun(process_id="train_0", folder=self.folder, log=self.root / "train.log", root="cat")
        ledger = read_ledger(path) or UploadLedger(
            target=self.targets, folder="cat", log="train.log", root="cat"
        )
        return Mirror(
            run,
            ledger,
            path=path,
            open_target=self.open,
            clock=self.clock,
            scratch=self.root / "scratch",
        )

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def step_after(self, seconds: float, *, still: bool = False) -> float | None:
        self.clock.advance(seconds)
        return self.mirror.step(still=still)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_file_is_sent_once_it_has_settled(bench: Bench) -> None:
    bench.write("samples/1.png", b"half")
    wait_s = bench.mirror.step(still=False)
    assert wait_s == DEBOUNCE_S
    bench.clock.advance(DEBOUNCE_S - 1)
    bench.write("samples/1.png", b"halfwhole")
    bench.mirror.step(still=False)
    bench.step_after(1)
    assert bench.store.puts == []
    bench.step_after(DEBOUNCE_S - 1)
    assert bench.store.content("cat/samples/1.png") == b"halfwhole"
    bench.step_after(60)
    assert bench.store.puts == ["cat/samples/1.png"]


def test_cut_off_weights_are_never_sent(bench: Bench) -> None:
    bench.write("cat.safetensors", WEIGHTS[:-1])
    bench.mirror.step(still=False)
    bench.step_after(60)
    assert bench.step_after(1, still=True) is None
    assert bench.store.puts == []
    bench.write("cat.safetensors", WEIGHTS)
    assert bench.step_after(1, still=True) is None
    assert bench.store.content(CHECKPOINT) == WEIGHTS


def test_the_next_worker_sends_only_what_is_missing(bench: Bench) -> None:
    bench.write("cat_000000001.safetensors", WEIGHTS)
    assert bench.mirror.step(still=True) is None
    bench.write("cat.safetensors", WEIGHTS)
    bench.mirror = bench.fresh()
    assert bench.mirror.step(still=True) is None
    assert bench.store.puts == ["cat/checkpoints/cat_000000001.safetensors", CHECKPOINT]


def test_a_file_that_was_only_touched_is_not_sent_again(bench: Bench) -> None:
    path = bench.write("cat.safetensors", WEIGHTS)
    bench.mirror.step(still=True)
    path.touch()
    bench.mirror.step(still=True)
    path.write_bytes((10).to_bytes(8, "little") + b"{}        ")
    bench.mirror.step(still=True)
    assert bench.store.puts == [CHECKPOINT, CHECKPOINT]


def test_a_store_that_is_away_is_asked_again_later_and_later(bench: Bench) -> None:
    bench.write("cat.safetensors", WEIGHTS)
    bench.store.failure = StoreUnavailable("It is away.")
    assert bench.mirror.step(still=True) == FIRST_WAIT_S
    assert bench.mirror.ledger.failed == {CHECKPOINT: "It is away."}
    assert bench.step_after(FIRST_WAIT_S, still=True) == 2 * FIRST_WAIT_S
    waits = [bench.step_after(60, still=True) for _ in range(10)]
    assert waits[-1] == 60
    bench.store.failure = None
    assert bench.step_after(1, still=True) == 59
    assert bench.step_after(59, still=True) is None
    assert bench.store.puts == [CHECKPOINT]
    assert bench.mirror.ledger.failed == {}


def test_what_is_refused_is_not_tried_again_until_it_changes(bench: Bench) -> None:
    bench.write("cat.safetensors", WEIGHTS)
    bench.store.failure = StoreRefused("Wrong key.", hint="Check it.")
    assert bench.mirror.step(still=True) is None
    bench.store.failure = None
    assert bench.mirror.step(still=True) is None
    assert bench.store.puts == []
    assert bench.mirror.ledger.failed == {CHECKPOINT: "Wrong key. Check it."}
    bench.mirror = bench.fresh()
    assert bench.mirror.step(still=True) is None
    assert bench.store.puts == [CHECKPOINT]


def test_a_target_without_credentials_is_told_and_waited_for_by_nobody(bench: Bench) -> None:
    bench.write("cat.safetensors", WEIGHTS)
    bench.refusal = InvalidInput("BUCKET_NAME is not set.")
    assert bench.mirror.step(still=True) is None
    assert bench.mirror.ledger.failed == {"": "BUCKET_NAME is not set."}


def test_a_growing_log_is_sent_now_and_then_and_at_the_end(bench: Bench) -> None:
    log = bench.root / "train.log"
    log.write_bytes(b"one\n")
    bench.mirror.step(still=False)
    assert bench.store.content(LOG) == b"one\n"
    log.write_bytes(b"one\ntwo\n")
    bench.step_after(LOG_INTERVAL_S - 1)
    assert bench.store.puts == [LOG]
    bench.step_after(1)
    assert bench.store.content(LOG) == b"one\ntwo\n"
    log.write_bytes(b"one\ntwo\nend\n")
    bench.step_after(1, still=True)
    assert bench.store.content(LOG) == b"one\ntwo\nend\n"
    assert list((bench.root / "scratch").iterdir()) == []


def test_the_hub_gets_logs_only_at_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, UploadTargets(huggingface=HuggingFaceRepo(repo_id="me/cat")))
    (tmp_path / "train.log").write_bytes(b"one\n")
    bench.step_after(600)
    assert bench.store.puts == []
    bench.step_after(1, still=True)
    assert bench.store.puts == [LOG]


def test_the_metrics_of_a_killed_trainer_come_with_their_journal(bench: Bench) -> None:
    database = bench.folder / "loss_log.db"
    with closing(sqlite3.connect(database)) as open_one:
        open_one.execute("PRAGMA journal_mode=WAL")
        open_one.execute("CREATE TABLE losses (step INTEGER)")
        open_one.execute("INSERT INTO losses VALUES (7)")
        open_one.commit()
        bench.step_after(600)
        assert bench.store.puts == []
        assert bench.mirror.step(still=True) is None
    copy = bench.root / "copy.db"
    copy.write_bytes(bench.store.content("cat/logs/loss_log.db"))
    with closing(sqlite3.connect(copy)) as sent:
        assert sent.execute("SELECT step FROM losses").fetchall() == [(7,)]


def test_a_file_that_changes_while_it_is_sent_is_sent_again(bench: Bench) -> None:
    path = bench.write("samples/1.png", b"one")

    def change_once() -> None:
        if len(bench.store.puts) == 1:
            path.write_bytes(b"changed")

    bench.store.after_put = change_once
    bench.mirror.step(still=False)
    bench.step_after(DEBOUNCE_S)
    bench.mirror.step(still=False)
    bench.step_after(DEBOUNCE_S)
    assert bench.store.content("cat/samples/1.png") == b"changed"
    assert len(bench.store.puts) == 2


def test_two_mirrors_of_one_target_send_nothing_twice(bench: Bench) -> None:
    other = bench.fresh()
    bench.write("cat.safetensors", WEIGHTS)
    bench.mirror.step(still=True)
    other.step(still=True)
    assert bench.store.puts == [CHECKPOINT]


@pytest.mark.parametrize("unreadable", ["cat", "cat/samples"])
def test_a_folder_that_cannot_be_read_at_the_last_look_is_read_again(
    bench: Bench, unreadable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("cat.safetensors", WEIGHTS)
    bench.write("samples/1.png", b"picture")
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", stale(os.scandir, bench.root / unreadable))
        assert bench.mirror.step(still=True) == FIRST_WAIT_S
    assert bench.step_after(FIRST_WAIT_S, still=True) is None
    assert sorted(bench.store.puts) == [CHECKPOINT, "cat/samples/1.png"]


def test_weights_that_cannot_be_read_at_the_last_look_are_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.write("cat.safetensors", WEIGHTS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", stale(os.open, path))
        assert bench.mirror.step(still=True) == FIRST_WAIT_S
    assert bench.step_after(FIRST_WAIT_S, still=True) is None
    assert bench.store.puts == [CHECKPOINT]


def stale(function: Callable[..., Any], broken: Path) -> Callable[..., Any]:
    """Make a system call fail for one path as on a network volume that lost its server."""

    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(path, int) and Path(os.fsdecode(path)) == broken:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return function(path, *arguments, **options)

    return call


def test_final_weights_are_sent_first_and_logs_last(bench: Bench) -> None:
    (bench.root / "train.log").write_bytes(b"one\n")
    bench.write("samples/1.png", b"picture")
    for step in (2, 10, 1):
        bench.write(f"cat_{step:09d}.safetensors", WEIGHTS)
    bench.write("cat.safetensors", WEIGHTS)
    assert bench.mirror.step(still=True) is None
    assert bench.store.puts == [
        CHECKPOINT,
        "cat/checkpoints/cat_000000010.safetensors",
        "cat/checkpoints/cat_000000002.safetensors",
        "cat/checkpoints/cat_000000001.safetensors",
        "cat/samples/1.png",
        LOG,
    ]


def test_files_that_cannot_be_sent_do_not_block_the_others(bench: Bench) -> None:
    (bench.root / "train.log").write_bytes(b"one\n")
    broken = [f"cat/checkpoints/cat_{step:09d}.safetensors" for step in (1, 2, 3)]
    for key in broken:
        bench.write(key.rpartition("/")[2], WEIGHTS)
        bench.store.failures[key] = StoreUnavailable("It broke off.")
    bench.write("samples/1.png", b"picture")
    bench.mirror.step(still=True)
    bench.step_after(60, still=True)
    assert bench.store.puts == ["cat/samples/1.png", LOG]
    assert sorted(bench.mirror.ledger.failed) == broken
    bench.store.failures.clear()
    assert bench.step_after(60, still=True) is None
    assert sorted(bench.store.puts) == sorted([*broken, "cat/samples/1.png", LOG])


def test_a_store_that_is_away_is_asked_for_two_files_not_for_all(bench: Bench) -> None:
    for number in range(9):
        bench.write(f"samples/{number}.png", b"picture")
    bench.store.failure = StoreUnavailable("It is away.")
    assert bench.mirror.step(still=True) == FIRST_WAIT_S
    assert len(bench.mirror.ledger.failed) == 2


def test_weights_that_can_never_be_read_do_not_block_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.write("cat_000000001.safetensors", WEIGHTS)
    bench.write("cat.safetensors", WEIGHTS)
    monkeypatch.setattr(os, "open", stale(os.open, path))
    assert bench.mirror.step(still=True) == FIRST_WAIT_S
    assert bench.store.puts == [CHECKPOINT]
    assert list(bench.mirror.ledger.failed) == ["cat/checkpoints/cat_000000001.safetensors"]
