"""The events of processes, as they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import Field, SerializeAsAny, model_validator

from lorapod.events.event_data import (
    CaptionCompletedData,
    CaptionFailedData,
    CaptionProgressData,
    CaptionStartedData,
    CaptionStoppedData,
    CheckpointData,
    CompareCompletedData,
    CompareFailedData,
    CompareProgressData,
    CompareStartedData,
    CompareStoppedData,
    CompletedData,
    EventData,
    FailedData,
    ProgressData,
    SampleData,
    StartedData,
    StoppedData,
    SweepCompletedData,
    SweepFailedData,
    SweepProgressData,
    SweepStartedData,
    SweepStoppedData,
)
from lorapod.events.event_types import EventType
from lorapod.wire.model import Moment, ProcessId, WireModel

#: The data of each type of event.
DATA: Final[Mapping[EventType, type[EventData]]] = MappingProxyType(
    {
        EventType.STARTED: StartedData,
        EventType.PROGRESS: ProgressData,
        EventType.SAMPLE: SampleData,
        EventType.CHECKPOINT: CheckpointData,
        EventType.COMPLETED: CompletedData,
        EventType.FAILED: FailedData,
        EventType.CANCELLED: StoppedData,
        EventType.INTERRUPTED: StoppedData,
        EventType.CAPTION_STARTED: CaptionStartedData,
        EventType.CAPTION_PROGRESS: CaptionProgressData,
        EventType.CAPTION_COMPLETED: CaptionCompletedData,
        EventType.CAPTION_FAILED: CaptionFailedData,
        EventType.CAPTION_CANCELLED: CaptionStoppedData,
        EventType.CAPTION_INTERRUPTED: CaptionStoppedData,
        EventType.COMPARE_STARTED: CompareStartedData,
        EventType.COMPARE_PROGRESS: CompareProgressData,
        EventType.COMPARE_COMPLETED: CompareCompletedData,
        EventType.COMPARE_FAILED: CompareFailedData,
        EventType.COMPARE_CANCELLED: CompareStoppedData,
        EventType.COMPARE_INTERRUPTED: CompareStoppedData,
        EventType.SWEEP_STARTED: SweepStartedData,
        EventType.SWEEP_PROGRESS: SweepProgressData,
        EventType.SWEEP_COMPLETED: SweepCompletedData,
        EventType.SWEEP_FAILED: SweepFailedData,
        EventType.SWEEP_CANCELLED: SweepStoppedData,
        EventType.SWEEP_INTERRUPTED: SweepStoppedData,
    }
)


class Event(WireModel, defer_build=True):
    """Something that happened to a process. Fields without a value are left out."""

    event_type: EventType = Field(description="What happened.")
    event_id: str = Field(description="Unique, and the same each time the event is sent again.")
    job_id: str | None = Field(default=None, description="Your own id of the job, as in the request.")
    process_id: ProcessId = Field(description="The process.")
    sequence: int = Field(
        ge=1, description="Number of the event, increasing over every resume and worker of the process."
    )
    timestamp: Moment = Field(description="When it happened.")
    data: SerializeAsAny[EventData] = Field(description="The details, depending on the type.")

    @model_validator(mode="before")
    @classmethod
    def _data_of_its_type(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("data"), Mapping):
            # An unknown type is refused by its own field.
            kind = DATA.get(value.get("event_type", ""), EventData)
            return {**value, "data": kind.model_validate(value["data"])}
        return value

    def body(self) -> bytes:
        """Return the event as it is sent: one JSON object on one line, UTF-8."""
        return self.model_dump_json(exclude_none=True).encode()
