"""What all processes of a worker share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from lorapod.clock import Clock
from lorapod.processes.console import Console
from lorapod.processes.launch import WarmSpec
from lorapod.processes.log import ProcessLog
from lorapod.processes.pulse import Pulse
from lorapod.processes.slots import Slot, SlotPool
from lorapod.processes.starting import ColdStarter, Starter
from lorapod.processes.store.port import StateStore
from lorapod.records.progress import Failure
from lorapod.records.record import ProcessRecord
from lorapod.safety.redaction import Redactor
from lorapod.storage.s3_access import JobS3
from lorapod.workspace import Workspace

#: Datasets that a worker fetches and checks at the same time: one large image may take a gigabyte of memory.
FETCHES_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True)
class ProcessContext:
    """What all supervisors of a worker share."""

    workspace: Workspace
    store: StateStore
    pulse: Pulse
    slots: SlotPool
    clock: Clock
    #: The environment that every child inherits.
    environment: Mapping[str, str]
    max_log_bytes: int
    redactor: Redactor = field(default_factory=Redactor)
    starter: Starter = field(default_factory=ColdStarter)
    #: Slots for fetching datasets, which needs no GPU.
    fetches: SlotPool = field(default_factory=lambda: SlotPool([None] * FETCHES_AT_ONCE))
    #: Raises `WorkerError` if there are no credentials for a job's own S3 server.
    check_s3: Callable[[JobS3 | None], None] = lambda _: None
    #: Raises `WorkerError` if the machine has no room for another process.
    check_room: Callable[[], None] = lambda: None
    #: Returns the name of the GPU with an index of this machine; None if it is not known.
    gpu_name: Callable[[int], str | None] = lambda _: None
    #: Called once a process is in the store: completes deletions that are decided, and has the others find the process.
    settle_deletions: Callable[[], None] = lambda: None
    #: Called once the folder and config of a run are written; in the thread of the change queue.
    on_start: Callable[[ProcessRecord], None] = lambda _: None
    #: Called at each change of a process that this worker holds; with an end only once it is on disk.
    on_change: Callable[[ProcessRecord], None] = lambda _: None
    #: Where logs are also shown while they are written; None: nowhere.
    console: Console | None = None

    def begin_soon(self, warm: WarmSpec | None) -> None:
        """Have the starter prepare a trainer, in the environment that a slot's holder will have."""
        self.starter.begin_soon(warm, self.child_environment(self.slots.example))

    def open_log(self, process_id: str) -> ProcessLog:
        """Open the log of a process for appending.

        Raises:
            OSError: it cannot be opened.
        """
        return ProcessLog(
            self.workspace.log_path(process_id),
            max_bytes=self.max_log_bytes,
            clock=self.clock,
            redactor=self.redactor,
            echo=None if self.console is None else partial(self.console.line, process_id),
        )

    def masked(self, failure: Failure | None) -> Failure | None:
        """Return a failure with secrets masked, as it may be stored and shown."""
        if failure is None:
            return None
        text, details = self.redactor.text, self.redactor.record(list(failure.details))
        return replace(failure, message=text(failure.message), hint=text(failure.hint), details=details)

    def child_environment(self, slot: Slot) -> Mapping[str, str]:
        """Return the environment that the child of the slot's holder inherits."""
        return {
            **self.environment,
            "PYTHONUNBUFFERED": "1",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": slot.visible_devices,
        }
