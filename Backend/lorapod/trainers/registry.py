"""The trainers of this worker, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lorapod.errors import InvalidInput, Unsupported
from lorapod.trainers.port import Trainer, TrainerStatus

#: Takes the first trainer that is available.
AUTO = "auto"


class TrainerRegistry(Mapping[str, Trainer]):
    """Trainers in the order of preference."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        """The first of `trainers` that is available is what `auto` means."""
        self._trainers = {trainer.name: trainer for trainer in trainers}

    def __getitem__(self, name: str) -> Trainer:
        """The trainer of that name."""
        return self._trainers[name]

    def __iter__(self) -> Iterator[str]:
        """The names, the preferred one first."""
        return iter(self._trainers)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._trainers)

    def choose(self, name: str) -> Trainer:
        """The trainer that a request names, or the preferred one for `auto`.

        Raises:
            InvalidInput: there is no trainer of that name.
            Unsupported: it, or for `auto` none, is available on this machine.
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
        """Every trainer's state, by name."""
        return {name: trainer.probe() for name, trainer in self._trainers.items()}
