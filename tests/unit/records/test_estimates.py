from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lorapod.records.estimates import estimate_of, estimate_of_all, together
from lorapod.records.forecast import Basis, Estimate, Forecast
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.records.stored_record import dump, load

FORECAST = Forecast(
    steps_per_s=2.0,
    basis=Basis.GPU,
    start_s=30.0,
    other_s_per_step=0.1,
    gpu_memory_bytes=8,
    gpu="NVIDIA A40",
    explanation="why",
)


def record(status: ProcessStatus, *, step: int = 0, ran_s: float = 0.0, **training: Any) -> ProcessRecord:
    return ProcessRecord(
        process_id="train_000000000001",
        type="train",
        name="cats",
        folder="cats",
        status=status,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        worker_id="worker-1",
        progress=StoredProgress(step=step, total_steps=100),
        training=TrainingDetails(trainer="script", ran_s=ran_s, **{"forecast": FORECAST, **training}),
    )


@pytest.mark.parametrize(
    ("status", "step", "ran_s", "duration_s"),
    [
        (ProcessStatus.QUEUED, 0, 0.0, 30 + 100 * 0.6),
        (ProcessStatus.RUNNING, 0, 10.0, 30 + 100 * 0.6),
        (ProcessStatus.RUNNING, 50, 70.0, 70 + 50 * 0.6),
        # The last steps were not looked at.
        (ProcessStatus.COMPLETED, 98, 91.0, 91.0),
        # The rest, after a `resume`: the trainer starts again.
        (ProcessStatus.QUEUED, 40, 0.0, 30 + 60 * 0.6),
        (ProcessStatus.QUEUED, 40, 54.0, 54 + 30 + 60 * 0.6),
    ],
)
def test_it_is_corrected_while_it_runs(
    status: ProcessStatus, step: int, ran_s: float, duration_s: float
) -> None:
    found = estimate_of(record(status, step=step, ran_s=ran_s))
    assert found == Estimate(
        duration_s=round(duration_s, 1),
        steps_per_s=2.0,
        basis=Basis.GPU,
        gpu_memory_bytes=8,
        gpu="NVIDIA A40",
        explanation="why",
    )


def test_without_a_known_speed_there_is_no_duration() -> None:
    unknown = Forecast(explanation="Never measured.")
    found = estimate_of(record(ProcessStatus.RUNNING, step=50, ran_s=50.0, forecast=unknown))
    assert found == Estimate(explanation="Never measured.")
    assert estimate_of(record(ProcessStatus.RUNNING, forecast=None)) is None


def test_the_forecast_is_stored_and_records_without_one_are_read() -> None:
    stored = record(ProcessStatus.QUEUED)
    assert load(dump(stored)) == stored
    earlier = dump(stored).replace(b'"forecast"', b'"forecast_of_nothing"')
    assert b'"forecast"' not in earlier
    read = load(earlier)
    assert read.training is not None
    assert read.training.forecast is None
    without_gpu = load(re.sub(rb'"gpu": ?"NVIDIA A40",? ?', b"", dump(stored)))
    assert without_gpu.training is not None
    assert without_gpu.training.forecast == replace(FORECAST, gpu=None)


def test_a_sweep_takes_the_sum_and_is_as_sure_as_its_weakest_part() -> None:
    sure = replace(FORECAST, basis=Basis.HERE, explanation="sure", gpu_memory_bytes=4)
    found = together([(sure.estimate(100), 100), (FORECAST.estimate(50), 50)])
    assert found == Estimate(
        duration_s=150.0,
        steps_per_s=2.0,
        basis=Basis.GPU,
        gpu_memory_bytes=8,
        gpu="NVIDIA A40",
        explanation="why",
    )
    unknown = Forecast(explanation="Never measured.")
    assert together([(sure.estimate(100), 100), (unknown.estimate(50), 50)]) == Estimate(
        explanation="Never measured."
    )
    mixed = together([(FORECAST.estimate(9), 9), (replace(FORECAST, gpu="NVIDIA L40S").estimate(9), 9)])
    assert (mixed.gpu, mixed.explanation) == (None, "why")


def test_what_has_ended_takes_no_longer_than_it_did() -> None:
    over = record(ProcessStatus.FAILED, step=10, ran_s=25.0)
    done = record(ProcessStatus.COMPLETED, step=100, ran_s=91.0)
    queued = record(ProcessStatus.QUEUED)
    found = estimate_of_all([over, done, queued])
    assert found is not None
    assert found.duration_s == 25.0 + 91.0 + (30 + 60)
    assert estimate_of_all([done, record(ProcessStatus.QUEUED, forecast=None)]) is None
    assert estimate_of_all([]) is None
