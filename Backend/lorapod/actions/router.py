"""From an event to an answer: find the action, check the request, turn errors into answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lorapod.actions.action import ActionTable, RunPodJob, TimeLimit
from lorapod.actions.arrived_uploads import ArrivedUploads
from lorapod.actions.binding import bind_all
from lorapod.actions.registry import ACTIONS
from lorapod.actions.services import Services
from lorapod.errors import (
    InternalError,
    UnknownType,
    UpstreamError,
    WorkerError,
    WorkerTimeout,
)
from lorapod.front_door import FrontDoorRules
from lorapod.library_errors import system_error
from lorapod.processes.store.port import StateStoreRefused, StateStoreUnavailable
from lorapod.storage.s3_access import JobS3
from lorapod.thread_pools import FILES
from lorapod.wire.envelope import Call, error_answer, open_envelope, secrets_of, with_object
from lorapod.wire.validation import nearest, parse

logger = logging.getLogger(__name__)

#: The settings behind the time limits.
_SETTINGS: Final = {TimeLimit.READ: "READ_TIMEOUT_S", TimeLimit.FILE: "FILE_TIMEOUT_S"}


class Router:
    """Answers events with the actions of the registry."""

    def __init__(self, services: Services, actions: ActionTable = ACTIONS) -> None:
        """Give every action the parts of `services` that it names.

        Raises:
            UnboundAction: an action names a part that does not exist, or takes one for another type.
        """
        self._settings, self._redactor = services.settings, services.redactor
        self._front_door = FrontDoorRules(gpu_endpoint=services.settings.front_door_of)
        self._actions = actions
        self._bound = bind_all(actions, services)
        self._arrived = ArrivedUploads(services.workspace, services.datasets)

    async def answer(self, event: object, job: RunPodJob) -> dict[str, Any]:
        """Return the answer to one event: a flat JSON object without secrets. Only cancellation is raised."""
        event = with_object(event)
        redactor = self._redactor
        tell = job.progress
        job = replace(job, progress=lambda update: tell(redactor.answer(dict(update))))
        with redactor.holding(secrets_of(event)):
            answered: dict[str, Any] = redactor.answer(await self._answer(event, job))
        return answered

    async def _answer(self, event: object, job: RunPodJob) -> dict[str, Any]:
        context: dict[str, Any] = {"job_id": job.job_id}
        try:
            call = open_envelope(event)
        except WorkerError as error:
            logger.info("refused", extra={**context, "code": error.code.value, "reason": error.message})
            return error_answer(error)
        context["type"] = call.type[:80]
        return call.shaped(await self._attempt(call, job, context))

    async def _attempt(self, call: Call, job: RunPodJob, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return the action's answer, or the error that it ended with."""
        try:
            return await self._run(call, job)
        except WorkerError as error:
            logger.info("refused", extra={**context, "code": error.code.value, "reason": error.message})
            return error_answer(error)
        except OSError as error:
            logger.exception("disk or network failed", extra=context)
            return error_answer(_system_error(error))
        except Exception:
            logger.exception("action failed", extra=context)
            return error_answer(InternalError())

    async def _run(self, call: Call, job: RunPodJob) -> dict[str, Any]:
        action = self._actions.get(call.type)
        if action is None:
            raise _no_action(call.type, self._actions)
        if call.s3_config is not None:
            job = replace(job, s3=JobS3.of(call.s3_config, self._settings))
        self._front_door.check_action(call.type)
        request = parse(action.request, call.request_fields())
        if action.reads_datasets:
            await FILES.run(self._arrived.take_all)
        seconds = self._time_limit_s(action.time_limit)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                result = await self._bound[call.type](request, job)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise WorkerTimeout(
                f"`{call.type}` did not answer within {seconds:g} s.",
                hint="Try again; if it happens again, the workspace or a server that it reads does not answer: see "
                f"`health`. The limit is {_SETTINGS[action.time_limit]}, in seconds."
                if action.time_limit
                else "",
            ) from error
        answer: dict[str, Any] = result.answer()
        return answer

    def _time_limit_s(self, limit: TimeLimit | None) -> float | None:
        match limit:
            case TimeLimit.READ:
                return self._settings.read_timeout_s
            case TimeLimit.FILE:
                return self._settings.file_timeout_s
            case None:
                return None


def _no_action(wanted: str, actions: ActionTable) -> WorkerError:
    known = sorted(actions)
    shown = wanted if len(wanted) <= 80 else f"{wanted[:77]}..."
    meant = nearest(wanted, known)
    return UnknownType(
        f"There is no type {shown!r}{f', did you mean {meant!r}?' if meant else '.'}",
        hint=f"The types are: {', '.join(known)}.",
    )


def _system_error(error: OSError) -> WorkerError:
    if isinstance(error, StateStoreRefused):
        return UpstreamError(
            "The state store (STATE_URL) refused a request of this worker.",
            hint="The worker's log has the reason: most often a password, a permission, or a store that is full.",
        )
    if isinstance(error, StateStoreUnavailable):
        return UpstreamError(
            "The state store (STATE_URL) does not answer, so nothing can be started or looked up now.",
            hint="Try again; if it happens again, check that the server is up and that the workers can reach it.",
        )
    return system_error(error)
