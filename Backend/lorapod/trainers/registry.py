"""The trainers of this worker, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lorapod.errors import InvalidInput, Unsupported
from lorapod.trainers.port import Trainer, TrainerStatus

#: The name that means the first available trainer.
AUTO = "auto"

#: The trainers whose configs are AI Toolkit's.
TOOLKIT_CONFIGS = frozenset({"ai-toolkit", "builtin"})


class TrainerRegistry(Mapping[str, Trainer]):
    """The trainers in order of preference."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        """Use `trainers`; `auto` means the first of them that is available."""
        self._trainers = {trainer.name: trainer for trainer in trainers}

    def __getitem__(self, name: str) -> Trainer:
        """Return the trainer with this name."""
        return self._trainers[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, the preferred one first."""
        return iter(self._trainers)

    def __len__(self) -> int:
        """Return the number of trainers."""
        return len(self._trainers)

    def choose(self, name: str) -> Trainer:
        """Return the trainer that a request names, or for `auto` the first that is available.

        Raises:
            InvalidInput: no trainer has this name.
            Unsupported: it is not available on this machine; for `auto`, no trainer is.
        """
        if name != AUTO and name not in self._trainers:
            raise InvalidInput(f"There is no trainer {name!r}; the trainers are {', '.join([AUTO, *self])}.")
        details: list[str] = []
        for trainer in self._trainers.values() if name == AUTO else [self._trainers[name]]:
            status = trainer.probe()
            if status.available:
                return trainer
            details.append(f"{trainer.name}: {status.detail}")
        raise Unsupported("No trainer is available on this worker: " + "; ".join(details))

    def statuses(self) -> Mapping[str, TrainerStatus]:
        """Return the status of every trainer, by name."""
        return {name: trainer.probe() for name, trainer in self._trainers.items()}
