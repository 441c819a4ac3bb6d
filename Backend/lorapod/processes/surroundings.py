"""What every process of a worker shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lorapod.clock import Clock
from lorapod.processes.lease import Pulse
from lorapod.processes.slots import Slot, SlotPool
from lorapod.processes.starting import ColdStarter, Starter
from lorapod.processes.store.port import StateStore
from lorapod.processes.supply import DatasetSupply
from lorapod.trainers.port import WarmSpec
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
    starter: Starter = field(default_factory=ColdStarter)
    #: None: this worker fetches no datasets, and draws none.
    datasets: DatasetSupply | None = None

    def begin_soon(self, warm: WarmSpec | None) -> None:
        """Have the starter get ready for a trainer, as the holder of any slot will run it."""
        self.starter.begin_soon(warm, self.child_environment(self.slots.example))

    def child_environment(self, slot: Slot) -> Mapping[str, str]:
        """What the child that holds `slot` inherits."""
        return {
            **self.environment,
            "PYTHONUNBUFFERED": "1",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": slot.visible_devices,
        }
