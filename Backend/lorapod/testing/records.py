"""Records for tests."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.records.status import ProcessStatus


def make_record(**changes: Any) -> ProcessRecord:
    """Return a running training of a model named `model`, with `changes`."""
    record = ProcessRecord(
        process_id="train_0123456789ab",
        type="train",
        training=TrainingDetails(trainer="script"),
        name="model",
        folder="model",
        status=ProcessStatus.RUNNING,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        worker_id="worker-1",
    )
    return dataclasses.replace(record, **changes)
