"""The client of one endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.client import download, generation, training, upload
from lorapod.client.generation import GeneratedFiles
from lorapod.client.queue import QueueClient
from lorapod.client.training import OnProcess, Training


class Client(QueueClient):
    """Talks to one queue endpoint, RunPod's or the local one, and through it to its workers.

    Safe to use from several threads. Each method raises `LorapodError` where it cannot do what it says.
    """

    def upload_dataset(
        self,
        folder: str | Path,
        training_name: str,
        *,
        trigger_word: str | None = None,
        on_progress: upload.OnUpload | None = None,
    ) -> upload.UploadedDataset:
        """Send a folder's pictures, captions and zips to the worker; see `upload.upload_dataset`."""
        return upload.upload_dataset(
            self, Path(folder), training_name, trigger_word=trigger_word, on_progress=on_progress
        )

    def bulk_download(
        self,
        *,
        process_ids: Sequence[str] = (),
        file_paths: Sequence[str] = (),
        to: str | Path = ".",
        on_progress: download.OnDownload | None = None,
    ) -> Path:
        """Fetch many files, or all that processes made, as one zip; see `download.bulk_download`."""
        return download.bulk_download(self, process_ids, file_paths, Path(to), on_progress=on_progress)

    def download(
        self, source: str, to: str | Path = ".", *, on_progress: download.OnDownload | None = None
    ) -> Path:
        """Fetch a process's final artifact or one file of the workspace; see `download.download`."""
        return download.download(self, source, Path(to), on_progress=on_progress)

    def address(self, source: str) -> dict[str, Any]:
        """Where a process's final artifact or a file of the workspace can be fetched: its `url`, until `expires_at`.

        Raises:
            JobFailed: the endpoint has no object store (`code` is `unsupported`), or there is no such file.
        """
        return download.address(self, source)

    def train(
        self,
        *,
        upload: Mapping[str, Any] | None = None,
        execution_timeout_s: float = training.EXECUTION_TIMEOUT_S,
        start_timeout_s: float = training.START_TIMEOUT_S,
        **fields: Any,
    ) -> Training:
        """Start a training and answer as soon as its process id is known; see `training.start`.

        `upload` says where artifacts go while they are made, e.g. `{"s3": {"prefix": "loras"}}`; the other fields are
        those of the `train` action.
        """
        return training.start(
            self,
            {**fields, "upload": upload},
            execution_timeout_s=execution_timeout_s,
            start_timeout_s=start_timeout_s,
        )

    def wait(
        self,
        process: Training | str,
        *,
        on_progress: OnProcess | None = None,
        interval_s: float = training.INTERVAL_S,
        timeout_s: float | None = None,
        check: bool = True,
    ) -> dict[str, Any]:
        """Follow a process to its end; see `training.wait`."""
        process_id = process if isinstance(process, str) else process.process_id
        return training.wait(
            self,
            process_id,
            on_progress=on_progress,
            interval_s=interval_s,
            timeout_s=timeout_s,
            check=check,
        )

    def generate(
        self,
        prompt: str | None = None,
        *,
        to: str | Path = ".",
        execution_timeout_s: float = generation.EXECUTION_TIMEOUT_S,
        **fields: Any,
    ) -> GeneratedFiles:
        """Make pictures or videos, and have them in the folder `to`.

        Args:
            prompt: what to show; a `workflow` or a `config` may say it.
            to: made where it is missing; what lies there already is not overwritten.
            execution_timeout_s: how long it may run, its wait for the GPU included.
            fields: those of the `generate` action; `image` may be a `Path`.

        Raises:
            JobFailed: it could not be generated; or another `LorapodError`.
            OSError: a file cannot be read or written here.
        """
        answer = self.call(
            "generate",
            policy={"executionTimeout": int(execution_timeout_s * 1000)},
            **generation.wish({"prompt": prompt, **fields}),
        )
        return generation.bring_home(self, answer, Path(to))

    def process_status(self, process_id: str, *, log_tail: int | None = None) -> dict[str, Any]:
        """All that is known of a process; `log_tail`: with so many last lines of its log."""
        return self.call("process_status", process_id=process_id, log_tail=log_tail)

    def cancel_process(self, process_id: str, *, save: bool | None = None) -> dict[str, Any]:
        """Stop a process; `save`: a checkpoint first where the trainer can (the worker's default)."""
        return self.call("cancel", process_id=process_id, save=save)

    def logs(self, process_id: str, *, offset: int = 0) -> str:
        """A process's log from `offset` (bytes) to its present end."""
        return training.logs(self, process_id, offset=offset)

    def metrics(
        self, process_id: str, *, keys: list[str] | None = None, since_step: int | None = None
    ) -> dict[str, list[tuple[int, float]]]:
        """A process's metrics: for each key its `(step, value)` pairs in order."""
        return training.metrics(self, process_id, keys=keys, since_step=since_step)

    def list_files(self, path: str | None = None, **filters: Any) -> list[dict[str, Any]]:
        """Every file below `path`, page by page; `filters` as the action has them (kind, pattern, recursive)."""
        return download.list_files(self, path, **filters)
