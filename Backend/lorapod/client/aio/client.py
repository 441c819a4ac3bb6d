"""The client of one endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from lorapod.client import comparison, following, generation, lora_tools, starting, steering, watching
from lorapod.client.aio.files import AsyncFilesClient
from lorapod.client.aio.training import AsyncTraining
from lorapod.client.download import PathLike
from lorapod.client.following import Curves, OnProgress
from lorapod.client.generation import GeneratedFiles
from lorapod.client.options import (
    CompareOptions,
    ConvertLoraOptions,
    GenerateOptions,
    LoraOptions,
    MergeLorasOptions,
    ResizeLoraOptions,
    ResumeOptions,
    TrainOptions,
)
from lorapod.wire.control import CancelResult
from lorapod.wire.process import ProcessSummary, ProcessView
from lorapod.wire.started import DryRun


class AsyncClient(AsyncFilesClient):
    """The client of one queue endpoint, RunPod's or a local one, and of the workers behind it.

    A method that fails raises a `LorapodError`: `JobFailed` if the worker refuses the request.
    It belongs to the event loop in which it is used first.

    ```python
    async with AsyncClient("https://api.runpod.ai/v2/<endpoint_id>", api_key) as client:
        await client.upload_dataset("images/", "my-style")
        training = await client.train(preset="sdxl", dataset={"training_name": "my-style"})
        await training.wait(on_progress=print)
        lora = await training.download("loras/")
    ```
    """

    async def train(
        self,
        *,
        execution_timeout_s: float = starting.EXECUTION_TIMEOUT_S,
        start_timeout_s: float = starting.START_TIMEOUT_S,
        **options: Unpack[TrainOptions],
    ) -> AsyncTraining:
        """Start a training, or with `variants` a sweep, and return it once a worker has accepted it.

        Args:
            execution_timeout_s: how long the job may stay open, if the worker keeps it open.
            start_timeout_s: how long to wait for a worker.
            options: what to train and how: `preset` or `config`, `dataset`, `steps` and the others of `TrainOptions`. If
                no `idempotency_key` is given, one is made, so that a request sent twice trains once.

        Raises:
            InvalidInputError: the worker refused the request; `details` names each field.
            WaitTimeout: no worker started it in time; `job_id` is the job to look at or to cancel.
            JobFailed: another reason why the worker cannot train it; or another `LorapodError`.
        """
        started = await starting.start(
            self._calls, options, execution_timeout_s=execution_timeout_s, start_timeout_s=start_timeout_s
        )
        return AsyncTraining.of(self._calls, started)

    async def dry_run(self, **options: Unpack[TrainOptions]) -> DryRun:
        """Have a worker check a training without starting it; return the final config and what would be refused.

        Args:
            options: those of `train`.

        Raises:
            JobFailed: the request cannot be read at all; or another `LorapodError`.
        """
        return await starting.dry_run(self._calls, options)

    def training(self, process_id: str) -> AsyncTraining:
        """Return a training that was started earlier, by its id; nothing is asked yet."""
        return AsyncTraining(self._calls, process_id)

    async def resume(
        self,
        process_id: str,
        *,
        steps: int | None = None,
        execution_timeout_s: float = starting.EXECUTION_TIMEOUT_S,
        start_timeout_s: float = starting.START_TIMEOUT_S,
        **options: Unpack[ResumeOptions],
    ) -> AsyncTraining:
        """Continue a training from its newest checkpoint.

        Args:
            process_id: the training.
            steps: a new total, larger than before: a completed training continues too.
            execution_timeout_s: how long the job may stay open, if the worker keeps it open.
            start_timeout_s: how long to wait for a worker.
            options: the other fields of `resume`, such as new `limits`.

        Raises:
            ConflictError: it still runs, or has nothing to continue from.
            WaitTimeout: no worker started it in time; or another `LorapodError`.
        """
        return await self.training(process_id).resume(
            steps=steps,
            execution_timeout_s=execution_timeout_s,
            start_timeout_s=start_timeout_s,
            **options,
        )

    async def start(
        self,
        action: str,
        /,
        *,
        execution_timeout_s: float = starting.EXECUTION_TIMEOUT_S,
        start_timeout_s: float = starting.START_TIMEOUT_S,
        **fields: object,
    ) -> AsyncTraining:
        """Start a process by any action that starts one, and return it once a worker has accepted it.

        Args:
            action: for example `download_model` or `caption_dataset`.
            execution_timeout_s: how long the job may stay open, if the worker keeps it open.
            start_timeout_s: how long to wait for a worker.
            fields: the fields of the action, as JSON has them; those with the value None are left out.
        """
        started = await starting.start(
            self._calls,
            {**fields, "type": action},
            execution_timeout_s=execution_timeout_s,
            start_timeout_s=start_timeout_s,
        )
        return AsyncTraining.of(self._calls, started)

    async def wait(
        self,
        process: AsyncTraining | str,
        *,
        on_progress: OnProgress | None = None,
        progress_bar: bool | None = None,
        interval_s: float = following.INTERVAL_S,
        timeout_s: float | None = None,
        check: bool = True,
    ) -> ProcessView:
        """Wait for the end of a process and return its status.

        Keeps waiting while a worker restarts or the endpoint is away, up to ten minutes at a time.

        Args:
            process: the training, or the id of any process.
            on_progress: called with each look at it, the last one included.
            progress_bar: whether to show it: as a bar on stderr, and in a notebook as a picture with its losses and
                samples. None: in a terminal or a notebook, unless `on_progress` is given.
            interval_s: seconds between two looks.
            timeout_s: how long to wait; None: to its end.
            check: raise unless it ends `completed`.

        Raises:
            ProcessEnded: it failed, was cancelled or was interrupted (with `check`).
            WaitTimeout: it has not ended after `timeout_s`; or another `LorapodError`.
        """
        return await watching.watch(
            self._calls,
            process if isinstance(process, str) else process.process_id,
            on_progress=on_progress,
            progress_bar=progress_bar,
            interval_s=interval_s,
            timeout_s=timeout_s,
            check=check,
        )

    async def generate(
        self,
        prompt: str | None = None,
        *,
        to: PathLike = ".",
        execution_timeout_s: float = generation.EXECUTION_TIMEOUT_S,
        on_progress: OnProgress | None = None,
        **options: Unpack[GenerateOptions],
    ) -> GeneratedFiles:
        """Generate images or videos and save them in a folder.

        Args:
            prompt: what to draw; not needed if a `workflow` or a `config` names it.
            to: the folder, created if it is missing; existing files are not overwritten.
            execution_timeout_s: how long it may take, its wait for the GPU included.
            on_progress: called with each progress update.
            options: `loras`, `seed` and the others of `GenerateOptions`. `image`, `mask`, `video` and `audio` may be a
                `Path`, and `images`, `videos` and `audios` a list of them: each file is sent under its own name.

        Raises:
            JobFailed: the worker could not generate them.
            LocalFileError: a file cannot be read or written here; or another `LorapodError`.
        """
        return await generation.generate(
            self._calls,
            prompt,
            to=to,
            execution_timeout_s=execution_timeout_s,
            on_progress=on_progress,
            fields=options,
        )

    async def compare(
        self,
        *sources: str,
        execution_timeout_s: float = comparison.EXECUTION_TIMEOUT_S,
        on_progress: OnProgress | None = None,
        **options: Unpack[CompareOptions],
    ) -> ProcessView:
        """Draw the same prompts with several checkpoints; return the ended process, with `grid_path` and `cells`.

        Args:
            sources: trainings and sweeps by their process ids, LoRAs by their paths in the workspace.
            execution_timeout_s: how long it may take, its wait for the GPU included.
            on_progress: called with each progress update.
            options: `prompts`, `steps`, `weights` and the others of `CompareOptions`.
        """
        return await comparison.compare(
            self._calls,
            sources,
            execution_timeout_s=execution_timeout_s,
            on_progress=on_progress,
            fields=options,
        )

    async def merge_loras(
        self, loras: Sequence[LoraOptions], name: str, **options: Unpack[MergeLorasOptions]
    ) -> ProcessView:
        """Make one LoRA of several; return the ended process, with `path`, `model`, `rank` and `kept_energy`.

        Args:
            loras: the LoRAs, each `{"path" or "process_id", "weight"}`.
            name: the new LoRA's, below `models/loras`.
            options: `method`, `rank`, `density`, `seed`.

        Raises:
            ProcessEnded: it failed; or another `LorapodError`.
        """
        return await lora_tools.make(self._calls, "merge_loras", {**options, "loras": loras, "name": name})

    async def resize_lora(self, name: str, **options: Unpack[ResizeLoraOptions]) -> ProcessView:
        """Make a LoRA smaller (`path` or `process_id`; `rank` or `energy`); returns and raises as `merge_loras`."""
        return await lora_tools.make(self._calls, "resize_lora", {**options, "name": name})

    async def convert_lora(self, name: str, **options: Unpack[ConvertLoraOptions]) -> ProcessView:
        """Convert a LoRA (`path` or `process_id`; `format`); returns and raises as `merge_loras`."""
        return await lora_tools.make(self._calls, "convert_lora", {**options, "name": name})

    async def processes(
        self, *, status: str | None = None, sweep_id: str | None = None, limit: int = 50
    ) -> list[ProcessSummary]:
        """Return the newest processes of the workspace, the newest first.

        Args:
            status: only those with this status, for example `running`.
            sweep_id: the trainings of this sweep; without it, each sweep is one process of the list.
            limit: how many at most, up to 500.
        """
        return await steering.processes(self._calls, status=status, sweep_id=sweep_id, limit=limit)

    async def process_status(self, process_id: str, *, log_tail: int | None = None) -> ProcessView:
        """Return the status of a process; with `log_tail`, that many last lines of its log too.

        Raises:
            NotFoundError: there is no such process.
        """
        return await following.status(self._calls, process_id, log_tail=log_tail)

    async def cancel_process(self, process_id: str, *, save: bool | None = None) -> CancelResult:
        """Stop a process; with `save` (the worker's default) after a checkpoint, if the trainer can.

        Raises:
            ConflictError: it has ended already.
        """
        return await steering.cancel(self._calls, process_id, save=save)

    async def logs(self, process_id: str, *, offset: int = 0) -> str:
        """Return a process's log from `offset` (bytes) to its present end."""
        return await following.logs(self._calls, process_id, offset=offset)

    async def metrics(
        self, process_id: str, *, keys: Sequence[str] | None = None, since_step: int | None = None
    ) -> Curves:
        """Return a process's metrics: for each key its `(step, value)` pairs in order."""
        return await following.metrics(self._calls, process_id, keys=keys, since_step=since_step)
