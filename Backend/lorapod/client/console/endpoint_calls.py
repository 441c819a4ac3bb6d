"""The client's calls as coroutines: each runs in one of a few threads, and no job is waited for in a thread."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from lorapod.client import starting
from lorapod.client.client import Client
from lorapod.client.errors import EndpointError
from lorapod.client.job import JobStatus, QueueJob
from lorapod.client.upload import OnUpload, UploadedDataset

T = TypeVar("T")

#: Requests that are on their way at the same time.
_THREADS: Final = 8
#: How long the endpoint holds the request of a job before it answers that the job still runs.
_HELD_S: Final = 2.0
_POLL_FIRST_S: Final = 0.2
_POLL_LONGEST_S: Final = 3.0

OnJob = Callable[[QueueJob], None]


class EndpointCalls:
    """One endpoint, for code on an event loop."""

    def __init__(self, client: Client) -> None:
        """Call through a client, which is closed with this."""
        self._client = client
        self._threads = ThreadPoolExecutor(_THREADS, "console-call")

    @property
    def url(self) -> str:
        """The endpoint's URL; it holds no key."""
        return self._client.url

    @property
    def has_front_door(self) -> bool:
        """Whether questions go to a CPU endpoint on the same volume."""
        return self._client.has_front_door

    async def close(self) -> None:
        """Let the requests that are on their way end, and close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    async def health(self) -> dict[str, Any]:
        """Return the counts of the endpoint's jobs and workers; wakes no worker."""
        return await self._run(self._client.health)

    async def job(self, job_id: str) -> QueueJob:
        """Return a job as it is now; wakes no worker."""
        return await self._run(lambda: self._client.status(job_id))

    async def call(self, action: str, /, *, on_job: OnJob | None = None, **fields: Any) -> dict[str, Any]:
        """Return the worker's answer to one action; `on_job` gets the job while it waits or runs.

        Raises:
            LorapodError: the worker refused it, or the endpoint does not answer.
        """
        request = {"type": action} | {name: value for name, value in fields.items() if value is not None}
        job = await self._run(lambda: self._client.runsync(request, wait_s=_HELD_S))
        job = await self._until(job, lambda now: now.status.ended, on_job)
        answer = job.result()
        if not isinstance(answer, dict):
            raise EndpointError(f"{action}: the worker answered something other than a JSON object.")
        return answer

    async def start(self, action: str, /, *, on_job: OnJob | None = None, **fields: Any) -> str:
        """Start a process and return its id once a worker has it, whether its job stays open or not.

        Raises:
            LorapodError: the worker refused it, or the endpoint does not answer.
        """
        _, process = await self.begin(action, on_job=on_job, **fields)
        return str(process["process_id"])

    async def begin(
        self, action: str, /, *, on_job: OnJob | None = None, **fields: Any
    ) -> tuple[QueueJob, Mapping[str, Any]]:
        """Start a process; return its job, which may stay open until its end, and what the job tells of it.

        Raises:
            LorapodError: the worker refused it, or the endpoint does not answer.
        """
        job = await self.submit(action, **fields)
        job = await self._until(
            job, lambda now: now.status.ended or starting.names_process(now.output), on_job
        )
        answer = job.result() if job.status.ended else job.output
        if not starting.names_process(answer):
            raise EndpointError(f"{action}: the worker's answer names no process.")
        return job, answer

    async def submit(self, action: str, /, **fields: Any) -> QueueJob:
        """Send a request that starts a process; return its job, which may wait for a worker.

        Raises:
            LorapodError: the endpoint does not answer.
        """
        request, policy = starting.start_request({**fields, "type": action})
        return await self._run(lambda: self._client.run(request, policy=policy))

    async def cancel_job(self, job_id: str) -> None:
        """Cancel a job; the process that it waits for ends with it. Wakes no worker."""
        await self._run(lambda: self._client.cancel(job_id))

    async def _until(
        self, job: QueueJob, reached: Callable[[QueueJob], bool], on_job: OnJob | None
    ) -> QueueJob:
        interval_s = _POLL_FIRST_S
        while not reached(job):
            if on_job is not None:
                on_job(job)
            await asyncio.sleep(interval_s)
            interval_s = min(interval_s * 1.5, _POLL_LONGEST_S)
            job = await self.job(job.job_id)
        if on_job is not None:
            on_job(job)
        return job

    async def upload(
        self, folder: Path, training_name: str, *, trigger_word: str | None, fix: bool, on_progress: OnUpload
    ) -> UploadedDataset:
        """Upload a folder as a dataset; `on_progress` is called in another thread, and may raise to end it.

        Raises:
            LorapodError: the worker refused it, or the endpoint does not answer.
            FileNotFoundError: the folder has nothing for a dataset.
        """
        return await self._run(
            lambda: self._client.upload_dataset(
                folder, training_name, trigger_word=trigger_word, fix=fix, on_progress=on_progress
            )
        )

    async def file(self, path: str) -> bytes:
        """Return a file of the workspace, whole and checked; asks a worker.

        Raises:
            LorapodError: the worker has no such file, or it did not arrive unchanged.
        """
        return await self._run(lambda: _fetch(self._client, path))

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)


def _fetch(client: Client, path: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="lorapod-console-") as folder:
        return client.download(path, Path(folder) / "file").read_bytes()


def waits_for_worker(job: QueueJob) -> bool:
    """Return whether no worker has taken the job yet."""
    return job.status is JobStatus.IN_QUEUE


def worker_is_up(health: Mapping[str, Any]) -> bool:
    """Return whether a worker runs, so that a question starts none."""
    workers = health.get("workers") or {}
    return any((workers.get(state) or 0) > 0 for state in ("idle", "ready", "running"))
