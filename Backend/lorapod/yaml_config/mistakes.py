"""Says what to write instead of text that is not valid YAML, for the mistakes that people make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

#: Signs that have a meaning at the beginning of a value.
_RESERVED = tuple("@`%*&!|>[]{}")
_QUOTED = "put the text in quotes"

_DRIVE = re.compile(r"""[:\s-]"[A-Za-z]:\\""")


@dataclass(frozen=True, kw_only=True)
class _Mistake:
    """A place at which YAML could not be read on."""

    text: str
    #: What PyYAML calls it, and what it was reading.
    problem: str
    context: str
    #: Lines are counted from 0.
    number: int
    column: int
    context_number: int

    @property
    def line(self) -> str:
        lines = self.text.splitlines() or [""]
        return lines[min(self.number, len(lines) - 1)]

    @property
    def value(self) -> str:
        """What comes behind the key or the dash of the line."""
        return self.line.split(": ", 1)[-1].strip().removeprefix("- ").strip()[:60]

    @property
    def where(self) -> str:
        return f"line {self.number + 1}"


def explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return what is wrong and what to write, in one sentence without a full stop."""
    mark = error.problem_mark or error.context_mark
    problem = " ".join((error.problem or error.context or "malformed").split())[:200]
    if mark is None:
        return problem
    mistake = _Mistake(
        text=text,
        problem=problem,
        context=error.context or "",
        number=mark.line,
        column=mark.column,
        context_number=error.context_mark.line if error.context_mark is not None else mark.line,
    )
    checks = (_escape, _tab, _open_quote, _quote_inside, _alias, _reserved_sign, _colon, _indentation)
    known = next((advice for check in checks if (advice := check(mistake)) is not None), None)
    return known or f"{problem} (line {mark.line + 1}, column {mark.column + 1})"


def _escape(mistake: _Mistake) -> str | None:
    if "double-quoted scalar" not in mistake.context:
        return None
    if _DRIVE.search(mistake.line):
        return (
            f"{mistake.where} has a Windows path in double quotes, where a backslash begins a code; "
            "put it in single quotes"
        )
    return (
        f"{mistake.where} has a backslash in double quotes that begins no code; use single quotes, "
        "or double the backslash"
    )


def _tab(mistake: _Mistake) -> str | None:
    if "\t" in mistake.line[: mistake.column + 1] and "cannot start any token" in mistake.problem:
        return f"{mistake.where} is indented with a tab; use spaces"
    return None


def _open_quote(mistake: _Mistake) -> str | None:
    if "quoted scalar" in mistake.context:
        return f"the quote that begins in line {mistake.context_number + 1} is not closed"
    for token in _tokens(mistake.text):
        if (
            isinstance(token, yaml.ScalarToken)
            and token.style in ("'", '"')
            and token.start_mark.line < token.end_mark.line == mistake.number
        ):
            return f"the quote that begins in line {token.start_mark.line + 1} is not closed in that line"
    return None


def _quote_inside(mistake: _Mistake) -> str | None:
    if mistake.value.startswith("'") and mistake.value.count("'") > 2:
        return (
            f"{mistake.where} has a quote inside quotes: {mistake.value}; use double quotes around the text"
        )
    return None


def _alias(mistake: _Mistake) -> str | None:
    if "undefined alias" in mistake.problem:
        return f"{mistake.where}: {mistake.problem}; {_QUOTED} if it is no alias"
    return None


def _reserved_sign(mistake: _Mistake) -> str | None:
    if mistake.value.startswith(_RESERVED):
        return f"{mistake.where}: {mistake.value} begins with a sign that YAML gives a meaning; {_QUOTED}"
    return None


def _colon(mistake: _Mistake) -> str | None:
    if "mapping values are not allowed" not in mistake.problem:
        return None
    if ": " in mistake.line[: mistake.column]:
        return f"{mistake.where}: {mistake.value} has a second colon; {_QUOTED}"
    return f"{mistake.where} is indented more than the line before it, which has a value already"


def _indentation(mistake: _Mistake) -> str | None:
    if "expected <block end>" in mistake.problem or "expected '<document start>'" in mistake.problem:
        line = mistake.line.strip()[:60]
        return f"{mistake.where} is not indented like the lines that it belongs to: {line}"
    return None


def _tokens(text: str) -> Iterator[yaml.Token]:
    try:
        yield from yaml.scan(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return
