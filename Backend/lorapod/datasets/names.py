"""From the paths of a source to names in a dataset, which has no folders of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lorapod.datasets.intake import ARCHIVE_SUFFIX, TAKEN_SUFFIXES
from lorapod.kinds import suffix_of
from lorapod.safety import images

_UNPLAIN = re.compile(r"[^\w .+()\[\]-]", re.UNICODE)
_STEM_MAX_CHARACTERS = 60
_ZIP_MAGIC = b"PK\3\4"


@dataclass(frozen=True, kw_only=True)
class PlainName:
    """A name that a dataset may hold; the suffix is empty if the path has no known one."""

    stem: str
    suffix: str

    def of(self, path: Path) -> str:
        """Return the whole name; an image or an archive gets the suffix of its content, since servers may convert it.

        Raises:
            OSError: the file cannot be read.
        """
        if not self.suffix or self.suffix in images.SUFFIXES:
            found = images.suffix_by_content(path) or _archive_suffix(path)
            same = found == ".jpg" and self.suffix == ".jpeg"
            if found is not None and not same:
                return self.stem + found
        return self.stem + self.suffix


def plain_names(paths: Sequence[str]) -> Sequence[PlainName]:
    """Return a name for each path, no two alike.

    If two folders have a file of the same name, the files of the second and each further folder get its number at the
    end, a caption the same as its image: `a/1.png, a/1.txt, b/1.png, b/1.txt` become `1.png, 1.txt, 1_2.png, 1_2.txt`.
    """
    folders: dict[str, list[str]] = {}
    taken: set[tuple[str, str]] = set()
    names = []
    for path in paths:
        stem, suffix = _split(path)
        rivals = folders.setdefault(stem.lower(), [])
        folder = str(PurePosixPath(path).parent)
        if folder not in rivals:
            rivals.append(folder)
        number = rivals.index(folder) + 1
        base = numbered = stem if number == 1 else f"{stem}_{number}"
        while (numbered.lower(), suffix) in taken:
            number += 1
            numbered = f"{base}_{number}"
        taken.add((numbered.lower(), suffix))
        names.append(PlainName(stem=numbered, suffix=suffix))
    return names


def _split(path: str) -> tuple[str, str]:
    name = PurePosixPath(path).name
    suffix = suffix_of(name)
    stem = name[: -len(suffix)] if suffix in TAKEN_SUFFIXES else name
    plain = _UNPLAIN.sub("_", stem)[:_STEM_MAX_CHARACTERS].strip(" ").lstrip("_.+-()[] ")
    return plain or "file", suffix if suffix in TAKEN_SUFFIXES else ""


def _archive_suffix(path: Path) -> str | None:
    with path.open("rb") as file:
        return ARCHIVE_SUFFIX if file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC else None
