"""The client of one endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.client import comparison, download, generation, training, upload
from lorapod.client.generation import GeneratedFiles
from lorapod.client.queue import OnUpdate, QueueClient
from lorapod.client.training import OnProcess, Training


class Client(QueueClient):
    """The client of one queue endpoint, RunPod's or a local one, and of the workers behind it.

    Safe to use from several threads. Every method raises `LorapodError` if it fails.
    """

    def needs_no_worker(self, action: str, fields: Mapping[str, Any]) -> bool:  # noqa: ARG002 -- see VolumeClient
        """Return whether `call` answers this without a job on the endpoint: never here."""
        return False

    def upload_dataset(
        self,
        folder: str | Path,
        training_name: str,
        *,
        trigger_word: str | None = None,
        fix: bool = False,
        on_progress: upload.OnUpload | None = None,
    ) -> upload.UploadedDataset:
        """Upload a folder's images, captions, videos and zips; see `upload.upload_dataset`."""
        return upload.upload_dataset(
            self, Path(folder), training_name, trigger_word=trigger_word, fix=fix, on_progress=on_progress
        )

    def bulk_download(
        self,
        *,
        process_ids: Sequence[str] = (),
        file_paths: Sequence[str] = (),
        to: str | Path = ".",
        on_progress: download.OnDownload | None = None,
    ) -> Path:
        """Download many files, or all files of processes, as one zip; see `download.bulk_download`."""
        return download.bulk_download(
            self, process_ids, file_paths, download.place(to), on_progress=on_progress
        )

    def download(
        self, source: str, to: str | Path = ".", *, on_progress: download.OnDownload | None = None
    ) -> Path:
        """Download a process's final artifact or one file of the workspace; see `download.download`.

        `to` is a file, or a folder: an existing one, or a text that ends in a slash.
        """
        return download.download(self, source, download.place(to), on_progress=on_progress)

    def address(self, source: str) -> dict[str, Any]:
        """Return a URL (`url`) of a process's final artifact or of a file of the workspace, valid until `expires_at`.

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
        """Start a training and return it once its process id is known; see `training.start`.

        `upload` says where to upload artifacts during the training, e.g. `{"s3": {"prefix": "loras"}}`; the
        other fields are those of the `train` action.
        """
        return training.start(
            self,
            {**fields, "upload": upload},
            execution_timeout_s=execution_timeout_s,
            start_timeout_s=start_timeout_s,
        )

    def resume(
        self,
        process_id: str,
        *,
        steps: int | None = None,
        execution_timeout_s: float = training.EXECUTION_TIMEOUT_S,
        start_timeout_s: float = training.START_TIMEOUT_S,
        **fields: Any,
    ) -> Training:
        """Continue a training from its newest checkpoint; see `training.start`.

        `steps` is a new total, larger than before: a completed training goes on too. The other fields are those of the
        `resume` action.
        """
        return training.start(
            self,
            {**fields, "type": "resume", "process_id": process_id, "steps": steps},
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
        """Wait for the end of a process; see `training.wait`."""
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
        on_progress: OnUpdate | None = None,
        **fields: Any,
    ) -> GeneratedFiles:
        """Generate images or videos and save them in the folder `to`.

        Args:
            prompt: what to draw; not needed if a `workflow` or a `config` names it.
            to: created if it is missing; existing files are not overwritten.
            execution_timeout_s: how long it may take, its wait for the GPU included.
            on_progress: called with each progress update, e.g. `update["progress"]["node"]`.
            fields: those of the `generate` action; `image`, `mask`, `video` and `audio` may be a `Path`, and `images`,
                `videos` and `audios` a list of them: each file is sent under its own name.

        Raises:
            JobFailed: the worker could not generate them; or another `LorapodError`.
            OSError: a file cannot be read or written on this machine.
        """
        answer = self.call(
            "generate",
            policy={"executionTimeout": int(execution_timeout_s * 1000)},
            on_update=on_progress,
            **generation.request_fields({"prompt": prompt, **fields}),
        )
        return generation.save_files(self, answer, Path(to))

    def compare(
        self,
        *sources: str,
        execution_timeout_s: float = comparison.EXECUTION_TIMEOUT_S,
        on_progress: OnUpdate | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Draw the same prompts with several checkpoints; return the answer at the end, with `grid_path` and `cells`.

        Args:
            sources: trainings by their process ids, LoRAs by their paths in the workspace.
            execution_timeout_s: how long it may take, its wait for the GPU included.
            on_progress: called with each progress update.
            fields: those of the `compare` action, such as `prompts`, `steps` and `weights`.

        Raises:
            JobFailed: the worker refused it; or another `LorapodError`.
        """
        return comparison.compare(
            self, sources, execution_timeout_s=execution_timeout_s, on_progress=on_progress, fields=fields
        )

    def merge_loras(self, loras: Sequence[Mapping[str, Any]], name: str, **fields: Any) -> dict[str, Any]:
        """Make one LoRA of several, each `{"path" or "process_id", "weight"}`, and return the ended process.

        `fields` are those of the action: `method`, `rank`, `density`, `seed`. The answer has `path`, `model`, `rank` and
        `kept_energy`.

        Raises:
            ProcessEnded: it failed; or another `LorapodError`.
        """
        return self._make({**fields, "type": "merge_loras", "loras": loras, "name": name})

    def resize_lora(self, name: str, **fields: Any) -> dict[str, Any]:
        """Make a LoRA smaller (`path` or `process_id`; `rank` or `energy`); returns and raises as `merge_loras`."""
        return self._make({**fields, "type": "resize_lora", "name": name})

    def convert_lora(self, name: str, **fields: Any) -> dict[str, Any]:
        """Convert a LoRA (`path` or `process_id`; `format`); returns and raises as `merge_loras`."""
        return self._make({**fields, "type": "convert_lora", "name": name})

    def _make(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Start a process, and wait for its end."""
        return self.wait(training.start(self, request, execution_timeout_s=training.EXECUTION_TIMEOUT_S))

    def process_status(self, process_id: str, *, log_tail: int | None = None) -> dict[str, Any]:
        """Return the status of a process; with `log_tail`, that many last lines of its log too."""
        return self.call("process_status", process_id=process_id, log_tail=log_tail)

    def cancel_process(self, process_id: str, *, save: bool | None = None) -> dict[str, Any]:
        """Stop a process; with `save` (the worker's default) after a checkpoint, if the trainer can."""
        return self.call("cancel", process_id=process_id, save=save)

    def logs(self, process_id: str, *, offset: int = 0) -> str:
        """Return a process's log from `offset` (bytes) to its present end."""
        return training.logs(self, process_id, offset=offset)

    def metrics(
        self, process_id: str, *, keys: list[str] | None = None, since_step: int | None = None
    ) -> dict[str, list[tuple[int, float]]]:
        """Return a process's metrics: for each key its `(step, value)` pairs in order."""
        return training.metrics(self, process_id, keys=keys, since_step=since_step)

    def list_files(self, path: str | None = None, **filters: Any) -> list[dict[str, Any]]:
        """Return every file below `path`; `filters` are those of the action: kind, pattern, recursive."""
        return download.list_files(self, path, **filters)
