"""Cells that were drawn before: found by their key, in the folders of all comparisons of the workspace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from lorapod.comparisons.cells import FILE, Cell
from lorapod.folders import entries_of
from lorapod.workspace import Workspace

#: The folder of a comparison's cells in its output folder.
FOLDER = "cells"
#: Ids of comparisons begin with it.
KIND = "compare"


class KeptCells:
    """The cells of one comparison on the disk, and those of earlier ones that it can use."""

    def __init__(self, workspace: Workspace, process_id: str) -> None:
        """Look into the folders of all comparisons once; what appears later is not found.

        Raises:
            OSError: a folder cannot be read now.
        """
        self.folder = workspace.output_folder(process_id) / FOLDER
        self._earlier: dict[str, Path] = {}
        for folder in [*(one / FOLDER for one in comparison_folders(workspace)), self.folder]:
            for entry in entries_of(folder):
                if (named := FILE.fullmatch(entry.name)) and not entry.is_symlink():
                    self._earlier[named["key"]] = Path(entry.path)

    def get(self, cell: Cell, key: str) -> Path | None:
        """Return the cell's image in this comparison's folder, if this or an earlier comparison has drawn it.

        Raises:
            OSError: the disk failed.
        """
        found = self._earlier.get(key)
        if found is None or not found.is_file():
            return None
        if found.parent == self.folder:
            return found
        target = self._target(cell, key, found.suffix)
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            # Two names of one file: each comparison can be deleted without the other.
            temporary.hardlink_to(found)
        except OSError:
            shutil.copyfile(found, temporary)
        return self._keep(temporary, target, key)

    def keep(self, cell: Cell, key: str, drawn: Path) -> Path:
        """Move an image that was just drawn to its place; return where that is.

        Raises:
            OSError: the disk failed.
        """
        return self._keep(drawn, self._target(cell, key, drawn.suffix.lower()), key)

    def _keep(self, source: Path, target: Path, key: str) -> Path:
        source.replace(target)
        self._earlier[key] = target
        return target

    def _target(self, cell: Cell, key: str, suffix: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{cell.file_stem}_{key}{suffix}"


def comparison_folders(workspace: Workspace) -> Iterator[Path]:
    """Yield the output folders of all comparisons.

    Raises:
        OSError: a folder cannot be read now.
    """
    for entry in entries_of(workspace.output):
        if entry.name.startswith(f"{KIND}_") and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
