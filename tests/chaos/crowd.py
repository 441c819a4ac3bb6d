"""The crowd of callers: each wants one training done, resumes what was interrupted, and sometimes changes its mind."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from tests.chaos.judge import Judge
from tests.integration.endpoint_caller import Caller as Line

#: Between two looks at what one waits for.
POLL_S = 0.2

#: Ways to call a training off.
BY_ACTION, BY_JOB = "cancel action", "job cancel"


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What callers are like."""

    #: The training's config and dataset.
    order: Mapping[str, Any]
    #: How likely a caller calls its training off.
    cancels: float = 0.25
    #: When at the latest, in seconds after its start.
    patience_s: float = 6.0


class EndpointAnswer(Exception):
    """A job ended with an error."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        """Keep the whole answer."""
        super().__init__(str(answer.get("error") or answer))
        self.code = (
            (answer.get("output") or {}).get("code") if isinstance(answer.get("output"), dict) else None
        )
        self.state = answer["status"]


class TrainingCaller:
    """One caller and its training."""

    def __init__(self, number: int, seed: int, line: Line, judge: Judge, habits: Habits) -> None:
        """A caller whose every choice comes from the seed and its number."""
        self.number = number
        self.process_id: str | None = None
        self.end: str | None = None
        self.resumes = 0
        self.called_off: str | None = None
        self._chance = random.Random(f"{seed}-{number}")
        self._line = line
        self._judge = judge
        self._habits = habits
        self._job_id: str | None = None
        self._named = asyncio.Event()

    async def run(self) -> None:
        """See the training through to `completed` or `cancelled`."""
        change_of_mind = None
        if self._chance.random() < self._habits.cancels:
            wait_s = self._chance.uniform(0, self._habits.patience_s)
            way = self._chance.choice((BY_ACTION, BY_JOB))
            change_of_mind = asyncio.create_task(self._call_off(way, wait_s))
        try:
            while self.end is None:
                await self._once()
        finally:
            if change_of_mind is not None:
                change_of_mind.cancel()
                await asyncio.gather(change_of_mind, return_exceptions=True)

    async def _once(self) -> None:
        if self.process_id is None:
            await self._send("train", **self._start())
            return
        now = await self._line_status()
        status = now["status"]
        if status == "completed" or (status == "cancelled" and self.called_off):
            self.end = status
        elif status == "interrupted" and self.called_off:
            await self._send("cancel", process_id=self.process_id)
        elif status == "interrupted":
            self.resumes += 1
            # Some callers are impatient and ask two workers at once.
            times = self._chance.choice((1, 1, 2))
            await asyncio.gather(
                *(
                    self._send("resume", process_id=self.process_id, wait=self._chance.random() < 0.5)
                    for _ in range(times)
                )
            )
        elif status in {"failed", "cancelled"}:
            self._judge.find(f"{self.process_id} is {status}, which nobody wished: {now.get('failure')}")
            self.end = status
        else:
            await asyncio.sleep(POLL_S)

    def _start(self) -> dict[str, Any]:
        fields: dict[str, Any] = {**self._habits.order, "wait": self._chance.random() < 0.6}
        if self._chance.random() < 0.3:
            fields["idempotency_key"] = f"caller-{self.number}"
        return {**fields, "job_id": f"caller-{self.number}"}

    async def _send(self, kind: str, **fields: Any) -> None:
        """Send a job and follow it to its end; a `conflict` means that somebody else was faster."""
        status, answer = await self._line.call("POST", "/run", {"input": {"type": kind, **fields}})
        assert status == 200, answer
        self._job_id = job_id = str(answer["id"])
        try:
            await self._follow(job_id, learn=kind == "train")
        except EndpointAnswer as error:
            if error.state == "CANCELLED" and self.called_off == BY_JOB:
                if self.process_id is None:
                    self.end = "never heard of"
            elif kind == "train" or error.code != "conflict":
                self._judge.find(f"{kind} of caller {self.number} was answered: {error}")
                if self.process_id is None:
                    self.end = "refused"

    async def _follow(self, job_id: str, *, learn: bool) -> None:
        while True:
            answer = await self._line.status(job_id)
            output = answer.get("output")
            if learn and isinstance(output, dict) and "process_id" in output:
                if self.process_id not in {None, output["process_id"]}:
                    self._judge.find(
                        f"caller {self.number} got {self.process_id}, then {output['process_id']}"
                    )
                self.process_id = output["process_id"]
                self._named.set()
            if answer["status"] == "COMPLETED":
                return
            if answer["status"] not in {"IN_QUEUE", "IN_PROGRESS"}:
                raise EndpointAnswer(answer)
            await asyncio.sleep(POLL_S)

    async def _call_off(self, way: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        if way == BY_ACTION:
            await self._named.wait()
        self.called_off = way
        if way == BY_JOB:
            await self._line.call("POST", f"/cancel/{self._job_id}")
            # It may have been a job that had ended, or one whose worker was dead: then the process is told.
            await self._named.wait()
            await asyncio.sleep(2.0)
        while True:
            # Whoever resumed it meanwhile is told again.
            await self._tell_cancel()
            await asyncio.sleep(1.0)

    async def _tell_cancel(self) -> None:
        fields = {"type": "cancel", "process_id": self.process_id, "save": self._chance.random() < 0.5}
        await self._line.call("POST", "/run", {"input": fields})

    async def _line_status(self) -> dict[str, Any]:
        assert self.process_id is not None
        return await ask_status(self._line, self._judge, self.process_id)


async def ask_status(line: Line, judge: Judge, process_id: str) -> dict[str, Any]:
    """What some worker says of a process; the judge hears it. An error is a finding, and asked again."""
    while True:
        asked_s = time.monotonic()
        try:
            status, answer = await line.call(
                "POST", "/runsync", {"input": {"type": "process_status", "process_id": process_id}}
            )
        except aiohttp.ClientError as error:
            judge.find(f"the endpoint did not answer: {error}")
            raise
        if status == 200 and answer["status"] == "COMPLETED":
            output = dict(answer["output"])
            judge.seen[f"answers of {answer['workerId']}"] += 1
            judge.hear(process_id, output, asked_s, time.monotonic())
            return output
        if answer.get("status") not in {"IN_QUEUE", "IN_PROGRESS"}:
            judge.find(f"the status of {process_id} was answered: {answer}")
            await asyncio.sleep(POLL_S)


async def keep_asking(line: Line, judge: Judge, seed: int) -> None:
    """Ask for the status of one known process after the other, until cancelled."""
    chance = random.Random(f"{seed}-asking")
    while True:
        if known := judge.known():
            await ask_status(line, judge, chance.choice(known))
        await asyncio.sleep(0.1)


def ends(callers: list[TrainingCaller]) -> Counter[str]:
    """How the trainings ended."""
    return Counter(caller.end or "not at all" for caller in callers)
