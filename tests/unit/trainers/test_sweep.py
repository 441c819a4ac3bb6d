"""Sweeps: which of their trainings they resume."""

from __future__ import annotations

import pytest

from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record
from lorapod.trainers.sweep_run import takes_up


@pytest.mark.parametrize(
    ("status", "reason", "after_a_death", "after_an_end"),
    [
        ("completed", None, False, False),
        ("running", None, False, False),
        ("interrupted", None, True, True),
        ("failed", None, True, True),
        ("cancelled", None, False, False),
        ("cancelled", "sweep", True, True),
        ("cancelled", "limit", False, True),
        ("cancelled", "no_improvement", False, False),
    ],
)
def test_a_resumed_sweep_takes_up_what_nobody_wanted_to_end(
    status: str, reason: str | None, *, after_a_death: bool, after_an_end: bool
) -> None:
    record = make_record(status=ProcessStatus(status), reason=reason)
    assert takes_up(record, beyond_limits=False) == after_a_death
    assert takes_up(record, beyond_limits=True) == after_an_end
