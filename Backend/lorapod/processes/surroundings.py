"""What every process of a worker shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lorapod.clock import Clock
from lorapod.processes.lease import Pulse
from lorapod.processes.slots import SlotPool
from lorapod.processes.store.port import StateStore
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every supervisor of a worker shares."""

    workspace: Workspace
    store: StateStore
    pulse: Pulse
    slots: SlotPool
    clock: Clock
    #: What every child inherits.
    environment: Mapping[str, str]
    max_log_bytes: int
