from __future__ import annotations

from dataclasses import dataclass

import pytest

from lorapod.errors import Conflict
from lorapod.processes.slots import GpuResident, refuse_if_busy
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record


@dataclass(frozen=True, kw_only=True)
class InLine:
    record: ProcessRecord
    resident: GpuResident | None = None


class Lodger:
    def release(self) -> None:
        pass


ENGINE = Lodger()


def process(
    number: int, status: ProcessStatus, eta_s: float | None = None, resident: GpuResident | None = None
) -> InLine:
    record = make_record(
        process_id=f"train_00000000000{number}", status=status, progress=StoredProgress(eta_s=eta_s)
    )
    return InLine(record=record, resident=resident)


RUNNING = process(1, ProcessStatus.RUNNING, 120)
SILENT = process(2, ProcessStatus.RUNNING)
QUEUED = process(3, ProcessStatus.QUEUED)
GENERATING = process(4, ProcessStatus.RUNNING, 30, ENGINE)


@pytest.mark.parametrize(("holders", "slots"), [([], 1), ([RUNNING], 2)])
def test_a_free_gpu_lets_it_pass(holders: list[InLine], slots: int) -> None:
    refuse_if_busy(holders, slots)


@pytest.mark.parametrize(
    ("holders", "slots", "told", "wait_s"),
    [
        ([RUNNING], 1, "train_000000000001: for about 120 s", 120),
        ([RUNNING, QUEUED], 1, "train_000000000001, and 1 more wait: for at least 120 s", 120),
        ([RUNNING, SILENT], 2, "train_000000000001, train_000000000002: for at least 120 s", 120),
        ([SILENT], 1, "train_000000000002: it is not known yet for how long", None),
        ([QUEUED], 1, "train_000000000003: it is not known yet for how long", None),
        ([QUEUED, RUNNING], 1, "train_000000000001, and 1 more wait", 120),
    ],
)
def test_a_taken_one_is_told_with_the_time(
    holders: list[InLine], slots: int, told: str, wait_s: float | None
) -> None:
    with pytest.raises(Conflict) as refused:
        refuse_if_busy(holders, slots)
    assert told in refused.value.message
    (detail,) = refused.value.details
    assert (detail["ahead"], detail.get("estimated_wait_s")) == (len(holders), wait_s)


def test_a_free_gpu_is_no_use_to_an_engine_that_is_busy_on_another() -> None:
    with pytest.raises(Conflict, match="taken by train_000000000004: for about 30 s"):
        refuse_if_busy([RUNNING, GENERATING], 3, ENGINE)

    refuse_if_busy([RUNNING, GENERATING], 3, Lodger())
    refuse_if_busy([RUNNING, GENERATING], 3)
