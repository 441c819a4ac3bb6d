"""A training on a worker: follow it, steer it, fetch what it made. Made by `make docs`: change the source, not this file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Unpack

from lorapod.client import comparison, following, starting, steering, watching
from lorapod.client.download import OnDownload, PathLike
from lorapod.client.following import Curves, OnProgress
from lorapod.client.options import CompareOptions, ResumeOptions
from lorapod.client.runtime import finish
from lorapod.client.snapshots import TrainingSnapshot, unseen
from lorapod.client.worker_calls import WorkerCalls
from lorapod.wire.control import CancelResult, RequestedResult
from lorapod.wire.process import ProcessView
from lorapod.wire.started import Started


class Training:
    """A training, or another process, on a worker. It asks for nothing before a method is called.

    Attributes:
        process_id: its id.
        job_id: the RunPod job that started it; cancelling it stops an attached training. None for one that was found by
            its id.
        attached: whether that job stays open until the training ends.
        started: the worker's answer; None of an attached job, and of a training that was found by its id.
        answer: the worker's answer as it came, or the first progress update of an attached job.
    """

    def __init__(
        self,
        calls: WorkerCalls,
        process_id: str,
        *,
        job_id: str | None = None,
        attached: bool = False,
        started: Started | None = None,
        answer: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Use `Client.train` or `Client.training`."""
        self._calls = calls
        self.process_id = process_id
        self.job_id = job_id
        self.attached = attached
        self.started = started
        self.answer = answer
        self._seen: TrainingSnapshot | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.process_id!r})"

    def status(self, *, log_tail: int | None = None) -> ProcessView:
        """Return its status; with `log_tail`, that many last lines of its log too.

        Raises:
            NotFoundError: there is no such process.
        """
        return finish(following.status(self._calls, self.process_id, log_tail=log_tail))

    def wait(
        self,
        *,
        on_progress: OnProgress | None = None,
        progress_bar: bool | None = None,
        interval_s: float = following.INTERVAL_S,
        timeout_s: float | None = None,
        check: bool = True,
    ) -> ProcessView:
        """Wait for its end and return its status; see `Client.wait`."""
        return finish(
            watching.watch(
                self._calls,
                self.process_id,
                on_progress=on_progress,
                progress_bar=progress_bar,
                interval_s=interval_s,
                timeout_s=timeout_s,
                check=check,
                on_snapshot=self._remember,
            )
        )

    def snapshot(self) -> TrainingSnapshot:
        """Return it at this moment, with its losses and newest samples; a notebook draws it.

        Raises:
            NotFoundError: there is no such process.
        """
        self._seen = finish(watching.snapshot(self._calls, self.process_id))
        return self._seen

    def _remember(self, snapshot: TrainingSnapshot) -> None:
        self._seen = snapshot

    def _repr_html_(self) -> str:
        """Draw what this object has seen of it last; it asks for nothing, because that could start a worker."""
        return unseen(repr(self)) if self._seen is None else self._seen._repr_html_()

    def cancel(self, *, save: bool | None = None) -> CancelResult:
        """Stop it, by default after a checkpoint, if the trainer can.

        Raises:
            ConflictError: it has ended already.
        """
        return finish(steering.cancel(self._calls, self.process_id, save=save))

    def save(self) -> RequestedResult:
        """Have it write a checkpoint at the end of its present step.

        Raises:
            ConflictError: it does not run, or its trainer cannot.
        """
        return finish(steering.save_now(self._calls, self.process_id))

    def sample(self) -> RequestedResult:
        """Have it make its sample images at the next step.

        Raises:
            ConflictError: it does not run, or its trainer cannot.
        """
        return finish(steering.sample_now(self._calls, self.process_id))

    def resume(
        self,
        *,
        steps: int | None = None,
        execution_timeout_s: float = starting.EXECUTION_TIMEOUT_S,
        start_timeout_s: float = starting.START_TIMEOUT_S,
        **options: Unpack[ResumeOptions],
    ) -> Training:
        """Continue it from its newest checkpoint; see `Client.resume`."""
        started = finish(
            starting.start(
                self._calls,
                {**options, "type": "resume", "process_id": self.process_id, "steps": steps},
                execution_timeout_s=execution_timeout_s,
                start_timeout_s=start_timeout_s,
            )
        )
        return Training.of(self._calls, started)

    def compare(
        self,
        *,
        execution_timeout_s: float = comparison.EXECUTION_TIMEOUT_S,
        on_progress: OnProgress | None = None,
        **options: Unpack[CompareOptions],
    ) -> ProcessView:
        """Draw the same prompts with its checkpoints; see `Client.compare`."""
        return finish(
            comparison.compare(
                self._calls,
                [self.process_id],
                execution_timeout_s=execution_timeout_s,
                on_progress=on_progress,
                fields=options,
            )
        )

    def logs(self, *, offset: int = 0) -> str:
        """Return its log from `offset` (bytes) to its present end."""
        return finish(following.logs(self._calls, self.process_id, offset=offset))

    def metrics(self, *, keys: Sequence[str] | None = None, since_step: int | None = None) -> Curves:
        """Return its metrics: for each key its `(step, value)` pairs in order."""
        return finish(following.metrics(self._calls, self.process_id, keys=keys, since_step=since_step))

    def download(self, to: PathLike = ".", *, on_progress: OnDownload | None = None) -> Path:
        """Download its final artifact; see `Client.download`."""
        return finish(self._calls.download(self.process_id, to, on_progress=on_progress))

    @classmethod
    def of(cls, calls: WorkerCalls, started: starting.StartedProcess) -> Training:
        """Return the training that a worker has accepted."""
        return cls(
            calls,
            started.process_id,
            job_id=started.job_id,
            attached=started.attached,
            started=started.read(),
            answer=started.answer,
        )
