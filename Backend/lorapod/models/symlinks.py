"""Symbolic links that several workers may make at once, and that never replace a file."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lorapod.kinds import is_hidden

#: How often a place is looked at again that another worker changes at the same time.
TRIES = 5


@dataclass(kw_only=True)
class LinkReport:
    """What was done, a sentence each."""

    #: Links made or repaired.
    made: list[str] = field(default_factory=list)
    #: Links removed because their target is gone.
    removed: list[str] = field(default_factory=list)
    #: Names that two things have; both are unchanged.
    conflicts: list[str] = field(default_factory=list)


def link(place: Path, target: Path, root: Path, report: LinkReport) -> bool:
    """Have `place` lead to `target`; whether it does. What is there and leads elsewhere stays.

    Below `root` the link is relative, so that it holds wherever the volume is mounted.
    """
    text = _text(place, target, root)
    for _ in range(TRIES):
        try:
            place.symlink_to(text)
        except FileExistsError:
            if _leads_to(place, target):
                return True
            if not place.is_symlink() or place.exists():
                report.conflicts.append(f"{place} is something else than {target}; both stay as they are.")
                return False
            _repoint(place, text)
        report.made.append(f"{place} -> {text}")
        return True
    return False


def link_entries(folder: Path, source: Path, root: Path, report: LinkReport) -> None:
    """Link every entry of `source` in the real folder `folder`, and remove links to entries that are gone."""
    for entry in entries(source):
        # What leads from there to here is here already.
        if not entry.resolve().is_relative_to(folder.resolve()):
            link(folder / entry.name, entry, root, report)
    drop_dangling(folder, source, report)


def drop_dangling(folder: Path, source: Path, report: LinkReport) -> None:
    """Take away the links in `folder` that led to entries of `source` which are gone."""
    for place in entries(folder):
        if place.is_symlink() and not place.exists():
            aim = Path(os.path.normpath(folder.resolve() / place.readlink()))
            if aim.parent in {source, source.resolve()}:
                with contextlib.suppress(FileNotFoundError):
                    place.unlink()
                    report.removed.append(f"{place}: {aim} is gone")


def entries(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder and not hidden, by name; nothing if there is no such folder."""
    with contextlib.suppress(OSError):
        yield from sorted(path for path in folder.iterdir() if not is_hidden(path.name))


def _text(place: Path, target: Path, root: Path) -> str:
    here = place.parent.resolve()
    if here.is_relative_to(root) and target.is_relative_to(root):
        return os.path.relpath(target, here)
    return str(target)


def _leads_to(place: Path, target: Path) -> bool:
    try:
        return place.samefile(target)
    except OSError:
        return False


def _repoint(place: Path, text: str) -> None:
    """Give a link that leads nowhere another aim, in one step."""
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
    fresh.symlink_to(text)
    try:
        fresh.replace(place)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
