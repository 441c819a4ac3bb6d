from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.actions.desk import Desk

from lorapod.actions.action import Action, ActionTable, RunPodJob
from lorapod.actions.binding import UnboundAction, bind_all
from lorapod.actions.ping import PingRequest, PingResult
from lorapod.actions.router import Router
from lorapod.settings import Settings
from lorapod.workspace import Workspace

JOB = RunPodJob(job_id="job-1")


def action(run: Callable[..., Any]) -> ActionTable:
    return {
        "probe": Action(type="probe", summary="Test.", request=PingRequest, result=PingResult, run=run),
    }


async def test_an_action_gets_the_parts_that_it_names(desk: Desk) -> None:
    got: list[object] = []

    async def probe(_request: PingRequest, *, workspace: Workspace, settings: Settings) -> PingResult:
        got.extend((workspace, settings))
        return PingResult(worker_id="w")

    bound = bind_all(action(probe), desk.worker.services)
    assert await bound["probe"](PingRequest(), JOB) == PingResult(worker_id="w")
    assert got == [desk.worker.services.workspace, desk.worker.services.settings]


async def test_an_action_gets_the_job_and_the_table_of_actions(desk: Desk) -> None:
    got: list[object] = []

    async def probe(_request: PingRequest, *, job: RunPodJob, actions: ActionTable) -> PingResult:
        got.extend((job, actions))
        return PingResult(worker_id="w")

    table = action(probe)
    await bind_all(table, desk.worker.services)["probe"](PingRequest(), JOB)
    assert got == [JOB, table]


def test_a_router_refuses_an_action_that_asks_for_an_unknown_part(desk: Desk) -> None:
    async def probe(_request: PingRequest, *, printer: Workspace) -> PingResult:
        raise NotImplementedError

    with pytest.raises(UnboundAction, match="probe asks for 'printer', which no worker has"):
        Router(desk.worker.services, action(probe))


def test_a_router_refuses_an_action_that_takes_a_part_for_another_type(desk: Desk) -> None:
    async def probe(_request: PingRequest, *, workspace: Path) -> PingResult:
        raise NotImplementedError

    with pytest.raises(UnboundAction, match="probe takes 'workspace' for Path; it is Workspace"):
        Router(desk.worker.services, action(probe))
