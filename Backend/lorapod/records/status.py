"""The states of a process, and the only transitions between them."""

from __future__ import annotations

from enum import StrEnum


class ProcessStatus(StrEnum):
    """What was last observed of a process; never what was requested."""

    #: Accepted; waits for a slot: of a GPU, or first to fetch its dataset, which needs no GPU.
    QUEUED = "queued"
    #: Its dataset and config are prepared; it holds a slot, or waits for a GPU after its dataset was fetched.
    PREPARING = "preparing"
    #: Its child is alive.
    RUNNING = "running"
    #: Asked to stop; its child is still alive.
    STOPPING = "stopping"
    #: Its child ended with its work done.
    COMPLETED = "completed"
    #: Its child ended, or never started, with an error.
    FAILED = "failed"
    #: Ended because its caller cancelled it.
    CANCELLED = "cancelled"
    #: Ended because its worker was stopped or died; can be resumed.
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self in FINAL

    @property
    def unfinished(self) -> bool:
        """Whether it ended before its work was done, so that it can be resumed."""
        return self in FINAL and self is not ProcessStatus.COMPLETED


class Phase(StrEnum):
    """What a running process is busy with."""

    STARTING = "starting"
    #: Its remote dataset is fetched; the trainer has not started yet.
    FETCHING = "fetching"
    #: Its dataset is fetched and checked; another process holds the GPU.
    WAITING = "waiting"
    LOADING_MODEL = "loading_model"
    PREPARING_DATASET = "preparing_dataset"
    SAMPLING = "sampling"
    TRAINING = "training"
    #: An engine generates images or videos.
    GENERATING = "generating"
    #: A model writes captions.
    CAPTIONING = "captioning"
    SAVING = "saving"


FINAL = frozenset(
    {ProcessStatus.COMPLETED, ProcessStatus.FAILED, ProcessStatus.CANCELLED, ProcessStatus.INTERRUPTED}
)

_ENDS = frozenset({ProcessStatus.FAILED, ProcessStatus.CANCELLED, ProcessStatus.INTERRUPTED})

#: For each state those that may follow it. `resume` leads from an unfinished end back to `queued`, and with more steps also
#: from `completed`.
TRANSITIONS: dict[ProcessStatus, frozenset[ProcessStatus]] = {
    ProcessStatus.QUEUED: _ENDS | {ProcessStatus.PREPARING},
    ProcessStatus.PREPARING: _ENDS | {ProcessStatus.RUNNING},
    ProcessStatus.RUNNING: _ENDS | {ProcessStatus.STOPPING, ProcessStatus.COMPLETED},
    # A child that finished before the signal reached it has completed.
    ProcessStatus.STOPPING: _ENDS | {ProcessStatus.COMPLETED},
    ProcessStatus.COMPLETED: frozenset({ProcessStatus.QUEUED}),
    ProcessStatus.FAILED: frozenset({ProcessStatus.QUEUED}),
    ProcessStatus.CANCELLED: frozenset({ProcessStatus.QUEUED}),
    ProcessStatus.INTERRUPTED: frozenset({ProcessStatus.QUEUED, ProcessStatus.CANCELLED}),
}


class IllegalTransition(RuntimeError):
    """A defect: the code tried a change of state that the table does not have."""


def check_transition(before: ProcessStatus, after: ProcessStatus) -> None:
    """Check a change of state.

    Raises:
        IllegalTransition: the table has no such change.
    """
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(f"A process cannot go from {before} to {after}.")
