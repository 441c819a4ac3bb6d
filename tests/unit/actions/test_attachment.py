from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from lorapod.actions.attachment import JobAttachment
from lorapod.errors import Conflict
from lorapod.processes.order import Accepted
from lorapod.processes.requests import ControlRequest
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.records.status import ProcessStatus

RECORD = ProcessRecord(
    process_id="train_0123456789ab",
    type="train",
    training=TrainingDetails(trainer="script"),
    name="model",
    folder="model",
    status=ProcessStatus.QUEUED,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    worker_id="worker-1",
)


class Manager:
    """Takes down who is to be stopped."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heard = threading.Event()

    def ask(self, process_id: str, request: ControlRequest) -> None:
        self.asked.append(process_id)
        self.heard.set()
        if request.save:
            raise Conflict("It has ended already.")


def attachment(manager: Manager) -> JobAttachment:
    return JobAttachment(processes=cast("Any", manager), updates=cast("Any", None), cancel_grace_s=5.0)


async def test_what_was_begun_is_returned() -> None:
    accepted = Accepted(record=RECORD)
    assert await attachment(Manager()).begin(lambda: (accepted, "more")) == (accepted, "more")


async def test_a_refusal_goes_on() -> None:
    def refuse() -> Any:
        raise Conflict("No.")

    with pytest.raises(Conflict):
        await attachment(Manager()).begin(refuse)


@pytest.mark.parametrize(
    ("accepted", "stopped"),
    [
        (Accepted(record=RECORD, begun=True), True),
        (Accepted(record=RECORD, retried=True), True),
        # Another request began it, with the same idempotency key.
        (Accepted(record=RECORD), False),
    ],
)
async def test_a_job_that_is_cancelled_while_it_begins_leaves_no_process_behind(
    accepted: Accepted, *, stopped: bool
) -> None:
    manager, go_on, begun = Manager(), threading.Event(), threading.Event()

    def submit() -> tuple[Accepted, None]:
        begun.set()
        assert go_on.wait(10)
        return accepted, None

    job = asyncio.create_task(attachment(manager).begin(submit))
    assert await asyncio.to_thread(begun.wait, 10)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert manager.asked == []
    go_on.set()
    assert await asyncio.to_thread(manager.heard.wait, 10 if stopped else 0.5) is stopped
    assert manager.asked == ([RECORD.process_id] if stopped else [])
