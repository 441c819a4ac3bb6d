"""One call of a tool: the job, its progress, its answer, and the images that the answer names by their paths."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final

from lorapod.client.assistant.content import ShownAnswer
from lorapod.client.assistant.tool_list import ActionTool
from lorapod.client.calls import RUNSYNC_WAIT_MIN_S
from lorapod.client.client import Client
from lorapod.client.errors import EndpointError, LorapodError, WaitTimeout
from lorapod.client.following import INTERVAL_S, NO_ANSWER_MAX_S
from lorapod.client.job import QueueJob
from lorapod.client.starting import START_TIMEOUT_S, names_process, start_request
from lorapod.client.volume_client import VolumeClient

#: Called with the share that is done, in percent, and what is done now.
Report = Callable[[float, str], Awaitable[None]]

#: Images that an answer names, such as samples, and that are fetched with it.
_FETCHED_MAX: Final = 4
_IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})

_POLL_FIRST_S: Final = 0.1
_POLL_LONGEST_S: Final = 3.0
_ENDED: Final = frozenset({"completed", "failed", "cancelled", "interrupted"})


class ToolCalls:
    """Calls tools on one endpoint, for one assistant. No wait blocks the event loop; a cancelled call leaves its work."""

    def __init__(self, client: Client) -> None:
        """Use a client, which stays its owner's."""
        self._client = client
        #: Images that the assistant has seen: each is shown once unless it is asked for by its path.
        self._seen: set[str] = set()

    async def call(self, tool: ActionTool, arguments: Mapping[str, Any], report: Report) -> ShownAnswer:
        """Return the answer to one call.

        Raises:
            LorapodError: the endpoint or the worker refused it.
        """
        fields = {name: value for name, value in arguments.items() if name != "type"}
        progress = _Progress(report)
        if tool.starts_process and not fields.get("dry_run"):
            answer = await self._start(tool, fields, progress)
        else:
            answer = await self._ask(tool, fields, progress)
        shown = ShownAnswer.of(answer)
        for path in [path for path in image_paths(answer) if path not in self._seen][:_FETCHED_MAX]:
            await self._fetch(path, shown)
        return shown

    async def _ask(self, tool: ActionTool, fields: Mapping[str, Any], progress: _Progress) -> dict[str, Any]:
        """Return the answer of a job at its end; what the volume can answer wakes no worker, if the client reads it.

        No thread waits for a worker: the program could not end before it.
        """
        known = fields.keys() <= tool.input_schema["properties"].keys()
        if known and self._client.needs_no_worker(tool.name, fields):
            return await asyncio.to_thread(partial(self._client.call, tool.name, **fields))
        request, policy = start_request({**fields, "type": tool.name})
        submit = partial(
            self._client.runsync,
            request,
            policy=None if tool.reads_only else policy,
            wait_s=RUNSYNC_WAIT_MIN_S,
        )
        job = await asyncio.to_thread(submit)
        interval_s = _POLL_FIRST_S
        while not job.status.ended:
            await progress.tell(job.output)
            await asyncio.sleep(interval_s)
            interval_s = min(interval_s * 1.5, _POLL_LONGEST_S)
            job = await asyncio.to_thread(self._client.status, job.job_id)
        return _object(job)

    async def _start(
        self, tool: ActionTool, fields: Mapping[str, Any], progress: _Progress
    ) -> dict[str, Any]:
        """Start a process; return how it begins, or with `wait` how it ended.

        The job stays open, as RunPod's workers need it, whether the assistant waits or not.
        """
        waits = fields.get("wait") is True
        request, policy = start_request(
            {**{name: value for name, value in fields.items() if name != "wait"}, "type": tool.name}
        )
        job = await asyncio.to_thread(partial(self._client.run, request, policy=policy))
        begun_s, interval_s = asyncio.get_running_loop().time(), _POLL_FIRST_S
        while not (job.status.ended or names_process(job.output)):
            if asyncio.get_running_loop().time() - begun_s > START_TIMEOUT_S:
                raise WaitTimeout(
                    f"No worker started it within {START_TIMEOUT_S:g} s; job {job.job_id} is {job.status}.",
                    job_id=job.job_id,
                )
            await asyncio.sleep(interval_s)
            interval_s = min(interval_s * 1.5, _POLL_LONGEST_S)
            job = await asyncio.to_thread(self._client.status, job.job_id)
        started = _object(job) if job.status.ended else dict(job.output)
        if not waits or "process_id" not in started:
            return started
        return await self._until_the_end(started["process_id"], progress)

    async def _until_the_end(self, process_id: str, progress: _Progress) -> dict[str, Any]:
        failing_since: float | None = None
        while True:
            now_s = asyncio.get_running_loop().time()
            try:
                process = await asyncio.to_thread(
                    partial(self._client.call, "process_status", process_id=process_id)
                )
            except LorapodError as error:
                failing_since = now_s if failing_since is None else failing_since
                if not getattr(error, "retryable", False) or now_s - failing_since > NO_ANSWER_MAX_S:
                    raise
            else:
                failing_since = None
                await progress.tell(process)
                if process["status"] in _ENDED:
                    return process
            await asyncio.sleep(INTERVAL_S)

    async def _fetch(self, path: str, shown: ShownAnswer) -> None:
        """Add an image of the workspace to an answer; without it, the answer still has its path."""
        self._seen.add(path)
        try:
            shown.add(await asyncio.to_thread(self._image, path))
        except LorapodError:
            self._seen.discard(path)

    def _image(self, path: str) -> dict[str, Any]:
        """Return an image: from the volume if the client reads it, because a look must wake no worker."""
        if isinstance(self._client, VolumeClient):
            return self._client.image(path)
        return self._client.call("download_file", file_path=path)


class _Progress:
    """Reports progress that grows, as the protocol wants it."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = -1.0

    async def tell(self, update: Any) -> None:
        """Report a process's state, if it shows more than before."""
        match update:
            case {"progress": {"percent": int() | float() as percent, **rest}}:
                if percent > self._last:
                    self._last = percent
                    await self._report(percent, _words(update, rest))
            case _:
                pass


def _words(update: Mapping[str, Any], progress: Mapping[Any, Any]) -> str:
    parts = [str(update.get("phase") or update.get("status") or "")]
    if progress.get("total_steps"):
        parts.append(f"step {progress.get('step', 0)} of {progress['total_steps']}")
    if progress.get("loss") is not None:
        parts.append(f"loss {progress['loss']:.4g}")
    return ", ".join(part for part in parts if part)


def image_paths(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the images that an answer names by their paths: a comparison's grid, and the newest samples."""
    grid = answer.get("grid_path")
    if isinstance(grid, str):
        yield grid
    samples = [each for each in answer.get("samples") or () if isinstance(each, Mapping)]
    newest = max((each.get("step", 0) for each in samples), default=0)
    for each in samples:
        path = str(each.get("path", ""))
        if each.get("step", 0) == newest and PurePosixPath(path).suffix.lower() in _IMAGE_SUFFIXES:
            yield path


def _object(job: QueueJob) -> dict[str, Any]:
    answer = job.result()
    if not isinstance(answer, dict):
        raise EndpointError("The worker answered something other than a JSON object.")
    return answer


def error_text(error: LorapodError) -> str:
    """Return an error as JSON: what happened, its code, what to do, and each problem."""
    fields: dict[str, Any] = {"error": error.message, "code": error.code, "hint": error.hint}
    if error.details:
        fields["details"] = list(error.details)
    return json.dumps({name: value for name, value in fields.items() if value}, ensure_ascii=False)
