"""Programs that are installed beside the worker, found without running any of them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Of a virtual environment in a program's own folder.
_ENVIRONMENTS = ("venv", ".venv")


@dataclass(frozen=True, kw_only=True)
class Installation:
    """One checkout and the Python that runs it."""

    root: Path
    python: Path
    #: The script that it is run by.
    entry: Path
    #: As it says itself; None if it does not say.
    version: str | None


@dataclass(frozen=True, kw_only=True)
class ProgramSpec:
    """How an installation of a program is recognised."""

    name: str
    #: The variables that name the installation and its Python begin with this.
    prefix: str
    #: The script that it is run by, in its root.
    entry: str
    #: A folder beside the script, which other programs with a script of that name do not have.
    folder: str = ""
    #: The module in its root with the version, and the name of the version there.
    version_module: str
    version_name: str

    def find_root(self, places: Sequence[Path]) -> Path | None:
        """Return the first of the places where the program is, whether or not there is a Python for it."""
        return next((place.absolute() for place in places if self._is_at(place)), None)

    def find(
        self, places: Sequence[Path], python: Path | None, *, otherwise: Path
    ) -> tuple[Installation | None, str]:
        """Return the installation to use, and one sentence: where it is, or what is missing.

        Args:
            places: its possible folders, in the order of preference.
            python: its Python from the settings; None: the virtual environment in its root.
            otherwise: its Python, if there is no such environment.
        """
        root = self.find_root(places)
        if root is None:
            looked = " or ".join(str(place) for place in places)
            signs = f"{self.entry} beside {self.folder}/" if self.folder else self.entry
            return None, f"{self.name} is not at {looked} (no {signs}); set {self.prefix}_PATH."
        interpreter = python or _own_python(root) or otherwise
        if not os.access(interpreter, os.X_OK) or not interpreter.is_file():
            return None, f"There is no Python for {self.name} at {interpreter}; set {self.prefix}_PYTHON."
        found = Installation(
            root=root,
            # Not resolved: a virtual environment's Python is a link, and finds its packages from the link's folder.
            python=interpreter.absolute(),
            entry=root / self.entry,
            version=self._version(root),
        )
        return found, f"{self.name} {found.version or 'of unknown version'} at {root}."

    def _is_at(self, place: Path) -> bool:
        return (place / self.entry).is_file() and (place / self.folder).is_dir()

    def _version(self, root: Path) -> str | None:
        try:
            text = (root / self.version_module).read_text(encoding="utf-8", errors="replace")[:10_000]
        except OSError:
            return None
        line = rf"""^{re.escape(self.version_name)}\s*=\s*["'](?P<version>[^"'\n]{{1,40}})["']"""
        found = re.search(line, text, re.MULTILINE)
        return found["version"] if found else None


def _own_python(root: Path) -> Path | None:
    places = (root / folder / "bin" / "python" for folder in _ENVIRONMENTS)
    return next((place for place in places if place.is_file()), None)
