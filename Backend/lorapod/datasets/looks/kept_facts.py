"""Facts about files, kept between looks: a file that has not changed is not opened again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Generic, TypeVar

from lorapod.dataset_reader.item import FoundFile
from lorapod.datasets.looks.facts import FileFacts

#: Files of which facts are kept: two of the largest datasets. One takes half a kilobyte.
_FACTS_MAX = 40_000

_Key = tuple[Path, int, int]
_Facts = TypeVar("_Facts", bound=FileFacts)


class KeptFacts(Generic[_Facts]):
    """Facts by path, size and time of change; those that were not used for longest are forgotten. Threads may share it."""

    def __init__(self, most: int = _FACTS_MAX) -> None:
        """Keep the facts of so many files at most."""
        self._most = most
        self._facts: OrderedDict[_Key, _Facts] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, file: FoundFile) -> _Facts | None:
        """Return what an earlier look found, if the file has not changed since."""
        key = (file.path, file.size_bytes, file.mtime_ns)
        with self._lock:
            facts = self._facts.get(key)
            if facts is not None:
                self._facts.move_to_end(key)
        return facts

    def keep(self, file: FoundFile, facts: _Facts) -> None:
        """Keep what a look found, unless another look may find something else."""
        if not facts.lasting:
            return
        with self._lock:
            self._facts[file.path, file.size_bytes, file.mtime_ns] = facts
            while len(self._facts) > self._most:
                self._facts.popitem(last=False)
