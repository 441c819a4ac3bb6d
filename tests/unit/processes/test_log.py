from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lorapod.processes.log import REPAINT_INTERVAL_S, TAIL_LINES, ProcessLog
from lorapod.safety.redaction import Redactor
from lorapod.testing.clock import FakeClock
from lorapod.volume.log_part import read_log, read_log_tail


def test_of_a_progress_bar_one_picture_each_ten_seconds_and_the_last_are_kept(tmp_path: Path) -> None:
    clock = FakeClock()
    with ProcessLog(tmp_path / "log", max_bytes=10_000, clock=clock) as log:
        for step in range(100):
            log.write(f"step {step}", repaint=True)
            clock.advance(REPAINT_INTERVAL_S / 50)
        log.write("done")
    assert (tmp_path / "log").read_text().splitlines() == ["step 0", "step 50", "step 99", "done"]


def test_every_line_that_is_kept_is_told_too_without_its_secrets(tmp_path: Path) -> None:
    told: list[str] = []
    redactor = Redactor({"planted-secret-7f3a"})
    clock = FakeClock()
    with ProcessLog(tmp_path / "log", max_bytes=30, clock=clock, redactor=redactor, echo=told.append) as log:
        log.write("key=planted-secret-7f3a")
        for step in range(100):
            log.write(f"step {step}", repaint=True)
        log.write("past the bound")
    assert "planted" not in told[0]
    assert told[1:] == ["step 0", "step 99", "past the bound"]


def test_past_its_bound_the_log_keeps_its_end(tmp_path: Path) -> None:
    with ProcessLog(tmp_path / "log", max_bytes=1000, clock=FakeClock()) as log:
        for number in range(10_000):
            log.write(f"line {number}")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "line 0"
    assert lines[-TAIL_LINES:] == [f"line {number}" for number in range(10_000 - TAIL_LINES, 10_000)]
    assert "lines left out" in lines[-TAIL_LINES - 1]
    assert (tmp_path / "log").stat().st_size < 1000 + 20 * (TAIL_LINES + 10)


def test_a_second_run_goes_on_in_the_same_log(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with ProcessLog(tmp_path / "log", max_bytes=1000, clock=FakeClock()) as log:
            log.note(text)
    assert (tmp_path / "log").read_text() == "[lorapod] one\n[lorapod] two\n"


def test_the_tail_is_there_even_when_the_disk_is_not(tmp_path: Path) -> None:
    with ProcessLog(Path("/dev/full"), max_bytes=1000, clock=FakeClock()) as log:
        log.write("why it failed")
        assert log.tail == ["why it failed"]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    part = read_log(tmp_path / "none", 0, 100)
    assert (part.text, part.next_offset, part.eof) == ("", 0, True)


def test_the_tail_of_a_long_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(5000)))
    assert read_log_tail(tmp_path / "log", 3) == ["line 4997", "line 4998", "line 4999"]


@given(st.text(alphabet="aé▌🙂\n", max_size=200), st.integers(4, 50))
def test_parts_put_together_are_the_log(tmp_path_factory: object, text: str, limit: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"  # type: ignore[attr-defined]
    path.write_text(text)
    parts, offset = "", 0
    while True:
        part = read_log(path, offset, limit)
        assert part.offset == offset
        parts, offset = parts + part.text, part.next_offset
        if part.eof:
            break
    assert parts == text
