"""The states of a process, and the only ways from one to the next."""

from __future__ import annotations

from enum import StrEnum


class ProcessStatus(StrEnum):
    """What was last observed of a process; never what was asked for."""

    #: Accepted; waits for its turn: a slot (a GPU), or first to fetch its dataset, which needs none.
    QUEUED = "queued"
    #: Its dataset and config are being put in place; it holds a slot, or waits for one with a dataset just fetched.
    PREPARING = "preparing"
    #: Its child is alive.
    RUNNING = "running"
    #: Was told to stop; its child is still alive.
    STOPPING = "stopping"
    #: Its child ended with its work done.
    COMPLETED = "completed"
    #: Its child ended, or never started, with an error.
    FAILED = "failed"
    #: Ended because its caller wished so.
    CANCELLED = "cancelled"
    #: Ended because its worker was stopped or died; can be resumed.
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in FINAL

    @property
    def unfinished(self) -> bool:
        """Whether it ended before its work was done, so that it can be taken up again."""
        return self in FINAL and self is not ProcessStatus.COMPLETED


class Phase(StrEnum):
    """What a running process is busy with."""

    STARTING = "starting"
    #: Its dataset comes from elsewhere; the trainer has not been started yet.
    FETCHING = "fetching"
    #: Its dataset is there and checked; another process holds the GPU.
    WAITING = "waiting"
    LOADING_MODEL = "loading_model"
    PREPARING_DATASET = "preparing_dataset"
    SAMPLING = "sampling"
    TRAINING = "training"
    #: An engine makes pictures.
    GENERATING = "generating"
    SAVING = "saving"


FINAL = frozenset(
    {ProcessStatus.COMPLETED, ProcessStatus.FAILED, ProcessStatus.CANCELLED, ProcessStatus.INTERRUPTED}
)

_ENDS = frozenset({ProcessStatus.FAILED, ProcessStatus.CANCELLED, ProcessStatus.INTERRUPTED})

#: From each state to those that may follow it. `resume` is the way from an unfinished end back to `queued`.
TRANSITIONS: dict[ProcessStatus, frozenset[ProcessStatus]] = {
    ProcessStatus.QUEUED: _ENDS | {ProcessStatus.PREPARING},
    ProcessStatus.PREPARING: _ENDS | {ProcessStatus.RUNNING},
    ProcessStatus.RUNNING: _ENDS | {ProcessStatus.STOPPING, ProcessStatus.COMPLETED},
    # A child that finished before the signal reached it has completed.
    ProcessStatus.STOPPING: _ENDS | {ProcessStatus.COMPLETED},
    ProcessStatus.COMPLETED: frozenset(),
    ProcessStatus.FAILED: frozenset({ProcessStatus.QUEUED}),
    ProcessStatus.CANCELLED: frozenset({ProcessStatus.QUEUED}),
    ProcessStatus.INTERRUPTED: frozenset({ProcessStatus.QUEUED, ProcessStatus.CANCELLED}),
}


class IllegalTransition(RuntimeError):
    """A defect: the code tried a change of state that the table does not have."""


def check_transition(before: ProcessStatus, after: ProcessStatus) -> None:
    """Let a legal change pass.

    Raises:
        IllegalTransition: the table has no such change.
    """
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(f"A process cannot go from {before} to {after}.")
