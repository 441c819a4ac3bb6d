"""The choice of the state store."""

from __future__ import annotations

from lorapod.clock import Clock
from lorapod.lease import LeaseTimes
from lorapod.processes.store.file import open_file_store
from lorapod.processes.store.port import StateStore
from lorapod.settings import Settings
from lorapod.workspace import Workspace


def open_store(settings: Settings, workspace: Workspace, clock: Clock) -> StateStore:
    """Open the store that `STATE_URL` names; without it, files on the workspace.

    Raises:
        ValueError: `STATE_URL` has an unknown form, or its client is not installed.
        OSError: the workspace cannot be written, or the server refuses this worker.
    """
    if settings.state_url is None:
        return open_file_store(workspace.processes, clock)
    try:
        from lorapod.processes.store.redis import open_redis_store
    except ModuleNotFoundError as error:
        raise ValueError(
            f"STATE_URL needs the package {error.name}: install lorapod with its extra `redis`."
        ) from None
    return open_redis_store(
        settings.state_url,
        prefix=settings.state_prefix,
        beat_s=LeaseTimes(lease_s=settings.lease_s).beat_s,
        clock=clock,
    )
