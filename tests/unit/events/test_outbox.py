from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from lorapod.events.outbox import Outbox, Position
from lorapod.events.outbox_part import OutboxPart, PartHeader
from lorapod.testing.events import PROCESS_ID, sample_event
from lorapod.workspace import Workspace

EVERYTHING = 1000


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(Workspace.create(tmp_path / "workspace"), PROCESS_ID)


def tell(part: OutboxPart, *sequences: int) -> None:
    for sequence in sequences:
        part.append(sample_event(sequence), durable=sequence % 2 == 0)


def sequences(outbox: Outbox, position: Position = Position(), limit: int = EVERYTHING) -> list[int]:  # noqa: B008 - frozen
    return [event.sequence for event, _ in outbox.read(position, limit).events]


def test_an_empty_outbox_has_nothing(outbox: Outbox) -> None:
    assert sequences(outbox) == []
    assert outbox.newest() == ""
    assert outbox.count(Position()) == 0
    assert list(outbox.sinks()) == []


def test_what_was_told_is_read_in_order_over_all_parts(outbox: Outbox) -> None:
    tell(outbox.begin(1), 1, 2)
    tell(outbox.begin(1), 3)
    tell(outbox.begin(12), 4, 5)
    assert sequences(outbox) == [1, 2, 3, 4, 5]
    assert [event.sequence for event in outbox.history()] == [1, 2, 3, 4, 5]
    assert outbox.newest() == "000012.0000.jsonl"


def test_reading_goes_on_from_any_position(outbox: Outbox) -> None:
    tell(outbox.begin(1), 1, 2, 3)
    tell(outbox.begin(2), 4, 5)
    behind = [position for _, position in outbox.read(Position(), EVERYTHING).events]
    for count, position in enumerate(behind, start=1):
        assert sequences(outbox, position) == [1, 2, 3, 4, 5][count:]
        assert outbox.count(position) == 5 - count
    assert sequences(outbox, limit=2) == [1, 2]
    assert sequences(outbox, behind[1], limit=2) == [3, 4]


def test_what_a_late_writer_adds_does_not_count(outbox: Outbox) -> None:
    late = outbox.begin(1)
    tell(late, 1, 2)
    tell(outbox.begin(2), 3)
    tell(late, 3, 4)
    assert [event.event_id for event in outbox.history()] == [
        f"{PROCESS_ID}-{number}" for number in (1, 2, 3)
    ]
    assert outbox.count(Position()) == 3


def test_half_a_line_does_not_count_and_is_written_over(outbox: Outbox) -> None:
    part = outbox.begin(1)
    tell(part, 1)
    with part.path.open("ab") as file:
        file.write(sample_event(2).body()[:40])
    assert sequences(outbox) == [1]
    tell(part, 2, 3)
    assert sequences(outbox) == [1, 2, 3]


def test_half_a_line_of_a_dead_worker_is_passed_over(outbox: Outbox) -> None:
    part = outbox.begin(1)
    tell(part, 1)
    with part.path.open("ab") as file:
        file.write(sample_event(2).body()[:40])
    tell(outbox.begin(2), 2)
    assert sequences(outbox) == [1, 2]


def test_a_damaged_line_is_passed_over(outbox: Outbox) -> None:
    part = outbox.begin(1)
    tell(part, 1, 2, 3)
    content = part.path.read_bytes().splitlines(keepends=True)
    content[2] = b"\x00" * (len(content[2]) - 1) + b"\n"
    part.path.write_bytes(b"".join(content))
    assert sequences(outbox) == [1, 3]


def test_a_part_whose_writer_died_at_once_has_nothing(outbox: Outbox) -> None:
    tell(outbox.begin(1), 1)
    (outbox.folder / "000002.0000.jsonl").touch()
    assert sequences(outbox) == [1]
    tell(outbox.begin(3), 2)
    assert sequences(outbox) == [1, 2]


def test_of_two_that_begin_at_once_each_gets_a_part(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.begin(1)
    listing = Outbox._parts
    stale: list[list[str]] = [[]]

    def parts(self: Outbox) -> list[str]:
        return stale.pop() if stale else listing(self)

    monkeypatch.setattr(Outbox, "_parts", parts)
    assert outbox.begin(1).path.name == "000001.0001.jsonl"


def test_a_full_disk_leaves_the_part_as_it_was(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    part = outbox.begin(1)
    tell(part, 1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            part.append(sample_event(2), durable=True)
    tell(part, 2)
    assert sequences(outbox) == [1, 2]


def test_half_an_event_is_none(outbox: Outbox) -> None:
    """The system writes what there is room for, and says how much that was."""
    part = outbox.begin(1)
    tell(part, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (part.path.stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(OSError, match="No space"):
            part.append(sample_event(2), durable=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert sequences(outbox) == [1]
    tell(part, 2, 3)
    assert sequences(outbox) == [1, 2, 3]


def test_how_far_each_sink_has_come_is_kept(outbox: Outbox) -> None:
    tell(outbox.begin(1), 1)
    assert outbox.delivered("rabbitmq") is None
    position = Position(part="000001.0000.jsonl", offset=100, ended=True)
    outbox.keep_delivered("rabbitmq", position)
    outbox.keep_delivered("callback", Position())
    assert outbox.delivered("rabbitmq") == position
    assert list(outbox.sinks()) == ["callback", "rabbitmq"]
    (outbox.folder / "rabbitmq.json").write_bytes(b"{")
    assert outbox.delivered("rabbitmq") is None


def test_a_part_is_made_by_one_writer(tmp_path: Path) -> None:
    OutboxPart(tmp_path / "a.jsonl", PartHeader())
    with pytest.raises(FileExistsError):
        OutboxPart(tmp_path / "a.jsonl", PartHeader())


@pytest.mark.timeout(10)
def test_a_gap_in_the_numbers_of_parts_does_not_stop_the_next(outbox: Outbox) -> None:
    first = outbox.begin(1)
    tell(first, 1)
    tell(outbox.begin(1), 2)
    first.path.unlink()
    tell(outbox.begin(1), 3)
    assert sequences(outbox) == [2, 3]
    assert outbox.newest() == "000001.0002.jsonl"


def test_a_late_part_of_an_older_run_cuts_nothing_off_the_newer_one(outbox: Outbox) -> None:
    tell(outbox.begin(1), 1)
    newer = outbox.begin(2)
    tell(newer, 2)
    outbox.begin(1)
    tell(newer, 3)
    assert sequences(outbox) == [1, 2, 3]
    assert outbox.newest() == newer.path.name


def test_parts_that_cannot_be_listed_are_not_no_parts(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(outbox.begin(1), 1)

    def broken(path: object) -> object:
        raise PermissionError(f"{path} cannot be read")

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(PermissionError):
        outbox.newest()
    with pytest.raises(PermissionError):
        outbox.sinks()
