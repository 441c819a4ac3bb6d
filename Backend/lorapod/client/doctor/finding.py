"""What the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lorapod.platform.requests import EndpointSettings


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: Worth knowing; nothing is broken.
    NOTE = "note"
    #: Something does not work, or will not.
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    #: What was looked at, for example `workers`.
    check: str
    severity: Severity
    message: str
    #: The command, or the step, that mends it.
    mend: str = ""
    #: Lines of a log that show it.
    lines: tuple[str, ...] = ()
    #: What `--fix` changes; None: it is not for a program to decide.
    fix: EndpointSettings | None = None


def ok(check: str, message: str) -> Finding:
    """Return that all is well."""
    return Finding(check=check, severity=Severity.OK, message=message)


def note(check: str, message: str, *, mend: str = "", lines: tuple[str, ...] = ()) -> Finding:
    """Return something worth knowing."""
    return Finding(check=check, severity=Severity.NOTE, message=message, mend=mend, lines=lines)


def problem(
    check: str,
    message: str,
    *,
    mend: str,
    lines: tuple[str, ...] = (),
    fix: EndpointSettings | None = None,
) -> Finding:
    """Return something that must be mended."""
    return Finding(check=check, severity=Severity.PROBLEM, message=message, mend=mend, lines=lines, fix=fix)
