"""Facts about files, kept between looks: a file that has not changed is not opened again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from lorapod.datasets.item import FoundFile
from lorapod.datasets.looks.facts import FileFacts

#: Files of which facts are kept: two of the largest datasets. One takes half a kilobyte.
_FACTS_MAX = 40_000

_Key = tuple[Path, int, int]
_Facts = TypeVar("_Facts", bound=FileFacts)


class KeptFacts(Generic[_Facts]):
    """Facts by path, size and time of change; the oldest are forgotten. Threads may share it."""

    def __init__(self, most: int = _FACTS_MAX) -> None:
        """Keep the facts of so many files at most."""
        self._most = most
        self._facts: OrderedDict[_Key, _Facts] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self,
        file: FoundFile,
        look: Callable[[FoundFile], _Facts],
        *,
        suffices: Callable[[_Facts], bool] = lambda _: True,
    ) -> _Facts:
        """Return the facts about the file, from an earlier look if it has not changed since.

        Args:
            file: as it was listed.
            look: opens it. Its facts are kept if they are lasting.
            suffices: whether earlier facts say enough.
        """
        key = (file.path, file.size_bytes, file.mtime_ns)
        with self._lock:
            known = self._facts.get(key)
            if known is not None:
                self._facts.move_to_end(key)
        if known is not None and suffices(known):
            return known
        facts = look(file)
        if facts.lasting:
            with self._lock:
                self._facts[key] = facts
                while len(self._facts) > self._most:
                    self._facts.popitem(last=False)
        return facts
