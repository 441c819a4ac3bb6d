"""Whether a file has come to rest."""

from __future__ import annotations

from collections.abc import Iterable

from lorapod.clock import Clock
from lorapod.storage.mirror.artifact import Artifact, Kind
from lorapod.weights import is_whole

#: For so long size and time of a file must stay as they are.
DEBOUNCE_S = 3.0


class Settling:
    """Remembers since when each file is as it is; for one thread."""

    def __init__(self, clock: Clock) -> None:
        """Begin knowing nothing: every file is new."""
        self._clock = clock
        self._since: dict[str, tuple[tuple[int, int], float]] = {}

    def look(self, artifacts: Iterable[Artifact]) -> None:
        """Take note of the files as they are now; what is not among them is forgotten."""
        now = self._clock.monotonic()
        before, self._since = self._since, {}
        for artifact in artifacts:
            state, since = before.get(artifact.key, (None, now))
            self._since[artifact.key] = (artifact.state, since if state == artifact.state else now)

    def settled(self, artifact: Artifact, *, still: bool) -> bool:
        """Whether it may be sent; `still`: nobody writes any more, so only what was cut off is held back."""
        if not still and self._clock.monotonic() < self.due(artifact):
            return False
        return artifact.kind is not Kind.CHECKPOINT or is_whole(artifact.path)

    def due(self, artifact: Artifact) -> float:
        """When it will have settled, on the monotonic clock, if it stays as it is."""
        return self._since[artifact.key][1] + DEBOUNCE_S
