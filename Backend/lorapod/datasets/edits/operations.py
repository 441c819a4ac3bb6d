"""Operations on the text of captions."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import regex

from lorapod.deadline import Deadline
from lorapod.errors import InvalidInput, TooLarge

#: Seconds that the regular expressions of one edit may take altogether.
REGEX_S = 2.0

#: Characters that a caption may have between two operations; its limit is checked after the last one.
GROWTH_MAX = 4_000_000

#: What has a regular expression call itself or a part of it: that takes all memory before the time is over.
_RECURSION = re.compile(r"\(\?(?:R|[0-9]|&|P>)")

_ENDS = ",.;:!?"
_COMMAS = re.compile(r"(?:\s*,)+\s*")


class OperationKind(StrEnum):
    """What an operation does with a caption."""

    #: Put a text in front; an item without a caption gets the text as its caption.
    PREPEND = "prepend"
    #: Put a text at the end; an item without a caption gets the text as its caption.
    APPEND = "append"
    #: Replace every place of a text by another.
    REPLACE = "replace"
    #: Remove every place of a text, and the comma that it leaves.
    REMOVE = "remove"
    #: Replace every match of a regular expression; the replacement may name groups: `\\1`.
    REGEX = "regex"


@dataclass(frozen=True, kw_only=True)
class CaptionOperation:
    """One operation."""

    kind: OperationKind
    find: str = ""
    text: str = ""
    #: Names of the items that it is for; None: all.
    names: Collection[str] | None = None

    def check(self) -> None:
        """Refuse a regular expression that is not one.

        Raises:
            InvalidInput: it cannot be compiled.
        """
        if self.kind is OperationKind.REGEX:
            self._pattern()

    def apply(self, caption: str | None, deadline: Deadline) -> str | None:
        """Return the new caption; None if the item had no caption and gets none.

        Args:
            caption: the present text; None if the item has no caption.
            deadline: by which the regular expressions of the edit must be done.

        Raises:
            InvalidInput: the regular expression takes too long, or its replacement names an unknown group.
            TooLarge: the caption would have more than `GROWTH_MAX` characters.
        """
        if self.kind in {OperationKind.PREPEND, OperationKind.APPEND}:
            _check_growth(len(caption or "") + len(self.text))
        if self.kind is OperationKind.PREPEND:
            return _joined(self.text, caption)
        if self.kind is OperationKind.APPEND:
            return _joined(caption or "", self.text)
        if caption is None:
            return None
        if self.kind is OperationKind.REPLACE:
            _check_growth(len(caption) + caption.count(self.find) * (len(self.text) - len(self.find)))
            return caption.replace(self.find, self.text)
        if self.kind is OperationKind.REMOVE:
            return _tidied(caption, caption.replace(self.find, ""))
        return self._substituted(caption, deadline)

    def _substituted(self, caption: str, deadline: Deadline) -> str:
        """Do what `sub` does, but stop before the text becomes too long for the memory."""
        parts: list[str] = []
        size = end = 0
        references = self.text.count("\\")
        timeout_s = max(0.001, deadline.left_s)
        try:
            for match in self._pattern().finditer(caption, timeout=timeout_s, concurrent=True):
                longest = max(len(group or "") for group in (match.group(), *match.groups()))
                _check_growth(size + len(self.text) + references * longest)
                parts += (caption[end : match.start()], match.expand(self.text))
                size += len(parts[-2]) + len(parts[-1])
                end = match.end()
            return "".join((*parts, caption[end:]))
        except (TimeoutError, MemoryError) as error:
            raise InvalidInput(
                f"The regular expression {self.find[:80]!r} takes too long; nothing was changed.",
                hint="Write it without repetitions inside repetitions, such as (a+)+.",
            ) from error
        except (regex.error, IndexError) as error:
            raise InvalidInput(f"The replacement {self.text[:80]!r} cannot be used: {error}.") from error

    def _pattern(self) -> regex.Pattern[str]:
        if _RECURSION.search(self.find):
            raise InvalidInput(
                f"The regular expression {self.find[:80]!r} calls itself, which is not supported.",
                hint="Write it without (?R), (?1), (?&name) and (?P>name).",
            )
        try:
            return regex.compile(self.find)
        except (regex.error, RecursionError, OverflowError) as error:
            raise InvalidInput(f"{self.find[:80]!r} is not a regular expression: {error}.") from error


def _check_growth(characters: int) -> None:
    """Refuse a text that no caption can be, before it is made.

    Raises:
        TooLarge: it would have too many characters.
    """
    if characters > GROWTH_MAX:
        raise TooLarge(
            f"A caption would have more than {GROWTH_MAX} characters; nothing was changed.",
            hint="Replace by a shorter text.",
        )


def _joined(front: str, back: str | None) -> str:
    """Join two parts of a caption; a comma comes between them unless a space or a punctuation mark ends the first."""
    if not back or not back.strip():
        return front.strip() or front
    if not front.strip():
        return back
    if front[-1].isspace() or back[0].isspace() or back[0] in _ENDS:
        return front + back
    return f"{front} {back}" if front[-1] in _ENDS else f"{front}, {back}"


def _tidied(before: str, after: str) -> str:
    if after == before:
        return before
    return _COMMAS.sub(", ", after).strip(" ,").replace("  ", " ")
