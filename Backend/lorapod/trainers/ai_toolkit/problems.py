"""Collects everything that is wrong with a config, so that a caller gets it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lorapod.errors import WorkerError
from lorapod.wire.validation import problems_found

_SHOWN_CHARACTERS = 120


class Problems:
    """The problems and warnings of one config."""

    def __init__(self, *, root: Path | None = None) -> None:
        """Start with empty lists; paths below `root`, the workspace, are reported relative to it."""
        self._root = f"{root}/" if root is not None else None
        self._found: list[dict[str, Any]] = []
        #: One sentence for each thing that a caller should know but need not change.
        self.warnings: list[str] = []

    def add(self, field: str, error: str) -> None:
        """Add a problem: the path of the key, and what is wrong, without a full stop; the first one of a key counts."""
        if not any(entry["field"] == shown(field) for entry in self._found):
            self._found.append({"field": shown(field), "error": self._relative(error)})

    def has(self, field: str) -> bool:
        """Return whether there is a problem with this key, or with one inside its value."""
        begins = (f"{shown(field)}.", f"{shown(field)}[")
        return any(
            problem["field"] == shown(field) or problem["field"].startswith(begins) for problem in self._found
        )

    def warn(self, sentence: str) -> None:
        """Add a warning."""
        sentence = self._relative(sentence)
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def raise_any(self) -> None:
        """Raise an error if there are problems.

        Raises:
            InvalidInput: `details` has all of them.
        """
        if self._found:
            raise problems_found(self._found)

    def refused(self, field: str, error: WorkerError) -> None:
        """Add a problem with the message of another module's error."""
        self.add(field, error.message.rstrip("."))

    def _relative(self, sentence: str) -> str:
        return sentence.replace(self._root, "") if self._root is not None else sentence


def shown(value: object) -> str:
    """Return a value as messages show it: printable and short."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
