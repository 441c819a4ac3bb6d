"""CHANGELOG.md in the form of Keep a Changelog, and the one version of both distributions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from release_parts.errors import ReleaseError

UNRELEASED = "Unreleased"
#: The kinds of changes, in the order in which they appear.
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_HEADING = re.compile(r"## \[(?P<name>[^\]]+)\](?: - (?P<day>\d{4}-\d\d-\d\d))?")
_VERSION = re.compile(r'^__version__ = "(?P<version>[^"]+)"$', re.MULTILINE)
_RELEASE = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True, kw_only=True)
class Section:
    """One version's changes."""

    #: A version, or `Unreleased`.
    name: str
    #: None for `Unreleased`.
    day: date | None
    text: str


def sections(text: str) -> list[Section]:
    """Return the sections in their order.

    Raises:
        ReleaseError: a heading is of another form, or a version has no date.
    """
    found = []
    for part in re.split(r"(?m)^(?=## )", text)[1:]:
        heading, _, rest = part.partition("\n")
        match = _HEADING.fullmatch(heading)
        if match is None or (match["day"] is None) != (match["name"] == UNRELEASED):
            raise ReleaseError(
                f"CHANGELOG.md: {heading!r} must be '## [{UNRELEASED}]' or '## [1.2.3] - 2026-11-30'."
            )
        day = date.fromisoformat(match["day"]) if match["day"] else None
        found.append(Section(name=match["name"], day=day, text=rest.strip()))
    return found


def check(changelog: str, version: str) -> None:
    """Check that the version is described, newest first, and that nothing waits for a later one.

    Raises:
        ReleaseError: it is not.
    """
    found = sections(changelog)
    if not _RELEASE.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version of the form 1.2.3.")
    if found and found[0].name == UNRELEASED and found[0].text:
        raise ReleaseError(
            f"CHANGELOG.md has changes under {UNRELEASED!r}: `make release-version VERSION=1.2.3` makes a version of them."
        )
    newest = next((each for each in found if each.name != UNRELEASED), None)
    if newest is None or newest.name != version:
        told = newest.name if newest else "none"
        raise ReleaseError(f"The version is {version}, and the newest in CHANGELOG.md is {told}.")
    days = [each.day for each in found if each.day is not None]
    if days != sorted(days, reverse=True):
        raise ReleaseError("CHANGELOG.md: the versions are not sorted by date, the newest first.")


def cut(changelog: str, version: str, day: date) -> str:
    """Return the text with what is unreleased as a version of its own.

    Raises:
        ReleaseError: nothing is unreleased, or the version exists.
    """
    found = sections(changelog)
    if not found or found[0].name != UNRELEASED or not found[0].text:
        raise ReleaseError(f"CHANGELOG.md has nothing under {UNRELEASED!r}: there is nothing to release.")
    if not _RELEASE.fullmatch(version) or any(each.name == version for each in found):
        raise ReleaseError(f"{version!r} is no version of the form 1.2.3 that CHANGELOG.md lacks.")
    return changelog.replace(
        f"## [{UNRELEASED}]\n", f"## [{UNRELEASED}]\n\n## [{version}] - {day.isoformat()}\n", 1
    )


def version_of(source: str) -> str:
    """Return the version that `lorapod/__init__.py` names; both distributions have it.

    Raises:
        ReleaseError: it names none.
    """
    match = _VERSION.search(source)
    if match is None:
        raise ReleaseError("Backend/lorapod/__init__.py names no __version__.")
    return match["version"]


def with_version(source: str, version: str) -> str:
    """Return the module's text with another version."""
    version_of(source)
    return _VERSION.sub(f'__version__ = "{version}"', source)
