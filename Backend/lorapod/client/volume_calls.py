"""Calls that the volume answers if it can, and a worker otherwise."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lorapod.client.calls import RUNSYNC_WAIT_S, OnUpdate
from lorapod.client.download import OnDownload, PathLike, place
from lorapod.client.errors import LorapodError, WorkerNeeded
from lorapod.client.failed_job import job_failed
from lorapod.client.job import QueueJob
from lorapod.client.retrying import RetryPolicy
from lorapod.client.runtime import Runtime
from lorapod.client.upload import OnUpload, UploadedDataset
from lorapod.client.volume import Volume
from lorapod.client.volume_answers import VolumeAnswers
from lorapod.client.volume_download import download_from_volume
from lorapod.client.volume_upload import upload_to_volume
from lorapod.client.worker_calls import WorkerCalls
from lorapod.errors import NotFound, WorkerError
from lorapod.kinds import content_type_of
from lorapod.records.process_id import is_process_id

#: A worker that lives shows it every few seconds; clocks of two machines may differ by a minute or two.
_SILENT_S = 300.0

#: Stands for the URL of an endpoint if none is named; nothing is ever sent there.
_NO_ENDPOINT = "http://no-endpoint.invalid"

#: What is read of an image.
_IMAGE_BYTES = 8 << 20


class VolumeCalls(WorkerCalls):
    """Calls to one volume, and to the endpoint beside it if there is one."""

    def __init__(
        self,
        runtime: Runtime,
        volume: Volume,
        url: str | None,
        api_key: str | None,
        *,
        front_door: str | None,
        retries: RetryPolicy | None,
        only: bool,
        on_way: Callable[[str], None],
    ) -> None:
        """Connect at the first request; the arguments are those of `VolumeClient`."""
        super().__init__(runtime, url or _NO_ENDPOINT, api_key, front_door=front_door, retries=retries)
        self.volume = volume
        self._answers = VolumeAnswers(volume.view)
        self._has_endpoint = url is not None
        self._only = only
        self._on_way = on_way
        #: Processes whose worker was looked for.
        self._looked_at: set[str] = set()

    async def close(self) -> None:
        """Close the connections."""
        self.volume.close()
        await super().close()

    def needs_no_worker(self, action: str, fields: Mapping[str, Any]) -> bool:
        """Return whether the volume answers this."""
        return self._answers.can_answer(action, fields)

    async def call(
        self,
        action: str,
        /,
        *,
        timeout_s: float | None = None,
        policy: Mapping[str, Any] | None = None,
        on_update: OnUpdate | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Return the answer to one action: from the volume if it can answer, else a worker's; see `Client.call`."""
        given = {name: value for name, value in fields.items() if value is not None}
        if self._answers.can_answer(action, given):
            return await self.runtime.with_files(lambda: self._answer(action, given))
        return await super().call(action, timeout_s=timeout_s, policy=policy, on_update=on_update, **given)

    async def upload(
        self,
        folder: PathLike,
        training_name: str,
        *,
        trigger_word: str | None = None,
        fix: bool = False,
        on_progress: OnUpload | None = None,
    ) -> UploadedDataset:
        """Upload a folder to the volume; a worker adds it to the dataset later, see `upload_to_volume`."""

        def send() -> UploadedDataset:
            with self._using(f"Sent to the volume {self.volume.name} over S3; no worker was asked."):
                return upload_to_volume(
                    self.volume.files,
                    self.volume.view.workspace,
                    Path(folder),
                    training_name,
                    trigger_word=trigger_word,
                    fix=fix,
                    on_progress=on_progress,
                )

        return await self.runtime.with_files(send)

    async def download(self, source: str, to: PathLike, *, on_progress: OnDownload | None = None) -> Path:
        """Download a process's final artifact or one file from the volume; see `download_from_volume`."""
        return await self.runtime.with_files(lambda: self._fetch(source, to, on_progress))

    async def content(self, path: str) -> bytes:
        """Return a small file of the volume; see `WorkerCalls`."""
        return base64.b64decode((await self.image(path))["data"])

    async def image(self, path: str) -> dict[str, Any]:
        """Return an image of the volume; see `VolumeClient.image`."""
        return await self.runtime.with_files(lambda: self._image(path))

    async def run(self, request: Mapping[str, Any], *, policy: Mapping[str, Any] | None = None) -> QueueJob:
        """Submit a job; see `Client.run`.

        Raises:
            WorkerNeeded: there is no endpoint, or it may not be asked.
        """
        self._need_worker(str(request.get("type")))
        return await super().run(request, policy=policy)

    async def runsync(
        self,
        request: Mapping[str, Any],
        *,
        policy: Mapping[str, Any] | None = None,
        wait_s: float = RUNSYNC_WAIT_S,
    ) -> QueueJob:
        """Submit a job and wait for it; see `Client.runsync`.

        Raises:
            WorkerNeeded: there is no endpoint, or it may not be asked.
        """
        self._need_worker(str(request.get("type")))
        return await super().runsync(request, policy=policy, wait_s=wait_s)

    async def health(self) -> dict[str, Any]:
        """Return the counts of the endpoint's jobs and workers; see `Client.health`.

        Raises:
            WorkerNeeded: there is no endpoint.
        """
        if not self._has_endpoint:
            raise WorkerNeeded("No endpoint is named, so there are no workers to count.", hint=_NAME_ONE)
        return await super().health()

    def _answer(self, action: str, given: Mapping[str, Any]) -> dict[str, Any]:
        with self._reading():
            answer = self._answers.answer(action, given)
            if action == "process_status":
                self._tell_if_silent(answer)
            return answer

    def _fetch(self, source: str, to: PathLike, on_progress: OnDownload | None) -> Path:
        with self._reading():
            view = self.volume.view
            path = view.final_artifact(source) if is_process_id(source) else view.path(source)
            try:
                return download_from_volume(self.volume.files, path, place(to), on_progress=on_progress)
            except FileNotFoundError as error:
                if error.filename is not None:
                    raise  # of this machine
                raise job_failed(
                    "", f"There is no file {source!r}.", {"code": "not_found", "hint": _LIST}
                ) from None

    def _image(self, path: str) -> dict[str, Any]:
        with self._reading():
            try:
                part = self.volume.files.read(self.volume.view.path(path), length=_IMAGE_BYTES)
            except FileNotFoundError:
                raise NotFound(f"There is no file {path!r}.", hint=_LIST) from None
        return {
            "file_path": path,
            "content_type": content_type_of(path),
            "data": base64.b64encode(part.data).decode(),
            "eof": len(part.data) == part.size_bytes,
        }

    def _need_worker(self, action: str) -> None:
        if self._only:
            raise WorkerNeeded(
                f"`{action}` needs a worker, and only the volume may be asked.",
                hint="Ask with --via queue, or leave --via out.",
            )
        if not self._has_endpoint:
            raise WorkerNeeded(f"`{action}` needs a worker, and no endpoint is named.", hint=_NAME_ONE)
        self._on_way(f"The volume alone cannot answer `{action}`: a worker is asked.")

    def _tell_if_silent(self, process: Mapping[str, Any]) -> None:
        """Say once that the worker of a process which has not ended may have died: no worker was there to write it down."""
        process_id = process["process_id"]
        if process.get("ended_at") is not None or process_id in self._looked_at:
            return
        self._looked_at.add(process_id)
        heard = self.volume.view.last_heard(self.volume.view.record(process_id))
        if heard is None:
            self._on_way(f"The worker of {process_id} has gone: {_MARKS_IT}")
        elif (silent_s := (datetime.now(UTC) - heard).total_seconds()) > _SILENT_S:
            self._on_way(
                f"The worker of {process_id} was last heard of {silent_s / 60:.0f} min ago, and may have died: {_MARKS_IT}"
            )

    def _reading(self) -> AbstractContextManager[None]:
        return self._using(f"Read from the volume {self.volume.name} over S3; no worker was asked.")

    @contextmanager
    def _using(self, way: str) -> Iterator[None]:
        """Say where the answer comes from, and turn the errors of the volume into those of a client."""
        try:
            yield
        except LorapodError as error:
            raise self.volume.explain(error) from error.__cause__
        except WorkerError as error:
            fields = {"code": error.code.value, "hint": error.hint, "details": error.details}
            raise job_failed("", error.message, fields) from None
        self._on_way(way)


_MARKS_IT = "the next worker that starts writes down what became of the process."
_LIST = "`lorapod files` lists the files."
_NAME_ONE = "Set RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY, or LORAPOD_URL."
