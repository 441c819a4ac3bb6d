"""What each type of event says."""

from __future__ import annotations

from pydantic import Field

from lorapod.errors import ErrorCode
from lorapod.events.event_types import EventStatus
from lorapod.wire.dataset import FetchProgress
from lorapod.wire.estimate import EstimateView
from lorapod.wire.model import RelativePath, WireModel


# Built on first use: the start of a worker does not wait for them.
class EventData(WireModel, defer_build=True):
    """The data of every event."""

    status: EventStatus = Field(description="The state of the process, in one word.")
    progress: int = Field(ge=0, le=100, description="Percentage that is done.")
    current_step: str | None = Field(
        default=None,
        description="What it is doing, for people: `Step 650/1000`, `Fetching 3/10 files`, `Captioned 3/10 images`, `Drew 3/10 cells`.",
    )
    step: int | None = Field(
        default=None, description="Steps that are done; images of a captioning, cells of a comparison."
    )
    total_steps: int | None = Field(default=None, description="Steps, images or cells in all.")


class StartedData(EventData):
    """The training has its turn, and its folder and config stand. Each `resume` starts another run."""

    run: int = Field(default=1, ge=1, description="Number of the run; each resume adds one.")
    name: str = Field(description="Name of the model.")
    trainer: str = Field(description="The trainer.")
    base_model: str | None = Field(default=None, description="The model that it starts from.")
    trigger_word: str | None = Field(
        default=None, description="The word that activates the LoRA in a prompt."
    )
    estimate: EstimateView | None = Field(
        default=None, description="How long it takes in all, and what it needs."
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
    estimate: EstimateView | None = Field(
        default=None, description="How long it takes in all, by what is known now."
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
        default=None,
        description="What ended it, if neither a person's cancel nor its worker did: `limit`, `no_improvement`, or `sweep` (the "
        "sweep that it belongs to was cancelled).",
    )
    reason_detail: str | None = Field(default=None, description="The reason in one sentence.")
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


class CompareStartedData(EventData):
    """The comparison has its turn. Each `resume` starts another run."""

    run: int = Field(default=1, ge=1, description="Number of the run; each resume adds one.")
    name: str = Field(description="Names of the trainings or files that are compared.")
    engine: str = Field(description="The engine that draws.")
    output_path: RelativePath = Field(description="The folder of its cells.")


class CompareProgressData(EventData):
    """Its progress: at least every `PROGRESS_INTERVAL_S` if anything changes."""

    phase: str | None = Field(default=None, description="What the engine is doing.")
    eta_minutes: int | None = Field(
        default=None, description="Minutes to the end at the present speed, rounded up."
    )


class ComparedData(EventData):
    """What is drawn so far."""

    cells: int = Field(default=0, ge=0, description="Cells that are drawn; `process_status` names them.")


class CompareCompletedData(ComparedData):
    """Every cell is drawn, and the grid."""

    grid_path: RelativePath | None = Field(default=None, description="Path of the grid.")


class CompareFailedData(ComparedData):
    """The comparison ended, or could not start, with an error. What is drawn stays."""

    error: str = Field(description="What happened, in one sentence.")
    code: ErrorCode = Field(description="The kind of failure.")
    hint: str | None = Field(default=None, description="What to do about it.")


class CompareStoppedData(ComparedData):
    """The comparison ended early, without a failure; what is drawn stays, and `resume` draws the rest."""


class SweepStartedData(EventData):
    """The sweep submits its trainings. Each `resume` starts another run."""

    run: int = Field(default=1, ge=1, description="Number of the run; each resume adds one.")
    name: str = Field(description="Name of the sweep.")


class SweepProgressData(EventData):
    """Its progress, of all trainings together: at least every `PROGRESS_INTERVAL_S` if anything changes."""


class SweptData(EventData):
    """What has become of its trainings."""

    name: str = Field(description="Name of the sweep.")
    statuses: dict[str, int] = Field(
        default={}, description="How many trainings have which status; `process_status` names them."
    )


class SweepCompletedData(SweptData):
    """All its trainings have ended, none with an error."""


class SweepFailedData(SweptData):
    """A training failed, or could not be started; the others have ended."""

    error: str = Field(description="What happened, in one sentence.")
    code: ErrorCode = Field(description="The kind of failure.")
    hint: str | None = Field(default=None, description="What to do about it.")


class SweepStoppedData(SweptData):
    """The sweep ended early, and its trainings with it; `resume` continues them."""

    reason: str | None = Field(
        default=None, description="`limit` if a training has reached its limit; left out after a cancel."
    )
