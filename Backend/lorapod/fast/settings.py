"""The few settings that the entry needs while its Python has no pydantic.

All settings are declared and described in `lorapod.settings`, which the worker reads. These are read by the same rules,
and a test compares the two.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The folder of the project in the image: `Backend/` and `FastBackend/` lie in it.
PROJECT = Path(__file__).resolve().parents[3]
BACKEND = PROJECT / "Backend"

#: As pydantic reads a setting that is true or false.
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_SECRET_NAME = re.compile(r"(?:.*_)?(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class FastSettings:
    """The settings of the entry."""

    workspace_root: Path
    #: The lock to install: one pinned package on each line.
    lock: Path
    #: The folder of the environments.
    environments: Path
    #: Whether other workers can use the same environments.
    shared: bool
    worker_id: str
    #: Whether the platform accepts progress updates.
    serverless: bool
    worker_concurrency: int
    disk_min_free_bytes: int
    progress_interval_s: float
    lease_s: float
    shutdown_grace_s: float
    log_level: str
    secrets: frozenset[str]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> FastSettings:
        """Read `environment`; an empty variable counts as not set.

        Raises:
            ValueError: a value must be a number and is not.
        """
        given = {name: value for name, value in environment.items() if value}
        root = _workspace_root(given)
        usable = _usable(root)
        local = Path(given.get("SCRATCH_PATH") or tempfile.gettempdir()) / "lorapod"
        named = given.get("FAST_ENVIRONMENTS")
        refreshed = given.get("REFRESH_WORKER", "").lower() in _TRUE
        environments = Path(named) if named else (root if usable else local) / ".environments"
        return cls(
            workspace_root=root,
            lock=Path(given.get("FAST_LOCK") or PROJECT / "FastBackend/requirements.lock"),
            environments=environments.absolute(),
            shared=_on_volume(environments.absolute()),
            worker_id=given.get("RUNPOD_POD_ID") or f"{socket.gethostname()}-{os.getpid()}",
            serverless="RUNPOD_WEBHOOK_GET_JOB" in given,
            # As `Settings.jobs_at_once`: the container is replaced after each job.
            worker_concurrency=1 if refreshed else int(given.get("WORKER_CONCURRENCY", "8")),
            disk_min_free_bytes=int(given.get("DISK_MIN_FREE_BYTES", "1000000000")),
            progress_interval_s=float(given.get("PROGRESS_INTERVAL_S", "30")),
            lease_s=float(given.get("LEASE_S", "15")),
            shutdown_grace_s=float(given.get("SHUTDOWN_GRACE_S", "20")),
            log_level=given.get("LOG_LEVEL", "INFO"),
            secrets=frozenset(value for name, value in given.items() if _SECRET_NAME.fullmatch(name)),
        )


def _workspace_root(given: Mapping[str, str]) -> Path:
    for name in ("WORKSPACE_PATH", "NETWORK_VOLUME_PATH"):
        if name in given:
            return Path(given[name])
    volume = Path("/runpod-volume")
    return volume if volume.is_mount() else Path("/workspace")


def _usable(root: Path) -> bool:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(root, os.W_OK | os.X_OK)


def _on_volume(folder: Path) -> bool:
    """Return whether the folder is on a mounted volume; the container's own disk is deleted with the worker."""
    return any(place.is_mount() for place in [folder, *folder.parents] if place != Path("/"))
