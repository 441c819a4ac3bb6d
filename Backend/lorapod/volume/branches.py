"""A list of a whole tree by few questions: one about its top, then one about each branch that is looked into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lorapod.volume.listed_files import ListedFiles
from lorapod.volume.port import FileEntry, VolumeListing


class BranchListing:
    """Lists a folder; what is below a folder in it is listed as a whole when it is first looked into."""

    def __init__(self, listing: VolumeListing, top: Path) -> None:
        """Ask nothing yet."""
        self._listing = listing
        self._top = top
        self._branches: dict[Path, ListedFiles] = {}

    def entries(self, folder: Path) -> Sequence[FileEntry]:
        """Return what lies directly in a folder, by name."""
        if folder == self._top:
            return self._listing.entries(folder)
        return self._branch(folder).entries(folder)

    def below(self, folder: Path, *, skip: Callable[[str], bool] = lambda _: False) -> Iterator[FileEntry]:
        """Yield every file below a folder."""
        return self._listing.below(folder, skip=skip)

    def _branch(self, folder: Path) -> ListedFiles:
        root = self._top / folder.relative_to(self._top).parts[0]
        if root not in self._branches:
            self._branches[root] = ListedFiles(self._listing.below(root))
        return self._branches[root]
