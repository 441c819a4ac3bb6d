"""What was generated in the playground, on this machine's disk: the newest requests, each with its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lorapod.client.console.disk_cache import DiskCache

#: Generations that are kept; the oldest goes first.
MOST: Final = 200

_KIND: Final = "generation"


class KnownGenerations:
    """The generations that this console asked for, by the ids of their jobs."""

    def __init__(self, cache: DiskCache) -> None:
        self._cache = cache

    def all(self) -> Sequence[dict[str, Any]]:
        """Return every generation, the newest first."""
        return sorted(self._cache.documents(_KIND).values(), key=lambda one: one["created_at"], reverse=True)

    def get(self, job_id: str) -> dict[str, Any] | None:
        """Return one generation; None if it is kept no longer."""
        return self._cache.document(_KIND, job_id)

    def begin(self, job_id: str, request: Mapping[str, Any]) -> None:
        """Keep a request that an endpoint has taken; the oldest ones make room."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        entry = {"job_id": job_id, "request": dict(request), "created_at": now, "status": "running"}
        self._cache.put_document(_KIND, job_id, entry)
        for old in self.all()[MOST:]:
            self.forget(old["job_id"])

    def add(self, job_id: str, **told: Any) -> None:
        """Keep more of a generation, unless a person removed it meanwhile."""
        entry = self.get(job_id)
        if entry is not None:
            self._cache.put_document(_KIND, job_id, {**entry, **told})

    def forget(self, job_id: str) -> None:
        """Remove a generation from the list; its files stay on the volume."""
        self._cache.forget_document(_KIND, job_id)
