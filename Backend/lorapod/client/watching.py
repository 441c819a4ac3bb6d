"""Wait for a process, and show it meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from lorapod.client import following
from lorapod.client.following import OnProgress
from lorapod.client.looks import SnapshotReader, display_for
from lorapod.client.progress import Progress
from lorapod.client.snapshots import TrainingSnapshot
from lorapod.client.worker_calls import WorkerCalls
from lorapod.wire.process import ProcessView


async def watch(
    calls: WorkerCalls,
    process_id: str,
    *,
    on_progress: OnProgress | None = None,
    progress_bar: bool | None = None,
    interval_s: float = following.INTERVAL_S,
    timeout_s: float | None = None,
    check: bool = True,
    on_snapshot: Callable[[TrainingSnapshot], None] = lambda _: None,
) -> ProcessView:
    """Wait until a process has ended; see `Client.wait`. `on_snapshot` gets what is known of it."""
    display = display_for(
        calls, wanted=progress_bar, has_callback=on_progress is not None, on_snapshot=on_snapshot
    )

    async def look(now: Progress) -> None:
        await display.show(now)
        if on_progress is not None:
            on_progress(now)

    try:
        return await following.wait(
            calls, process_id, on_look=look, interval_s=interval_s, timeout_s=timeout_s, check=check
        )
    finally:
        display.close()


async def snapshot(calls: WorkerCalls, process_id: str) -> TrainingSnapshot:
    """Return a process as a notebook shows it."""
    return await SnapshotReader(calls).read(await following.status(calls, process_id))
