"""What RunPod billed, looked up every hour and kept, so that Home shows it at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from lorapod.client.console import moments
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.errors import LorapodError

log = logging.getLogger(__name__)

_KIND: Final = "bill"
_NAME: Final = "newest"
#: RunPod adds to a day's bill about once an hour.
_EVERY_S: Final = 3600.0


class ConsoleBill:
    """The bill of the endpoint and its volume; an endpoint that is not RunPod's has none."""

    def __init__(self, find: Callable[[], Mapping[str, Any]] | None) -> None:
        """Keep `find`, which blocks and raises `LorapodError` if RunPod does not answer; None: no bill exists."""
        self._find = find
        self._problem: str | None = None

    async def keep(self, cache: DiskCache) -> None:
        """Look it up, again and again, until this is cancelled."""
        while self._find is not None:
            try:
                found = await asyncio.to_thread(self._find)
            except LorapodError as error:
                log.info("no bill", extra={"reason": str(error)})
                self._problem = error.message
            else:
                self._problem = None
                known = {**found, "known_at": moments.now()}
                await asyncio.to_thread(cache.put_document, _KIND, _NAME, known)
            await asyncio.sleep(_EVERY_S)

    def view(self, cache: DiskCache) -> dict[str, Any] | None:
        """Return the newest bill, and why the last look failed; None for what does not exist."""
        known = cache.document(_KIND, _NAME) if self._find is not None else None
        if known is None and self._problem is None:
            return None
        return {**(known or {}), "problem": self._problem}
