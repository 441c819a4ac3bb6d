"""Control requests: what a live process can be asked for, on whatever worker it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol

from pydantic import TypeAdapter

logger = logging.getLogger(__name__)


class Capability(StrEnum):
    """What a trainer can be asked for while it runs."""

    #: Write a checkpoint at the end of the present step.
    SAVE = "save"
    #: Make sample images at the next step.
    SAMPLE = "sample"
    #: Resume from the newest whole checkpoint.
    RESUME = "resume"


class Control(Protocol):
    """The control of one run; for one thread, never blocks for long."""

    def request_save(self) -> None:
        """Request a checkpoint at the end of the present step."""

    def save_pending(self) -> bool:
        """Return whether a requested checkpoint is not yet written."""

    def request_sample(self) -> None:
        """Request sample images at the next step."""


@dataclass(frozen=True, kw_only=True)
class ControlRequest:
    """A request to stop, or, with a capability, for something that the trainer does while it continues."""

    capability: Capability | None = None
    #: For a stop: whether to write a checkpoint first.
    save: bool = True
    #: For a stop: seconds for the checkpoint, and again for an orderly end.
    grace_s: float = 0.0
    #: For a stop: whether it is because its sweep was cancelled.
    by_sweep: bool = False

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> ControlRequest:
        """Parse a message.

        Raises:
            ValueError: it is no control request.
        """
        return _ADAPTER.validate_python(message)

    @classmethod
    def all_of(cls, messages: Iterable[Mapping[str, Any]]) -> list[ControlRequest]:
        """Parse messages; leave out and log what is no control request."""
        requests = []
        for message in messages:
            try:
                requests.append(cls.of(message))
            except ValueError:
                logger.warning("a message is not a control request")
        return requests

    def message(self) -> Mapping[str, Any]:
        """Return the form in which it is sent."""
        return asdict(self)

    @property
    def verb(self) -> str:
        """Its verb, for a sentence."""
        return "cancel" if self.capability is None else str(self.capability)


_ADAPTER = TypeAdapter(ControlRequest)
