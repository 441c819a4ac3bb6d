"""A real worker in a process of its own that answers a request per line, for scripts; of whatever version `PYTHONPATH` has."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

_DEADLINE_S = 180.0


class LineWorker:
    """One worker in a process of its own, which answers a request per line."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=dict(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Return the id of its process."""
        return self._process.pid

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the answer to one request.

        Raises:
            RuntimeError: the worker refused it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"type": kind, **fields}) + "\n")
        self._process.stdin.flush()
        while line := self._process.stdout.readline():
            if line.startswith("answer "):
                answer: dict[str, Any] = json.loads(line.removeprefix("answer "))
                if "error" in answer:
                    raise RuntimeError(f"{kind}: {answer}")
                return answer
        raise RuntimeError(f"the worker ended at {kind}")

    def until(self, process_id: str, *statuses: str) -> None:
        """Wait until the process has one of the statuses.

        Raises:
            TimeoutError: it has none of them in time.
        """
        wait_for(
            lambda: self.ask("process_status", process_id=process_id)["status"] in statuses,
            f"{process_id} is {' or '.join(statuses)}",
        )

    def stop(self) -> None:
        """Stop it as a platform does, with time for a last checkpoint."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_DEADLINE_S)

    def kill(self) -> None:
        """Kill it, as a lost machine does."""
        self._process.kill()
        self._process.wait(_DEADLINE_S)


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Wait until the condition is true.

    Raises:
        TimeoutError: it is not in time.
    """
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_DEADLINE_S:g} s: {what}")
        time.sleep(0.01)


def answer_lines() -> None:
    """Answer each line of stdin: the worker's side."""
    import rp_handler

    async def serve() -> None:
        while line := await asyncio.to_thread(sys.stdin.readline):
            answer = await rp_handler.async_handler({"id": "kept", "input": json.loads(line)})
            sys.stdout.write(f"answer {json.dumps(answer)}\n")
            sys.stdout.flush()

    def stop(*_: object) -> None:
        rp_handler.worker().close()
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    asyncio.run(serve())


if __name__ == "__main__":
    answer_lines()
