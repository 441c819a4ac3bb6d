"""Downloads of models as processes: in their supervisor's thread, without a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lorapod.datasets.sources.running import Stopped, run_until
from lorapod.errors import Unsupported
from lorapod.models.download import ModelDownloads
from lorapod.models.order import ModelOrder
from lorapod.models.port import Downloads, DownloadStopped, WantedModel
from lorapod.processes.order import Order, TaskOrder
from lorapod.processes.requests import Capability
from lorapod.processes.task import TaskRun, TaskStopped, TaskWork
from lorapod.processes.work import Plan
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord, TaskDetails
from lorapod.wire.dataset import FetchProgress

#: Between two progress reports.
TELL_S = 0.5


def _nothing() -> None:
    """Do nothing after a download."""


class DownloadKind:
    """Processes of type `download`; their order's input is a `ModelOrder`."""

    name = "download"
    resumable = True
    not_resumable = ""

    def __init__(
        self,
        downloads: ModelDownloads,
        engines: Mapping[str, Downloads],
        *,
        on_download: Callable[[], None] = _nothing,
    ) -> None:
        """Fetch with `downloads`, or have an engine do it that keeps its own models.

        Args:
            downloads: into the workspace.
            engines: by name.
            on_download: called after each download into the workspace.
        """
        self._downloads = downloads
        self._engines = engines
        self._on_download = on_download

    @property
    def order_type(self) -> type[Order]:
        """Orders of tasks."""
        return TaskOrder

    def plan(self, process_id: str, order: TaskOrder, live: object = None) -> Plan:
        """Check what can be checked without a server.

        Raises:
            WorkerError: what is refused.
        """
        del live
        wanted = ModelOrder.of(order.input)
        fetch = self._here(wanted, process_id) if wanted.engine is None else self._there(wanted)
        warnings = self._downloads.warnings(wanted) if wanted.engine is None else ()
        name = wanted.name or wanted.source.partition("?")[0].rpartition("/")[2]
        return Plan(
            work=TaskWork(fetch, needs_slot=False, secrets=order.secrets),
            name=name[:100] or "model",
            task=TaskDetails(engine=wanted.engine, restartable=True),
            warnings=warnings,
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return none: a download takes no control requests."""
        del record
        return frozenset()

    def _here(self, wanted: ModelOrder, process_id: str) -> Callable[[TaskRun], Mapping[str, Any]]:
        self._downloads.check(wanted)
        return partial(self._fetch, wanted, process_id)

    def _there(self, wanted: ModelOrder) -> Callable[[TaskRun], Mapping[str, Any]]:
        engine = self._engines.get(wanted.engine or "")
        if engine is None:
            raise Unsupported(f"{wanted.engine} fetches no models here.", hint="Leave `engine` out.")
        asked = wanted.for_engine()
        engine.check(asked)
        return partial(_have_fetched, engine, wanted.engine or "", asked)

    def _fetch(self, wanted: ModelOrder, process_id: str, run: TaskRun) -> Mapping[str, Any]:
        progress = _DownloadProgress(run)
        run.note("fetching a model")
        try:
            known = run_until(run.stopped, self._downloads.fetch(wanted, process_id, progress.report))
        except Stopped:
            raise TaskStopped from None
        progress.done(known["size_bytes"])
        self._on_download()
        run.note(f"the model is at {known['path']}")
        return known


def _have_fetched(
    engine: Downloads, engine_name: str, wanted: WantedModel, run: TaskRun
) -> Mapping[str, Any]:
    def report(share: float | None, _bytes_per_s: float | None) -> None:
        run.progress(StoredProgress(told_percent=None if share is None else 100 * share))

    try:
        name = engine.download(wanted, stopped=run.stopped, report=report)
    except DownloadStopped:
        raise TaskStopped from None
    run.note(f"{engine_name} has the model {name}")
    return {"name": name, "kind": wanted.kind.value, "engine": engine_name}


class _DownloadProgress:
    """Shows how far a download is, now and then."""

    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self._began: tuple[float, int] | None = None
        self._due_s = 0.0

    def report(self, received_bytes: int, total_bytes: int | None) -> None:
        now_s = time.monotonic()
        if self._began is None:
            self._began = (now_s, received_bytes)
        if now_s < self._due_s:
            return
        self._due_s = now_s + TELL_S
        self._show(received_bytes, total_bytes, files=0)
        percent = 100 * received_bytes / total_bytes if total_bytes else None
        self._run.progress(
            StoredProgress(told_percent=percent, eta_s=self._eta_s(now_s, received_bytes, total_bytes))
        )

    def done(self, size_bytes: int) -> None:
        self._show(size_bytes, size_bytes, files=1)
        self._run.progress(StoredProgress(told_percent=100.0))

    def _show(self, received_bytes: int, total_bytes: int | None, *, files: int) -> None:
        self._run.fetched(
            FetchProgress(files=files, total_files=1, received_bytes=received_bytes, total_bytes=total_bytes)
        )

    def _eta_s(self, now_s: float, received_bytes: int, total_bytes: int | None) -> float | None:
        assert self._began is not None
        began_s, before_bytes = self._began
        came_bytes = received_bytes - before_bytes
        if total_bytes is None or came_bytes <= 0:
            return None
        return round((now_s - began_s) / came_bytes * (total_bytes - received_bytes), 1)
