"""Where the console learns of processes: a worker, which costs GPU time, or the volume over S3, which costs none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from lorapod.client.console.endpoint_calls import EndpointCalls, OnJob
from lorapod.client.console.folder_volume import FolderVolume
from lorapod.client.console.volume_models import models_of
from lorapod.client.errors import JobFailed, NotFoundError
from lorapod.client.volume_answers import VolumeAnswers
from lorapod.errors import WorkerError
from lorapod.volume.port import FilePart, FileState
from lorapod.volume.view import VolumeView

T = TypeVar("T")

Series = Mapping[str, Sequence[tuple[int, float]]]


class ProcessSource(Protocol):
    """Answers about processes. Every method raises `LorapodError` if it cannot."""

    @property
    def most_points(self) -> int:
        """How many points of each curve it is asked for; of longer curves only every n-th."""

    async def processes(self, limit: int) -> Sequence[dict[str, Any]]:
        """Return the newest processes as the action `processes` does."""

    async def process(self, process_id: str, log_lines: int) -> dict[str, Any]:
        """Return one process, with the end of its log, as the action `process_status` does."""

    async def curves(self, process_id: str, since_step: int | None, stride: int) -> Series:
        """Return the curves of a training after a step, of every `stride` steps one."""

    async def file(self, path: str) -> bytes | None:
        """Return a file of the workspace; None if it is not given."""

    async def gpus(self, worker_id: str) -> Sequence[dict[str, Any]]:
        """Return how busy the GPUs of a worker are, as the action `health` does; nothing if this source cannot see them."""


class WorkerSource:
    """A worker of the endpoint, or of its front door."""

    #: One answer has room for these of a few curves.
    most_points = 60_000

    def __init__(self, calls: EndpointCalls, on_job: OnJob) -> None:
        """Ask through `calls`; `on_job` gets each job while it waits or runs."""
        self._calls = calls
        self._on_job = on_job

    async def processes(self, limit: int) -> Sequence[dict[str, Any]]:
        """Return the newest processes."""
        answer = await self._calls.call("processes", on_job=self._on_job, limit=limit)
        return list(answer["processes"])

    async def process(self, process_id: str, log_lines: int) -> dict[str, Any]:
        """Return one process."""
        return await self._calls.call(
            "process_status", on_job=self._on_job, process_id=process_id, log_tail=log_lines
        )

    async def curves(self, process_id: str, since_step: int | None, stride: int) -> Series:
        """Return the curves of a training."""
        answer = await self._calls.call(
            "metrics",
            on_job=self._on_job,
            process_id=process_id,
            since_step=since_step,
            stride=stride if stride > 1 else None,
        )
        series: Series = answer["series"]
        return series

    async def file(self, path: str) -> bytes | None:
        """Return a file."""
        try:
            return await self._calls.file(path)
        except JobFailed:
            return None

    async def gpus(self, worker_id: str) -> Sequence[dict[str, Any]]:
        """Return the GPUs, if the worker that answers is the one that is meant."""
        try:
            health = await self._calls.call("health", on_job=self._on_job)
        except JobFailed:
            return []
        return list(health.get("gpu") or ()) if health.get("worker_id") == worker_id else []


class AskedVolume(Protocol):
    """A volume over S3 (`AsyncVolume`), or a folder of this machine (`FolderVolume`)."""

    async def ask(self, question: Callable[[VolumeView], T]) -> T:
        """Return the answer to a question."""

    async def close(self) -> None:
        """Close it."""


class VolumeSource:
    """The files of the endpoint's workspace."""

    most_points = 1_000_000

    def __init__(self, volume: AskedVolume) -> None:
        """Read this volume, which is closed with this."""
        self._volume = volume

    async def close(self) -> None:
        """Close the volume."""
        await self._volume.close()

    async def processes(self, limit: int) -> Sequence[dict[str, Any]]:
        """Return the newest processes."""
        page = await self._volume.ask(lambda view: view.processes(limit=limit))
        return [one.model_dump(mode="json", exclude_none=True) for one in page.processes]

    async def process(self, process_id: str, log_lines: int) -> dict[str, Any]:
        """Return one process."""

        def read(view: VolumeView) -> dict[str, Any]:
            return view.process(process_id, log_tail=log_lines).model_dump(mode="json", exclude_none=True)

        try:
            return await self._volume.ask(read)
        except WorkerError as error:
            raise NotFoundError(str(error), job_id="", code="not_found") from error

    async def curves(self, process_id: str, since_step: int | None, stride: int) -> Series:
        """Return the curves of a training."""
        found = await self._volume.ask(
            lambda view: view.metrics(process_id, since_step=since_step, stride=stride)
        )
        return found.series

    async def answer(self, action: str, **fields: Any) -> dict[str, Any]:
        """Return the answer to an action that needs no worker.

        Raises:
            NotFoundError: there is no such dataset.
        """
        try:
            return await self._volume.ask(lambda view: VolumeAnswers(view).answer(action, fields))
        except WorkerError as error:
            raise NotFoundError(str(error), job_id="", code="not_found") from error

    async def models(self) -> Sequence[dict[str, Any]]:
        """Return the models by the names of their files, with what their cards say."""
        return await self._volume.ask(models_of)

    async def dataset_page(
        self, name: str, *, limit: int, cursor: str | None, thumbnail_px: int
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Return a page of a dataset, and where the thumbnails lie that a worker has kept.

        Raises:
            NotFoundError: there is no such dataset.
        """
        try:
            return await self._volume.ask(
                lambda view: VolumeAnswers(view).dataset_with_thumbnails(
                    name, limit=limit, cursor=cursor, thumbnail_px=thumbnail_px
                )
            )
        except WorkerError as error:
            raise NotFoundError(str(error), job_id="", code="not_found") from error

    @property
    def is_near(self) -> bool:
        """Whether its files are on this machine, so that reading whole images takes no time."""
        return isinstance(self._volume, FolderVolume)

    async def file(self, path: str) -> bytes | None:
        """Return a file."""
        return await self._volume.ask(lambda view: next(iter(view.contents([path]))))

    async def state(self, path: str) -> FileState:
        """Look at a file of the workspace.

        Raises:
            NotFoundError: there is no such file.
        """
        return await self._of_file(path, lambda view: view.files.state(view.path(path)))

    async def part(self, path: str, offset: int, length: int) -> FilePart:
        """Return a part of a file of the workspace, in bytes.

        Raises:
            NotFoundError: there is no such file.
        """
        return await self._of_file(
            path, lambda view: view.files.read(view.path(path), offset=offset, length=length)
        )

    async def _of_file(self, path: str, question: Callable[[VolumeView], T]) -> T:
        try:
            return await self._volume.ask(question)
        except (OSError, WorkerError) as error:
            raise NotFoundError(
                f"The volume has no file {path}.",
                job_id="",
                code="not_found",
                hint="It may have been deleted meanwhile.",
            ) from error

    async def gpus(self, worker_id: str) -> Sequence[dict[str, Any]]:
        """Return nothing: a volume sees no GPU."""
        del worker_id
        return []
