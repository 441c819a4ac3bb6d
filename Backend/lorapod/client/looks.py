"""What a person sees of a process that is waited for: a bar in a terminal, a picture of it in a notebook."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from lorapod.client.errors import ClientClosed, LorapodError
from lorapod.client.progress import Progress, duration
from lorapod.client.snapshots import SampleImage, TrainingSnapshot, sample_image
from lorapod.client.worker_calls import WorkerCalls
from lorapod.wire.process import ProcessView, SampleView

#: Newest samples in a snapshot.
SAMPLES_SHOWN: Final = 8
_LOSS: Final = "loss/loss"

OnSnapshot = Callable[[TrainingSnapshot], None]


class ProcessDisplay(Protocol):
    """Shows a process while it is waited for."""

    async def show(self, now: Progress) -> None:
        """Show the newest look at it."""

    def close(self) -> None:
        """Leave the last look as it is."""


def display_for(
    calls: WorkerCalls, *, wanted: bool | None, has_callback: bool, on_snapshot: OnSnapshot
) -> ProcessDisplay:
    """Return what shows a process: nothing if it is not wanted, or if a program that is not a person's is told of it.

    Args:
        calls: fetch what a notebook shows.
        wanted: whether to show it; None: in a notebook or a terminal, unless a callback is told.
        has_callback: whether a callback is told.
        on_snapshot: gets what is known of it.
    """
    shell = notebook_shell()
    if wanted is False or (wanted is None and has_callback):
        return _Unseen(on_snapshot)
    if shell is not None:
        return NotebookDisplay(calls, on_snapshot)
    if wanted or sys.stderr.isatty():
        return TerminalDisplay(on_snapshot)
    return _Unseen(on_snapshot)


def notebook_shell() -> Any:
    """Return the shell of a notebook that runs this program; None in another program."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    # IPython in a terminal has no kernel.
    return shell if getattr(shell, "kernel", None) is not None else None


class _Unseen:
    """Shows nothing, and keeps what the looks tell anyway."""

    def __init__(self, on_snapshot: OnSnapshot) -> None:
        self._on_snapshot = on_snapshot
        self._losses: list[tuple[int, float]] = []

    async def show(self, now: Progress) -> None:
        if now.loss is not None and (not self._losses or self._losses[-1][0] < now.step):
            self._losses.append((now.step, now.loss))
        self._on_snapshot(TrainingSnapshot(process=now.process, losses=tuple(self._losses)))

    def close(self) -> None:
        pass


class TerminalDisplay(_Unseen):
    """A line with a bar, on stderr; of several processes one line each."""

    def __init__(self, on_snapshot: OnSnapshot) -> None:
        """Show nothing yet."""
        super().__init__(on_snapshot)
        self._task: Any = None

    async def show(self, now: Progress) -> None:
        """Show the newest look; see `ProcessDisplay`."""
        await super().show(now)
        self._task = _BARS.show(self._task, now)

    def close(self) -> None:
        """Leave the bar as it is; see `ProcessDisplay`."""
        if self._task is not None:
            _BARS.end(self._task)
            self._task = None


class _Bars:
    """The bars of all processes that are waited for: a terminal has room for one live display."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bar: Any = None
        self._tasks: set[Any] = set()

    def show(self, task: Any, now: Progress) -> Any:
        """Show a look; return the bar's task, or None if something else of the program draws in the terminal."""
        from rich.errors import LiveError

        with self._lock:
            if self._bar is None:
                bar = _new_bar()
                try:
                    bar.start()
                except LiveError:
                    return None
                self._bar = bar
            if task is None:
                task = self._bar.add_task(now.process_id, total=None, figures="")
                self._tasks.add(task)
            phase = now.phase if now.phase and not now.ended else None
            self._bar.update(
                task,
                description=f"{now.process_id} {phase or now.status}",
                total=now.total_steps,
                completed=now.step,
                figures=_figures(now),
                refresh=True,
            )
            return task

    def end(self, task: Any) -> None:
        with self._lock:
            self._tasks.discard(task)
            if not self._tasks and self._bar is not None:
                self._bar.stop()
                self._bar = None


_BARS: Final = _Bars()


def _new_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=Console(stderr=True),
    )


def _figures(now: Progress) -> str:
    parts = [] if now.loss is None else [f"loss {now.loss:.4f}"]
    if now.eta_s is not None:
        parts.append(f"{duration(now.eta_s)} left")
    return "  ".join(parts)


class NotebookDisplay:
    """A picture of the process below the notebook's cell, drawn anew with each look."""

    def __init__(self, calls: WorkerCalls, on_snapshot: OnSnapshot) -> None:
        """Show nothing yet."""
        self._reader = SnapshotReader(calls)
        self._on_snapshot = on_snapshot
        self._handle: Any = None

    async def show(self, now: Progress) -> None:
        """Show the newest look, its losses and samples; see `ProcessDisplay`."""
        snapshot = await self._reader.read(now.process)
        self._on_snapshot(snapshot)
        if self._handle is None:
            # Only a notebook has it.
            display = importlib.import_module("IPython.display").display
            self._handle = display(snapshot, display_id=True)
        else:
            self._handle.update(snapshot)

    def close(self) -> None:
        """Leave the picture as it is; see `ProcessDisplay`."""


class SnapshotReader:
    """Reads losses and samples of a process; each sample once."""

    def __init__(self, calls: WorkerCalls) -> None:
        """Read nothing yet."""
        self._calls = calls
        self._losses: list[tuple[int, float]] = []
        self._images: dict[str, SampleImage] = {}

    async def read(self, process: Any) -> TrainingSnapshot:
        """Return a snapshot of a process; what cannot be read now is left out.

        Raises:
            ClientClosed: the client was closed.
        """
        if isinstance(process, ProcessView):
            await self._read_losses(process)
            for sample in _newest(process):
                await self._read_sample(process, sample)
            shown = [self._images[one.path] for one in _newest(process) if one.path in self._images]
        else:
            shown = []
        return TrainingSnapshot(process=process, losses=tuple(self._losses), samples=tuple(shown))

    async def _read_losses(self, process: ProcessView) -> None:
        if process.type != "train" or not process.progress.step:
            return
        since = self._losses[-1][0] if self._losses else None
        try:
            answer = await self._calls.call(
                "metrics", process_id=process.process_id, keys=[_LOSS], since_step=since
            )
            points = answer["series"].get(_LOSS, ())
        except ClientClosed:
            raise
        except (LorapodError, KeyError):
            return
        self._losses += [(int(step), float(value)) for step, value in points]

    async def _read_sample(self, process: ProcessView, sample: SampleView) -> None:
        if sample.path in self._images:
            return
        prompts = process.sample_prompts
        prompt = prompts[sample.index] if sample.index < len(prompts) else ""
        try:
            data = await self._calls.content(sample.path)
        except ClientClosed:
            raise
        except LorapodError:
            return
        self._images[sample.path] = await self._calls.runtime.with_files(
            lambda: sample_image(data, step=sample.step, index=sample.index, prompt=prompt)
        )


def _newest(process: ProcessView) -> list[SampleView]:
    return sorted(process.samples, key=lambda one: (one.step, one.index))[-SAMPLES_SHOWN:]
