"""Where the files of one intake go, and what can be refused before a byte of them arrives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorapod.datasets import intake
from lorapod.errors import Conflict
from lorapod.safety.unpacking import ArchiveLimits


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where an intake goes."""

    #: A folder that is this intake's alone, on the dataset's file system.
    staging: Path
    #: The dataset's folder if the files are added to it; None: they become the whole dataset.
    dataset: Path | None
    #: Where the dataset's partial files gather.
    parts: Path
    #: The dataset's folder as answers show it.
    shown: str
    #: Whether archives are unpacked, and to how much.
    extract: bool
    #: Whether images are converted that trainers see otherwise than a person does.
    fix: bool = False
    limits: ArchiveLimits

    def check(self, filename: str, size_bytes: int | None) -> None:
        """Refuse a file that may not be stored here, as far as its own name and its declared size tell.

        Raises:
            InvalidInput: a dataset holds no file of that name.
            TooLarge: it is larger than its content can be.
        """
        intake.check_name(filename)
        if size_bytes is not None:
            archive_max_bytes = self.limits.total_bytes if self.extract else None
            intake.check_size(filename, size_bytes, archive_max_bytes=archive_max_bytes)

    def check_free(self, name: str) -> None:
        """Refuse the name in the dataset if it is a folder's there.

        Raises:
            Conflict: it is.
        """
        if self.dataset is None:
            return
        target = self.dataset / name
        parent = next(
            (one for one in target.parents if one.is_relative_to(self.dataset) and one.is_file()), None
        )
        if target.is_dir() or parent is not None:
            there = (
                "folder of that name" if parent is None else f"file {parent.name!r} where its folder would be"
            )
            raise Conflict(
                f"{name!r} cannot be stored: the dataset has a {there}.",
                hint="Send the file under another name.",
            )

    def present(self) -> list[str]:
        """Return the names of the files directly in the dataset's folder."""
        if self.dataset is None or not self.dataset.is_dir():
            return []
        return [path.name for path in self.dataset.iterdir()]
