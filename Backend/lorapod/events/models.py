"""What is told of a training, as it travels."""

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

    #: Its turn has come: the folder and the config stand. Once for each run.
    STARTED = "training.started"
    #: It is further: now and then while there is progress.
    PROGRESS = "training.progress"
    #: A sample picture is there.
    SAMPLE = "training.sample"
    #: Weights are there, whole.
    CHECKPOINT = "training.checkpoint"
    #: It ended with its work done.
    COMPLETED = "training.completed"
    #: It ended, or never began, with an error.
    FAILED = "training.failed"
    #: It ended because its caller wished so.
    CANCELLED = "training.cancelled"
    #: Its worker was stopped or died; `resume` takes it up again.
    INTERRUPTED = "training.interrupted"

    @property
    def last(self) -> bool:
        """Whether no other event of the same run follows."""
        return self in _LAST


_LAST = frozenset({EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED, EventType.INTERRUPTED})


class EventStatus(StrEnum):
    """In one word, how a training is."""

    STARTED = "started"
    #: Its dataset is fetched, its model loaded.
    PREPARING = "preparing"
    TRAINING = "training"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


# Built when they are first used: a worker's start need not wait for them.
class EventData(WireModel, defer_build=True):
    """What every event tells."""

    status: EventStatus = Field(description="How the training is, in one word.")
    progress: int = Field(ge=0, le=100, description="Percent of the steps that are done.")
    current_step: str | None = Field(
        default=None, description="What it is at, for people: `Step 650/1000`, `Fetching 3/10 files`."
    )
    step: int | None = Field(default=None, description="Steps that are done.")
    total_steps: int | None = Field(default=None, description="Steps in all.")


class StartedData(EventData):
    """Its turn has come, and its folder and config stand. Each `resume` begins another run."""

    run: int = Field(default=1, ge=1, description="Which run it is; one more with each resume.")
    name: str = Field(description="Name of the model.")
    trainer: str = Field(description="What trains it.")
    base_model: str | None = Field(default=None, description="The model that it begins with.")
    trigger_word: str | None = Field(default=None, description="The word that calls up what it learns.")
    config_path: RelativePath = Field(description="Where its config lies.")
    output_path: RelativePath = Field(description="The folder that it writes to.")


class ProgressData(EventData):
    """How far it is: while its dataset is fetched, then at least every `PROGRESS_INTERVAL_S` if anything moves."""

    phase: str | None = Field(default=None, description="What the trainer is busy with.")
    loss: float | None = Field(default=None, description="Loss of the last step that was reported.")
    learning_rate: float | None = Field(default=None, description="Learning rate of that step.")
    steps_per_s: float | None = Field(default=None, description="Steps a second.")
    eta_minutes: int | None = Field(
        default=None, description="Minutes to the end at the present speed, rounded up."
    )
    fetch: FetchProgress | None = Field(
        default=None, description="How far the dataset is fetched, where that comes from elsewhere."
    )


class SampleData(EventData):
    """A sample picture is there, whole. Once for each picture, whatever restarts lie between."""

    path: RelativePath = Field(description="The picture.")
    sample_step: int = Field(ge=0, description="Steps that were done when it was made.")
    index: int = Field(ge=0, description="Which of the sample prompts it shows, from 0.")


class CheckpointData(EventData):
    """Weights are there, with every byte that their header promises. Once for each file."""

    path: RelativePath = Field(description="The weights.")
    checkpoint_step: int = Field(ge=0, description="Steps they were trained for.")
    size_bytes: int = Field(ge=0, description="Size of the file.")
    final: bool = Field(description="Whether they are the end result.")


class CompletedData(EventData):
    """Its work is done."""

    artifacts: list[RelativePath] = Field(description="Every file that it wrote.")
    model: RelativePath | None = Field(default=None, description="The weights that are the end result.")


class FailedData(EventData):
    """It ended, or never began, with an error."""

    error: str = Field(description="What happened, in one sentence.")
    code: ErrorCode = Field(description="The kind of failure.")
    hint: str | None = Field(default=None, description="What to do about it.")
    resumable: bool = Field(description="Whether there is a checkpoint that `resume` would go on from.")


class StoppedData(EventData):
    """It ended before its work was done, without a failure; `resume` goes on."""

    resumable: bool = Field(description="Whether there is a checkpoint that `resume` would go on from.")


#: What each type of event tells.
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
    }
)


class Event(WireModel, defer_build=True):
    """One thing that happened to one training. Fields without a value are left out."""

    event_type: EventType = Field(description="What happened.")
    event_id: str = Field(description="Unique, and the same however often the event is sent.")
    job_id: str | None = Field(default=None, description="Your own id of the job, as the request had it.")
    process_id: ProcessId = Field(description="The training.")
    sequence: int = Field(
        ge=1, description="Counts the events of one training up, over every resume and worker."
    )
    timestamp: Moment = Field(description="When it happened.")
    data: SerializeAsAny[EventData] = Field(description="What there is to tell of it.")

    @model_validator(mode="before")
    @classmethod
    def _data_of_its_type(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("data"), Mapping):
            # An unknown type is the business of its own field.
            kind = DATA.get(value.get("event_type", ""), EventData)
            return {**value, "data": kind.model_validate(value["data"])}
        return value

    def body(self) -> bytes:
        """The event as it is sent: one JSON object on one line, UTF-8."""
        return self.model_dump_json(exclude_none=True).encode()
