"""The types of processes that emit events, and what is said of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lorapod.events import caption_texts, compare_texts, event_texts, sweep_texts
from lorapod.events.event_data import EventData
from lorapod.events.event_types import EventType
from lorapod.processes.order import Order, TaskOrder, TrainingOrder
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ToldKind:
    """How the events of one type of process are made from its record."""

    order_type: type[Order]
    started: EventType
    progress: EventType
    ends: Mapping[ProcessStatus, EventType]
    #: Whether each new artifact has an event.
    has_artifacts: bool
    started_data: Callable[[ProcessRecord, Workspace], EventData]
    progress_data: Callable[[ProcessRecord], EventData]
    #: Raises `OSError` if a folder cannot be read now.
    end_data: Callable[[ProcessRecord, Workspace], EventData]


#: By the type in records.
TOLD_KINDS: Final[Mapping[str, ToldKind]] = MappingProxyType(
    {
        "train": ToldKind(
            order_type=TrainingOrder,
            started=EventType.STARTED,
            progress=EventType.PROGRESS,
            ends=event_texts.ENDS,
            has_artifacts=True,
            started_data=event_texts.started,
            progress_data=event_texts.progress,
            end_data=event_texts.end,
        ),
        "caption": ToldKind(
            order_type=TaskOrder,
            started=EventType.CAPTION_STARTED,
            progress=EventType.CAPTION_PROGRESS,
            ends=caption_texts.ENDS,
            has_artifacts=False,
            started_data=caption_texts.started,
            progress_data=caption_texts.progress,
            end_data=caption_texts.end,
        ),
        "compare": ToldKind(
            order_type=TaskOrder,
            started=EventType.COMPARE_STARTED,
            progress=EventType.COMPARE_PROGRESS,
            ends=compare_texts.ENDS,
            has_artifacts=False,
            started_data=compare_texts.started,
            progress_data=compare_texts.progress,
            end_data=compare_texts.end,
        ),
        "sweep": ToldKind(
            order_type=TaskOrder,
            started=EventType.SWEEP_STARTED,
            progress=EventType.SWEEP_PROGRESS,
            ends=sweep_texts.ENDS,
            has_artifacts=False,
            started_data=sweep_texts.started,
            progress_data=sweep_texts.progress,
            end_data=sweep_texts.end,
        ),
    }
)


def told_kind_of(process_id: str) -> ToldKind | None:
    """Return how the events of a process are made, by its id, which begins with its type; None if it emits none."""
    return TOLD_KINDS.get(process_id.rpartition("_")[0])
