from __future__ import annotations

import logging

import pytest

from lorapod.processes.log import Line
from lorapod.processes.resident.child import ChildOutput
from lorapod.testing.clock import FakeClock


def test_lines_go_to_the_generation_that_runs_else_to_the_workers_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    output, lines = ChildOutput(FakeClock(), "caption"), list[str]()
    with caplog.at_level(logging.INFO, "lorapod"):
        output.write(Line(text="before"))
        with output.into(lines.append):
            output.write(Line(text="during  "))
            output.write(Line(text="   "))
        output.write(Line(text="after"))

    assert lines == ["during"]
    assert [vars(record)["line"] for record in caplog.records] == ["before", "after"]


def test_bars_are_thinned_out() -> None:
    clock, lines = FakeClock(), list[str]()
    output = ChildOutput(clock, "caption")
    with output.into(lines.append):
        for percent in range(100):
            output.write(Line(text=f"{percent}%", repainted=True))
            clock.advance(0.25)
        output.write(Line(text="100%"))

    assert lines == ["0%", "40%", "80%", "100%"]
