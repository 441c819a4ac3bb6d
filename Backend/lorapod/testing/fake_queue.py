"""A queue endpoint in memory, for tests of code that uses the client: no worker, no socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from lorapod.client.http import ConnectFailed, ConnectionBroken, HttpAnswer

#: From an action's input to its answer, or to a response of the endpoint's own.
Answer = Callable[[dict[str, Any]], "dict[str, Any] | httpx.Response"]


#: What every worker tells of a process, beside what a test says of it.
_ANY_PROCESS: Final[Mapping[str, Any]] = {
    "type": "train",
    "name": "cat",
    "progress": {"step": 0},
    "created_at": "2026-01-31T12:00:00.000Z",
    "worker_id": "worker",
    "resumable": False,
}


class FakeQueue:
    """A queue endpoint whose worker answers from functions; keeps every request.

    Give it to the client as `Client("https://runpod.test/v2/fake", http=queue)`. Tests name of a process what they are about:
    what else every worker tells of one is added to each answer with a `process_id` and a `status`.
    """

    def __init__(self) -> None:
        #: What the worker answers, by action.
        self.actions: dict[str, Answer] = {}
        #: Every request that came.
        self.requests: list[httpx.Request] = []
        #: Answers to come before anything else: a response, or an error of the connection.
        self.trouble: list[httpx.Response | Exception] = []
        #: Answers to `/status`, one after the other; the last one repeats.
        self.states: list[dict[str, Any]] = []
        #: Whether `/runsync` answers before the job has ended.
        self.slow = False

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        """Answer one request, as `lorapod.client.http.HttpSender` does."""
        del wait_s
        try:
            answer = self(httpx.Request(method, url, headers=dict(headers), content=body))
        except httpx.ConnectError as error:
            raise ConnectFailed(str(error)) from error
        except httpx.TransportError as error:
            raise ConnectionBroken(type(error).__name__) from error
        return HttpAnswer(status=answer.status_code, headers=answer.headers, body=answer.content)

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        if self.trouble:
            trouble = self.trouble.pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            return trouble
        *_, before, last = request.url.path.split("/")
        if before in {"status", "cancel"}:
            return self._about_job(before, last)
        if last == "health":
            return httpx.Response(200, json={"jobs": {}, "workers": {"idle": 1}})
        if last == "run" or self.slow:
            return httpx.Response(200, json={"id": "job-1", "status": "IN_QUEUE"})
        return self._answer(json.loads(request.content)["input"])

    def _about_job(self, route: str, job_id: str) -> httpx.Response:
        if route == "cancel":
            return httpx.Response(200, json={"id": job_id, "status": "CANCELLED"})
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return httpx.Response(200, json={"id": job_id} | state | {"output": _whole(state.get("output"))})

    def _answer(self, wish: dict[str, Any]) -> httpx.Response:
        answer = self.actions[wish["type"]](wish)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=ended(answer))

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """What callers sent as `input`, in order."""
        bodies = [json.loads(request.content) for request in self.requests if request.content]
        return [body["input"] for body in bodies if "input" in body]


def ended(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the job's state after a worker's answer, as the RunPod SDK makes it."""
    output = _whole(dict(answer))
    error = output.pop("error", None)
    if error is None:
        return {"id": "job-1", "status": "COMPLETED", "output": output, "delayTime": 12, "executionTime": 340}
    return {"id": "job-1", "status": "FAILED", "error": error, "output": output}


def _whole(output: Any) -> Any:
    """Return an answer about a process with what every worker tells of one."""
    if isinstance(output, dict) and {"process_id", "status"} <= output.keys() and "error" not in output:
        process_id = output["process_id"]
        paths = {"output_path": f"output/{process_id}", "log_path": f"logs/{process_id}.log"}
        return {**_ANY_PROCESS, **paths, "type": process_id.partition("_")[0]} | output
    return output
