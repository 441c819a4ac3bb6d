"""A RunPod job that stays open while its process runs, and tells how far it is."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from lorapod.actions.action import RunPodJob
from lorapod.actions.process_view import summary
from lorapod.actions.services import Services
from lorapod.errors import Conflict
from lorapod.events.port import Updates
from lorapod.processes.listening import wait_until
from lorapod.processes.order import Accepted
from lorapod.processes.record import ProcessRecord
from lorapod.processes.requests import ControlRequest

logger = logging.getLogger(__name__)


StartedT = TypeVar("StartedT", bound=tuple[Accepted, object])


async def begin(submit: Callable[[], StartedT], services: Services) -> StartedT:
    """Run `submit`, which starts a process, in a thread; what it returns.

    Where the RunPod job is cancelled meanwhile, nobody will ever ask for the process: it is stopped.
    """
    submitting = asyncio.ensure_future(asyncio.to_thread(submit))
    try:
        return await asyncio.shield(submitting)
    except asyncio.CancelledError:
        submitting.add_done_callback(lambda done: _stop_orphan(done, services))
        raise


async def stay_attached(process_id: str, services: Services, job: RunPodJob) -> ProcessRecord:
    """Wait for the end of a process, reporting on the way.

    A cancelled or timed-out RunPod job cancels this coroutine: then the process is stopped, with a checkpoint where
    its trainer can write one, and the cancellation goes on.
    """
    try:
        with services.updates.attach(process_id, job.show) as updates:
            return await wait_until(
                services.processes, process_id, lambda record: record.status.final, partial(_show, updates)
            )
    except asyncio.CancelledError:
        logger.info("job was cancelled", extra={"job_id": job.job_id, "process_id": process_id})
        await asyncio.shield(asyncio.to_thread(_cancel, process_id, services))
        raise


def _show(updates: Updates, record: ProcessRecord) -> None:
    updates.show(
        (record.status, record.phase),
        lambda: summary(record).model_dump(mode="json", exclude_none=True),
    )


def _stop_orphan(submitted: asyncio.Future[StartedT], services: Services) -> None:
    if submitted.cancelled() or submitted.exception() is not None:
        return
    accepted = submitted.result()[0]
    # What another request began is not this one's to stop.
    if accepted.begun or accepted.retried:
        threading.Thread(target=_cancel, args=(accepted.record.process_id, services), name="orphan").start()


def _cancel(process_id: str, services: Services) -> None:
    try:
        services.processes.ask(
            process_id, ControlRequest(save=True, grace_s=services.settings.cancel_grace_s)
        )
    except Conflict:
        logger.debug("process had ended already", extra={"process_id": process_id})
