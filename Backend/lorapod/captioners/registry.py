"""The captioners of this worker, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lorapod.captioners.port import Captioner, CaptionerStatus
from lorapod.errors import InvalidInput, Unsupported


class CaptionerRegistry(Mapping[str, Captioner]):
    """Captioners in the order of preference."""

    def __init__(self, captioners: Sequence[Captioner]) -> None:
        """Take charge of the captioners."""
        self._captioners = {captioner.name: captioner for captioner in captioners}

    def __getitem__(self, name: str) -> Captioner:
        """Return the captioner of that name."""
        return self._captioners[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names, the preferred one first."""
        return iter(self._captioners)

    def __len__(self) -> int:
        """Return how many captioners there are."""
        return len(self._captioners)

    def choose(self, name: str | None) -> Captioner:
        """Return the captioner of that name; without one, the first that is available.

        Raises:
            InvalidInput: there is none of that name.
            Unsupported: none is available, or the one that was named is not.
        """
        if name is None:
            states = self.statuses()
            chosen = next((self[one] for one, state in states.items() if state.available), None)
            if chosen is None:
                raise Unsupported(
                    "This worker has no captioner: "
                    + " ".join(f"{one}: {state.detail}" for one, state in states.items()),
                    hint="Use an image of this worker that has transformers or AI Toolkit.",
                )
            return chosen
        if name not in self._captioners:
            raise InvalidInput(
                f"captioner: there is no captioner {name[:80]!r}.", hint=f"There are {', '.join(self)}."
            )
        state = self[name].probe()
        if not state.available:
            raise Unsupported(f"The captioner {name} cannot run here: {state.detail}")
        return self[name]

    def statuses(self) -> Mapping[str, CaptionerStatus]:
        """Return the status of every captioner, by name."""
        return {name: captioner.probe() for name, captioner in self._captioners.items()}

    def close(self) -> None:
        """End everything that was started."""
        for captioner in self._captioners.values():
            captioner.close()
