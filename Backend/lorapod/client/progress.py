"""How far a process is, as it is told to the callers of the client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lorapod.wire.model import read_as_json
from lorapod.wire.process import CheckpointView, ProcessSummary, ProcessView, SampleView

SUCCEEDED = "completed"
ENDED = frozenset({SUCCEEDED, "failed", "cancelled", "interrupted"})


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A process at one moment; `str` of it is one line for a person."""

    #: What is known of it: of a process that is waited for, a whole `ProcessView`.
    process: ProcessSummary
    #: The same as the worker sent it, also what this client does not know yet.
    answer: Mapping[str, Any] = field(repr=False)

    @property
    def process_id(self) -> str:
        """Id of the process."""
        return self.process.process_id

    @property
    def status(self) -> str:
        """One of queued, preparing, running, stopping, completed, failed, cancelled, interrupted."""
        return self.process.status

    @property
    def phase(self) -> str | None:
        """What it is busy with while it runs."""
        return self.process.phase

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.status in ENDED

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self.process.progress.step

    @property
    def total_steps(self) -> int | None:
        """Steps in all."""
        return self.process.progress.total_steps

    @property
    def percent(self) -> float | None:
        """Share of the work that is done, 0 to 100."""
        return self.process.progress.percent

    @property
    def loss(self) -> float | None:
        """Loss of the last step that the trainer reported."""
        return self.process.progress.loss

    @property
    def learning_rate(self) -> float | None:
        """Learning rate of that step."""
        return self.process.progress.learning_rate

    @property
    def steps_per_s(self) -> float | None:
        """Steps a second."""
        return self.process.progress.steps_per_s

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end at the present speed; None once it has ended."""
        return None if self.ended else self.process.progress.eta_s

    @property
    def checkpoints(self) -> Sequence[CheckpointView]:
        """The weights that it has written, of a process that is waited for."""
        return self.process.checkpoints if isinstance(self.process, ProcessView) else ()

    @property
    def samples(self) -> Sequence[SampleView]:
        """Its sample images, of a process that is waited for."""
        return self.process.samples if isinstance(self.process, ProcessView) else ()

    if not TYPE_CHECKING:
        # A client of release 0.1 called `on_progress` with JSON: see `WireModel`.

        def __getitem__(self, name: str) -> Any:
            return read_as_json(self.process)[name]

        def get(self, name: str, default: Any = None) -> Any:
            """Return a field of the process as JSON, or `default`."""
            return read_as_json(self.process).get(name, default)

    def __str__(self) -> str:
        phase = f" ({self.phase})" if self.phase and not self.ended else ""
        parts = [f"{self.process_id} {self.status}{phase}"]
        if self.total_steps:
            parts.append(f"step {self.step}/{self.total_steps}")
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.steps_per_s:
            parts.append(f"{self.steps_per_s:.2f} steps/s")
        if self.eta_s is not None:
            parts.append(f"{duration(self.eta_s)} left")
        return "  ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration for a person, for example `1 h 02 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
