"""The start of a sweep: every variant is checked before the first training starts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from lorapod.actions.action import RunPodJob
from lorapod.actions.answers import ProcessAnswers, asking
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.start_request import StartRequest
from lorapod.actions.starting import TrainingStarts, estimate_of_plans, problems_of
from lorapod.errors import InvalidInput, WorkerError
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, TaskOrder, TrainingOrder, dump_order
from lorapod.processes.work import Plan
from lorapod.records.record import ProcessRecord
from lorapod.settings import Settings
from lorapod.thread_pools import STARTS
from lorapod.trainers.sweep import ORDERS, VARIANTS
from lorapod.wire.dataset import DatasetView
from lorapod.wire.model import Result
from lorapod.wire.started import DryRun, Started, SweepStarted
from lorapod.wire.sweep import SweepTraining

#: How long the answer waits until every training has an id, in seconds.
LISTED_S = 60.0


@dataclass(frozen=True, kw_only=True)
class SweepVariant:
    """One variant that was checked."""

    order: TrainingOrder
    plan: Plan
    warnings: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class SweepStarts:
    """What checks the variants of a sweep, starts it, and answers."""

    settings: Settings
    processes: RealProcessManager
    starts: TrainingStarts
    attachment: JobAttachment
    answers: ProcessAnswers

    def checked(
        self, config: Mapping[str, Any], request: StartRequest, job: RunPodJob, *, first: bool
    ) -> SweepVariant:
        """Check one variant as a separate training; blocks. Targets of uploads are tried for the `first` only.

        Raises:
            WorkerError: what refuses it.
        """
        order, plan = self.starts.order_for(config, request, job)
        warnings = self.starts.try_out(order, plan, request, job, deliveries=first)
        return SweepVariant(order=order, plan=plan, warnings=[*plan.warnings, *warnings])

    async def start(
        self,
        request: StartRequest,
        variants: Sequence[Mapping[str, Any]],
        variant: Callable[[int], SweepVariant],
        job: RunPodJob,
        *,
        name: str,
    ) -> Result:
        """Check every variant by `variant`, then start them all, and wait for the end if the caller asks for it.

        Raises:
            WorkerError: a variant is refused, and nothing was started; `details` has the problems of all variants.
        """
        if request.dry_run:
            return await STARTS.run(self._rehearse, request, len(variants), variant)
        accepted, checked = await self.attachment.begin(
            partial(self._submit, request, variants, variant, job, name)
        )
        dataset = checked[0].order.dataset
        answer = await self.answers.answer(
            accepted,
            DatasetView.model_validate(dataset) if dataset else None,
            job,
            wait=request.wait,
            callback=checked[0].order.callback,
        )
        if not isinstance(answer, Started):
            return answer
        record = await self._listed(accepted.record, len(variants))
        return SweepStarted(
            **{**dict(answer), "estimate": estimate_of_plans([each.plan for each in checked])},
            sweep_id=record.process_id,
            processes=[SweepTraining.model_validate(one) for one in record.outcome.get("processes", ())],
        )

    def _submit(
        self,
        request: StartRequest,
        variants: Sequence[Mapping[str, Any]],
        variant: Callable[[int], SweepVariant],
        job: RunPodJob,
        name: str,
    ) -> tuple[Accepted, Sequence[SweepVariant]]:
        checked, refusals = _all_checked(len(variants), variant)
        if refusals:
            raise _refusal(refusals)
        order = checked[0].order
        sweep = TaskOrder(
            input={
                "name": name,
                ORDERS: [dump_order(each.order) for each in checked],
                VARIANTS: [dict(each) for each in variants],
            },
            caller_job_id=request.job_id,
            idempotency_key=request.idempotency_key,
            callback=order.callback,
            runpod_job_id=asking(self.settings, job),
            job_s3=order.job_s3,
        )
        return self.processes.submit("sweep", sweep).warned(_warnings(checked)), checked

    def _rehearse(self, request: StartRequest, count: int, variant: Callable[[int], SweepVariant]) -> DryRun:
        checked, refusals = _all_checked(count, variant)
        if refusals:
            return DryRun(
                accepted=False,
                trainer=request.trainer,
                refused=[
                    problem for number, error in refusals for problem in _numbered(number, problems_of(error))
                ],
            )
        first = checked[0]
        return DryRun(
            accepted=True,
            trainer=first.order.trainer,
            config=dict(first.plan.config),
            dataset=DatasetView.model_validate(first.order.dataset) if first.order.dataset else None,
            estimate=estimate_of_plans([each.plan for each in checked]),
            warnings=_warnings(checked),
        )

    async def _listed(self, record: ProcessRecord, count: int) -> ProcessRecord:
        """Wait until every training has an id; return what is known after `LISTED_S` at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTED_S):
                return await self.processes.wait_until(
                    record.process_id,
                    lambda now: now.status.final or len(now.outcome.get("processes", ())) == count,
                )
        return await STARTS.run(self.processes.get, record.process_id)


def validated(make: Callable[[int], StartRequest], number: int) -> Any:
    """Return the request of one variant.

    Raises:
        InvalidInput: it contradicts the fields beside `variants`.
    """
    try:
        return make(number)
    except ValidationError as error:
        problems = [
            {"field": ".".join(map(str, each["loc"])) or "input", "error": each["msg"]}
            for each in error.errors()
        ]
        raise InvalidInput(" ".join(f"{one['error']}." for one in problems), details=problems) from error


def _all_checked(
    count: int, variant: Callable[[int], SweepVariant]
) -> tuple[list[SweepVariant], list[tuple[int, WorkerError]]]:
    checked: list[SweepVariant] = []
    refusals: list[tuple[int, WorkerError]] = []
    for number in range(count):
        try:
            checked.append(variant(number))
        except WorkerError as error:
            refusals.append((number, error))
    return checked, refusals


def _refusal(refusals: Sequence[tuple[int, WorkerError]]) -> WorkerError:
    """Return the first refusal with the problems of all; what refuses every variant alike is said once."""
    number, first = refusals[0]
    details = [
        problem
        for place, error in refusals
        for problem in _numbered(place, error.details or problems_of(error))
    ]
    return type(first)(f"variants[{number}]: {first.message}", hint=first.hint, details=details)


def _numbered(number: int, problems: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**problem, "field": f"variants[{number}].{problem.get('field', 'input')}"} for problem in problems
    ]


def _warnings(checked: Sequence[SweepVariant]) -> list[str]:
    """Return the warnings of all variants, each once."""
    return list(dict.fromkeys(warning for each in checked for warning in each.warnings))
