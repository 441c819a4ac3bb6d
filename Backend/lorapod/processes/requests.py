"""What a live process can be asked for, wherever it runs."""

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
    #: Make sample pictures at the next step.
    SAMPLE = "sample"
    #: Go on from the newest whole checkpoint.
    RESUME = "resume"


class Control(Protocol):
    """Talks to one run; used by one thread, never blocks for long."""

    def request_save(self) -> None:
        """Ask for a checkpoint at the end of the present step."""

    def save_pending(self) -> bool:
        """Whether a requested checkpoint is not yet written."""

    def request_sample(self) -> None:
        """Ask for sample pictures at the next step."""


@dataclass(frozen=True, kw_only=True)
class ControlRequest:
    """A stop, where no capability is named; else something that the trainer can do while it goes on."""

    capability: Capability | None = None
    #: For a stop: whether to write a checkpoint first.
    save: bool = True
    #: For a stop: seconds for the checkpoint, and again for an orderly end.
    grace_s: float = 0.0

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> ControlRequest:
        """From the form in which it travelled.

        Raises:
            ValueError: it is not of that form.
        """
        return _ADAPTER.validate_python(message)

    @classmethod
    def all_of(cls, messages: Iterable[Mapping[str, Any]]) -> list[ControlRequest]:
        """From the forms in which they travelled; what is not of that form is left out, and logged."""
        requests = []
        for message in messages:
            try:
                requests.append(cls.of(message))
            except ValueError:
                logger.warning("message is of no known form")
        return requests

    def message(self) -> Mapping[str, Any]:
        """The form in which it travels."""
        return asdict(self)

    @property
    def verb(self) -> str:
        """What it does, for a sentence."""
        return "cancel" if self.capability is None else str(self.capability)


_ADAPTER = TypeAdapter(ControlRequest)
