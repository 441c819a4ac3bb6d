"""Facts about images, kept between looks: a file that has not changed is not opened again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from lorapod.datasets.item import FoundFile
from lorapod.datasets.looks.facts import ImageFacts

#: Images of which facts are kept: two of the largest datasets. One takes half a kilobyte.
_FACTS_MAX = 40_000

_Key = tuple[Path, int, int]


class KeptFacts:
    """Facts by path, size and time of change; the oldest are forgotten. Threads may share it."""

    def __init__(self, most: int = _FACTS_MAX) -> None:
        """Keep the facts of so many images at most."""
        self._most = most
        self._facts: OrderedDict[_Key, ImageFacts] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, file: FoundFile, look: Callable[[FoundFile], ImageFacts], *, complete: bool = True
    ) -> ImageFacts:
        """Return the facts about the file, from an earlier look if it has not changed since.

        Args:
            file: the image.
            look: opens it. Its facts are kept unless they say that it cannot be read now.
            complete: if True, facts from a look that did not go through an alpha channel do not suffice.
        """
        key = (file.path, file.size_bytes, file.mtime_ns)
        with self._lock:
            known = self._facts.get(key)
            if known is not None:
                self._facts.move_to_end(key)
        if known is not None and not (complete and known.look is not None and known.look.transparent is None):
            return known
        facts = look(file)
        if facts.lasting:
            with self._lock:
                self._facts[key] = facts
                while len(self._facts) > self._most:
                    self._facts.popitem(last=False)
        return facts
