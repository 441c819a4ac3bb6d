"""What is wrong with a config, collected, so that a caller learns all of it at once."""

from __future__ import annotations

from typing import Any

from lorapod.errors import WorkerError
from lorapod.wire.validation import problems_found

_SHOWN_CHARACTERS = 120


class Problems:
    """A list that grows while a config is read."""

    def __init__(self) -> None:
        """Begin with none."""
        self._found: list[dict[str, Any]] = []
        #: What a caller should know but need not change, a sentence each.
        self.warnings: list[str] = []

    def add(self, field: str, error: str) -> None:
        """Note one problem: the path of the key, and what is wrong, without a full stop."""
        entry = {"field": shown(field), "error": error}
        if entry not in self._found:
            self._found.append(entry)

    def warn(self, sentence: str) -> None:
        """Note what a caller should know."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def raise_any(self) -> None:
        """End here if there are any.

        Raises:
            InvalidInput: all of them in `details`.
        """
        if self._found:
            raise problems_found(self._found)

    def refused(self, field: str, error: WorkerError) -> None:
        """Note what another module's error says."""
        self.add(field, error.message.rstrip("."))


def shown(value: object) -> str:
    """A value as a message shows it: printable and short."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
