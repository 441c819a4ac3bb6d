"""Files that one list has told: answers about folders come from it, without another question to the volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lorapod.volume.port import EntryKind, FileEntry, FileState


class ListedFiles:
    """The names and states of files, by folder."""

    def __init__(self, files: Iterable[FileEntry]) -> None:
        """Sort the files into their folders, and those into theirs."""
        self._folders: defaultdict[Path, dict[str, FileEntry]] = defaultdict(dict)
        for file in files:
            self._add(file)

    def entries(self, folder: Path) -> Sequence[FileEntry]:
        """Return what lies directly in a folder, by name; nothing if there is no such folder."""
        found = self._folders.get(folder, {})
        return [found[name] for name in sorted(found)]

    def below(self, folder: Path, *, skip: Callable[[str], bool] = lambda _: False) -> Iterator[FileEntry]:
        """Yield every file below a folder, by name; those of inner folders follow."""
        inner: list[Path] = []
        for entry in self.entries(folder):
            if entry.kind is EntryKind.FOLDER:
                if not skip(entry.name):
                    inner.append(entry.path)
            else:
                yield entry
        for path in inner:
            yield from self.below(path, skip=skip)

    def _add(self, entry: FileEntry) -> None:
        path = entry.path
        siblings = self._folders[path.parent]
        known = path.name in siblings
        siblings[path.name] = entry
        if not known and path.parent != path.parent.parent:
            self._add(FileEntry(path=path.parent, kind=EntryKind.FOLDER, state=_no_state))


def _no_state() -> FileState:
    return FileState(size_bytes=0, modified_ns=0)
