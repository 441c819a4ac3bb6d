"""The events of trainings and captionings, as they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from pydantic import Field, SerializeAsAny, model_validator

from lorapod.errors import ErrorCode
from lorapod.wire.dataset import FetchProgress
from lorapod.wire.model import Moment, ProcessId, RelativePath, WireModel


class EventType(StrEnum):
    """What happened; also the routing key."""

    #: The training has its turn: its folder and config stand. Once for each run.
    STARTED = "training.started"
    #: The training has advanced: at intervals while there is progress.
    PROGRESS = "training.progress"
    #: A sample image was made.
    SAMPLE = "training.sample"
    #: Weights were written completely.
    CHECKPOINT = "training.checkpoint"
    #: The training ended with its work done.
    COMPLETED = "training.completed"
    #: The training ended, or could not start, with an error.
    FAILED = "training.failed"
    #: The training ended because its caller cancelled it.
    CANCELLED = "training.cancelled"
    #: The worker was stopped or died; `resume` continues the training.
    INTERRUPTED = "training.interrupted"

    #: The captioning of a dataset has its turn. Once for each run.
    CAPTION_STARTED = "caption.started"
    #: Images were captioned: at intervals.
    CAPTION_PROGRESS = "caption.progress"
    #: Every image that was to be captioned was tried.
    CAPTION_COMPLETED = "caption.completed"
    #: The captioning ended, or could not start, with an error.
    CAPTION_FAILED = "caption.failed"
    #: The captioning ended because its caller cancelled it.
    CAPTION_CANCELLED = "caption.cancelled"
    #: The worker was stopped or died; `resume` continues the captioning.
    CAPTION_INTERRUPTED = "caption.interrupted"

    @property
    def last(self) -> bool:
        """Whether it is the last event of its run."""
        return self in _LAST

    @property
    def of_training(self) -> bool:
        """Whether it happened to a training."""
        return self.value.startswith("training.")

    @property
    def of_progress(self) -> bool:
        """Whether it only says how far its process is: a later one replaces it."""
        return self in _PROGRESS


_PROGRESS = frozenset({EventType.PROGRESS, EventType.CAPTION_PROGRESS})
_LAST = frozenset(
    {
        EventType.COMPLETED,
        EventType.FAILED,
        EventType.CANCELLED,
        EventType.INTERRUPTED,
        EventType.CAPTION_COMPLETED,
        EventType.CAPTION_FAILED,
        EventType.CAPTION_CANCELLED,
        EventType.CAPTION_INTERRUPTED,
    }
)


class EventStatus(StrEnum):
    """The state of a process in one word."""

    STARTED = "started"
    #: Its dataset is fetched, or its model is loaded.
    PREPARING = "preparing"
    TRAINING = "training"
    CAPTIONING = "captioning"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


# Built on first use: the start of a worker does not wait for them.
class EventData(WireModel, defer_build=True):
    """The data of every event."""

    status: EventStatus = Field(description="The state of the process, in one word.")
    progress: int = Field(ge=0, le=100, description="Percentage that is done.")
    current_step: str | None = Field(
        default=None,
        description="What it is doing, for people: `Step 650/1000`, `Fetching 3/10 files`, `Captioned 3/10 images`.",
    )
    step: int | None = Field(default=None, description="Steps that are done; images of a captioning.")
    total_steps: int | None = Field(default=None, description="Steps, or images, in all.")


class StartedData(EventData):
    """The training has its turn, and its folder and config stand. Each `resume` starts another run."""

    run: int = Field(default=1, ge=1, description="Number of the run; each resume adds one.")
    name: str = Field(description="Name of the model.")
    trainer: str = Field(description="The trainer.")
    base_model: str | None = Field(default=None, description="The model that it starts from.")
    trigger_word: str | None = Field(
        default=None, description="The word that activates the LoRA in a prompt."
    )
    config_path: RelativePath = Field(description="Path of its config.")
    output_path: RelativePath = Field(description="The folder that it writes to.")


class ProgressData(EventData):
    """Its progress: while its dataset is fetched, then at least every `PROGRESS_INTERVAL_S` if anything changes."""

    phase: str | None = Field(default=None, description="What the trainer is doing.")
    loss: float | None = Field(default=None, description="Loss of the last reported step.")
    learning_rate: float | None = Field(default=None, description="Learning rate of that step.")
    steps_per_s: float | None = Field(default=None, description="Steps per second.")
    eta_minutes: int | None = Field(
        default=None, description="Minutes to the end at the present speed, rounded up."
    )
    fetch: FetchProgress | None = Field(
        default=None, description="Progress of the download, if the dataset is fetched from elsewhere."
    )


class SampleData(EventData):
    """A sample image was written completely. Once for each image, also after restarts."""

    path: RelativePath = Field(description="Path of the image.")
    sample_step: int = Field(ge=0, description="Steps that were done when it was made.")
    index: int = Field(ge=0, description="Index of its sample prompt, from 0.")


class CheckpointData(EventData):
    """Weights were written completely, as their header says. Once for each file."""

    path: RelativePath = Field(description="Path of the weights.")
    checkpoint_step: int = Field(ge=0, description="Steps that they were trained for.")
    size_bytes: int = Field(ge=0, description="Size of the file.")
    final: bool = Field(description="Whether they are the final weights.")


class CompletedData(EventData):
    """The training ended with its work done."""

    artifacts: list[RelativePath] = Field(description="Every file that it wrote.")
    model: RelativePath | None = Field(default=None, description="Path of the final weights.")


class FailedData(EventData):
    """The training ended, or could not start, with an error."""

    error: str = Field(description="What happened, in one sentence.")
    code: ErrorCode = Field(description="The kind of failure.")
    hint: str | None = Field(default=None, description="What to do about it.")
    resumable: bool = Field(description="Whether there is a checkpoint that `resume` can continue from.")


class StoppedData(EventData):
    """The training ended early, without a failure; `resume` continues it."""

    reason: str | None = Field(
        default=None, description="What ended it, if neither a person nor its worker did: `limit`."
    )
    resumable: bool = Field(description="Whether there is a checkpoint that `resume` can continue from.")


class CaptionStartedData(EventData):
    """The captioning has its turn. Each `resume` starts another run."""

    run: int = Field(default=1, ge=1, description="Number of the run; each resume adds one.")
    name: str = Field(description="Name of the dataset.")
    path: RelativePath = Field(description="Folder of the dataset.")
    captioner: str = Field(description="The captioner.")


class CaptionProgressData(EventData):
    """Its progress: at least every `PROGRESS_INTERVAL_S` if anything changes."""

    phase: str | None = Field(default=None, description="What the captioner is doing.")
    eta_minutes: int | None = Field(
        default=None, description="Minutes to the end at the present speed, rounded up."
    )


class CaptionedData(EventData):
    """What has become of the images so far."""

    captioned: int | None = Field(default=None, description="Images that were captioned.")
    skipped: int | None = Field(default=None, description="Images whose caption stayed as it was.")
    failed: int | None = Field(
        default=None, description="Images that got no caption; the outcome names them."
    )


class CaptionCompletedData(CaptionedData):
    """Every image that was to be captioned was tried."""


class CaptionFailedData(CaptionedData):
    """The captioning ended, or could not start, with an error. What was captioned stays."""

    error: str = Field(description="What happened, in one sentence.")
    code: ErrorCode = Field(description="The kind of failure.")
    hint: str | None = Field(default=None, description="What to do about it.")


class CaptionStoppedData(CaptionedData):
    """The captioning ended early, without a failure; what was captioned stays, and `resume` continues it."""


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
