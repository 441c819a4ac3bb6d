from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from lorapod.processes.console import WAITING_LINES, Console


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_lines_come_whole_and_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    console = Console(writing)
    for number in range(3):
        console.line("train_1", f"step {number} ü \ud800")
    console.close()
    assert os.read(reading, 4096).decode().splitlines() == [
        f"train_1: step {number} ü ?" for number in range(3)
    ]


def test_a_reader_that_stands_still_holds_nobody_up_and_hears_how_much_it_missed(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    console = Console(writing)
    began = time.monotonic()
    for _ in range(2 * WAITING_LINES):
        console.line("train_1", "x" * 1000)
    assert time.monotonic() - began < 5
    read = b""
    while not read.endswith(b"in time\n"):
        read += os.read(reading, 65536)
    *lines, missed = read.decode().splitlines()
    assert set(lines) == {"train_1: " + "x" * 1000}
    assert len(lines) + int(missed.split()[0]) == 2 * WAITING_LINES
    console.close()


def test_a_worker_that_ends_does_not_wait_for_it(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    for _ in range(2 * WAITING_LINES):
        console.line("train_1", "x" * 1000)
    began = time.monotonic()
    console.close()
    assert time.monotonic() - began < 10


def test_an_output_that_is_gone_is_no_error(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    console = Console(writing)
    os.close(reading)
    for _ in range(10):
        console.line("train_1", "nobody hears this")
    console.close()
