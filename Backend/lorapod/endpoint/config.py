"""The settings of a local endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorapod.endpoint.limits import EndpointLimits


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """The settings; the defaults suit a developer's machine and differ from RunPod's.

    RunPod stops a worker 5 s after its last job. Here workers keep running unless `idle_timeout_s` is set,
    so that a developer does not wait for start-ups.
    """

    #: The worker's argv; never given to a shell.
    command: Sequence[str]
    #: Most workers that may run at the same time.
    workers: int = 1
    #: Workers that always run. None: all without an idle timeout, none with one.
    min_workers: int | None = None
    #: A worker is stopped this long after its last job; None: never.
    idle_timeout_s: float | None = None
    #: A job that waits this long starts one more worker; if no worker runs, the first starts at once.
    scale_up_delay_s: float = 2.0

    endpoint_id: str = "local"
    host: str = "127.0.0.1"
    #: 0: a free port.
    port: int = 0
    #: What callers must send as `Authorization: Bearer …`; None: nothing.
    api_key: str | None = field(default=None, repr=False)

    #: Variables for the workers, in addition to the endpoint's own environment.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    working_folder: Path | None = None
    #: Each worker's output is written to a file here; None: to the endpoint's log.
    log_folder: Path | None = None

    #: How often a worker sends its heartbeat; whole seconds, at least 1 (the SDK's own grain).
    ping_interval_s: int = 5
    #: A worker is `unhealthy` in `/health` this long after its last heartbeat; None: four intervals.
    ping_stale_s: float | None = None
    #: How long to hold a worker's poll; the SDK gives up after 90 s.
    poll_hold_s: float = 30.0
    #: From SIGTERM to SIGKILL, both to the worker's process group.
    stop_grace_s: float = 10.0
    #: The first wait before a crashed worker is started again; it doubles with each crash in a row.
    restart_wait_s: float = 0.5
    restart_wait_max_s: float = 30.0
    #: The wait between the attempts of a webhook.
    webhook_wait_s: float = 10.0
    webhook_attempts: int = 3

    limits: EndpointLimits = field(default_factory=EndpointLimits)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ValueError: the command is empty, there is no worker, or `min_workers` exceeds `workers`.
        """
        if not self.command:
            raise ValueError("an endpoint needs the command that starts a worker")
        if self.workers < 1:
            raise ValueError(f"an endpoint needs at least one worker, not {self.workers}")
        if not 0 <= self.active_workers <= self.workers:
            raise ValueError(
                f"min_workers is {self.active_workers}, but there are at most {self.workers} workers"
            )
        if self.ping_interval_s < 1:
            raise ValueError(
                "ping_interval_s must be at least 1: the SDK sends its heartbeat in whole seconds"
            )

    @property
    def active_workers(self) -> int:
        """Return how many workers always run."""
        if self.min_workers is not None:
            return self.min_workers
        return self.workers if self.idle_timeout_s is None else 0

    @property
    def stale_after_s(self) -> float:
        """Return the age of its last heartbeat from which a worker counts as unhealthy."""
        return 4.0 * self.ping_interval_s if self.ping_stale_s is None else self.ping_stale_s
