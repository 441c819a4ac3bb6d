"""What emits and delivers the events of a worker, built together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from lorapod.clock import Clock
from lorapod.events.courier import Courier
from lorapod.events.emitter import EventEmitter
from lorapod.events.opening import open_sinks
from lorapod.events.runpod import RunPodSink
from lorapod.processes.store.port import StateStore
from lorapod.safety.vault import Vault
from lorapod.settings import Settings
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class EventParts:
    """What emits and delivers events."""

    #: One of the sinks of `courier`; jobs attach to it.
    updates: RunPodSink
    courier: Courier
    emitter: EventEmitter

    @classmethod
    def open(cls, settings: Settings, *, workspace: Workspace, store: StateStore, clock: Clock) -> Self:
        """Open the sinks that the settings name; deliver nothing yet.

        Raises:
            ValueError: the settings for events cannot be used.
        """
        updates = RunPodSink(clock, interval_s=settings.progress_interval_s)
        courier = Courier(
            workspace=workspace,
            clock=clock,
            sinks=open_sinks(settings, updates),
            vault=Vault(settings.callback_secret),
        )
        emitter = EventEmitter(
            workspace=workspace,
            store=store,
            courier=courier,
            clock=clock,
            interval_s=settings.progress_interval_s,
        )
        return cls(updates=updates, courier=courier, emitter=emitter)
