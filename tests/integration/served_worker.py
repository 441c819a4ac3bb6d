"""The real worker behind the local endpoint, its trainer and its engine stand-ins that start in a moment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.integration.endpoint_caller import Caller, eventually

from lorapod.endpoint import EndpointConfig, LocalEndpoint

ROOT = Path(__file__).parents[2]
LEASE_S = 3.0


class Worker:
    """Calls the worker behind an endpoint."""

    def __init__(self, endpoint: LocalEndpoint, caller: Caller) -> None:
        self.endpoint = endpoint
        self.caller = caller

    async def start(self, kind: str, **fields: Any) -> str:
        """Queue a job; its id."""
        status, answer = await self.caller.call("POST", "/run", {"input": {"type": kind, **fields}})
        assert status == 200, answer
        return str(answer["id"])

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The output of a job that is waited for."""
        status, answer = await self.caller.call("POST", "/runsync", {"input": {"type": kind, **fields}})
        assert status == 200, answer
        assert answer["status"] == "COMPLETED", answer
        return dict(answer["output"])

    async def first_update(self, job_id: str) -> dict[str, Any]:
        """The first progress update of a job."""

        async def output() -> Any:
            return (await self.caller.status(job_id)).get("output")

        return dict(await eventually(output, "a progress update"))

    async def until_status(self, process_id: str, *statuses: str) -> dict[str, Any]:
        async def reached() -> Any:
            now = await self.ask("process_status", process_id=process_id)
            return now if now["status"] in statuses else None

        return dict(await eventually(reached, f"{process_id} is {statuses}"))

    async def until_progress(self, process_id: str) -> dict[str, Any]:
        async def reached() -> Any:
            now = await self.ask("process_status", process_id=process_id)
            return now if now["status"] == "running" and now["progress"]["step"] else None

        return dict(await eventually(reached, f"{process_id} makes progress"))

    async def until_training(self, process_id: str) -> dict[str, Any]:
        async def reached() -> Any:
            now = await self.ask("process_status", process_id=process_id)
            return now if now["progress"]["step"] > 5 else None

        return dict(await eventually(reached, f"{process_id} trains"))


def serve(workspace: Path, **changes: Any) -> LocalEndpoint:
    return LocalEndpoint(worker_config(workspace, **changes))


def worker_config(workspace: Path, **changes: Any) -> EndpointConfig:
    environment = {
        "WORKSPACE_PATH": str(workspace),
        "LEASE_S": str(LEASE_S),
        "PROGRESS_INTERVAL_S": "0.5",
        "DISK_MIN_FREE_BYTES": "0",
        "CANCEL_GRACE_S": "5",
        "PYTHONPATH": f"{ROOT / 'Backend'}",
        **changes.pop("environment", {}),
    }
    command = [sys.executable, str(ROOT / "tests/integration/script_worker.py")]
    return EndpointConfig(
        **{"command": command, "environment": environment, "ping_interval_s": 1, "workers": 1, **changes}
    )


def holder_pid(worker: Worker, status: dict[str, Any]) -> int:
    (pid,) = [each.pid for each in worker.endpoint.workers if each.worker_id == status["worker_id"]]
    assert pid is not None
    return pid
