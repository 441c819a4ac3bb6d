"""What happens to processes, by name."""

from __future__ import annotations

from enum import StrEnum


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

    #: The comparison has its turn. Once for each run.
    COMPARE_STARTED = "compare.started"
    #: Cells were drawn: at intervals.
    COMPARE_PROGRESS = "compare.progress"
    #: Every cell is drawn, and the grid.
    COMPARE_COMPLETED = "compare.completed"
    #: The comparison ended, or could not start, with an error.
    COMPARE_FAILED = "compare.failed"
    #: The comparison ended because its caller cancelled it.
    COMPARE_CANCELLED = "compare.cancelled"
    #: The worker was stopped or died; `resume` draws the rest.
    COMPARE_INTERRUPTED = "compare.interrupted"

    #: The first training of the sweep is submitted. Once for each run.
    SWEEP_STARTED = "sweep.started"
    #: Trainings of the sweep have advanced: at intervals.
    SWEEP_PROGRESS = "sweep.progress"
    #: All its trainings have ended, none with an error.
    SWEEP_COMPLETED = "sweep.completed"
    #: All its trainings have ended, one of them with an error.
    SWEEP_FAILED = "sweep.failed"
    #: The sweep was cancelled, and its trainings with it, or has reached its limit.
    SWEEP_CANCELLED = "sweep.cancelled"
    #: The worker was stopped or died; `resume` continues the sweep.
    SWEEP_INTERRUPTED = "sweep.interrupted"

    @property
    def last(self) -> bool:
        """Whether it is the last event of its run."""
        return self in _LAST

    @property
    def of_training(self) -> bool:
        """Whether it happened to a training."""
        return self.value.startswith("training.")

    @property
    def of_sweep(self) -> bool:
        """Whether it happened to a sweep."""
        return self.value.startswith("sweep.")

    @property
    def of_progress(self) -> bool:
        """Whether it only says how far its process is: a later one replaces it."""
        return self in _PROGRESS


_PROGRESS = frozenset(
    {
        EventType.PROGRESS,
        EventType.CAPTION_PROGRESS,
        EventType.COMPARE_PROGRESS,
        EventType.SWEEP_PROGRESS,
    }
)
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
        EventType.COMPARE_COMPLETED,
        EventType.COMPARE_FAILED,
        EventType.COMPARE_CANCELLED,
        EventType.COMPARE_INTERRUPTED,
        EventType.SWEEP_COMPLETED,
        EventType.SWEEP_FAILED,
        EventType.SWEEP_CANCELLED,
        EventType.SWEEP_INTERRUPTED,
    }
)


class EventStatus(StrEnum):
    """The state of a process in one word."""

    STARTED = "started"
    #: Its dataset is fetched, or its model is loaded.
    PREPARING = "preparing"
    TRAINING = "training"
    CAPTIONING = "captioning"
    COMPARING = "comparing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
