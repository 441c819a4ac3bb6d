"""The engines of this worker, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from lorapod.engines.port import Engine, EngineBundle, EngineStatus
from lorapod.errors import InvalidInput, Unsupported
from lorapod.models.port import Downloads, ModelCatalog
from lorapod.wire.generation import GenerateRequest

#: Takes the first engine that is available.
AUTO = "auto"

#: Engines that need more than a prompt, so that `auto` never chooses them.
_NEED_THEIR_OWN = frozenset({"ai-toolkit"})


class EngineRegistry(Mapping[str, Engine]):
    """Engines in the order of preference."""

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        preferred: str = AUTO,
        catalogs: Mapping[str, ModelCatalog] | None = None,
        downloads: Mapping[str, Downloads] | None = None,
    ) -> None:
        """Take charge of the engines.

        Args:
            engines: the first that is available is what `auto` means.
            preferred: the engine of requests that name none; or `auto`.
            catalogs: the lists of models that engines keep themselves, by the engine's name.
            downloads: how engines download models into those lists, by the engine's name.
        """
        self._engines = {engine.name: engine for engine in engines}
        self._preferred = preferred
        self._open = list(self._engines.values())
        self.catalogs = catalogs or {}
        self.downloads = downloads or {}

    @classmethod
    def of(cls, bundles: Sequence[EngineBundle], *, preferred: str = AUTO) -> Self:
        """Take charge of the engines with what belongs to them."""
        return cls(
            [bundle.engine for bundle in bundles],
            preferred=preferred,
            catalogs={bundle.engine.name: bundle.catalog for bundle in bundles if bundle.catalog},
            downloads={bundle.engine.name: bundle.downloads for bundle in bundles if bundle.downloads},
        )

    def __getitem__(self, name: str) -> Engine:
        """Return the engine of that name."""
        return self._engines[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names, the preferred one first."""
        return iter(self._engines)

    def __len__(self) -> int:
        """Return how many engines there are."""
        return len(self._engines)

    def choose(self, request: GenerateRequest) -> Engine:
        """Return the engine that a request names, or that its fields need, else the preferred one.

        Raises:
            InvalidInput: there is no engine of that name, or the request's fields need another one.
            Unsupported: it is not available on this machine, or for `auto` no engine is.
        """
        asked = name_asked_for(request)
        name = asked or self._preferred
        if name != AUTO and name not in self._engines:
            known = ", ".join([AUTO, *self])
            raise InvalidInput(f"There is no engine {name!r} on this worker; the engines are {known}.")
        details: list[str] = []
        for engine in self._candidates() if name == AUTO else [self._engines[name]]:
            status = engine.probe()
            if status.available:
                return engine
            details.append(f"{engine.name} is not available: {status.detail}")
        if name != AUTO:
            raise Unsupported(f"The engine {details[0]}")
        raise Unsupported("No engine is available on this worker: " + "; ".join(details or ["it has none"]))

    def first_of(self, name: str | None, favourite: str) -> Engine:
        """Return the engine of that name; without one, `favourite` if it is available, else the preferred one.

        Raises:
            InvalidInput: there is no engine of that name.
            Unsupported: it is not available on this machine, or for `auto` no engine is.
        """
        if name in {None, AUTO} and favourite in self._engines and self[favourite].probe().available:
            return self[favourite]
        return self.choose(GenerateRequest(engine=name))

    def _candidates(self) -> Sequence[Engine]:
        return [engine for name, engine in self._engines.items() if name not in _NEED_THEIR_OWN]

    def statuses(self) -> Mapping[str, EngineStatus]:
        """Return every engine's state, by name."""
        return {name: engine.probe() for name, engine in self._engines.items()}

    def close(self) -> None:
        """Close every engine; closing twice is allowed."""
        with ExitStack() as closing:
            while self._open:
                closing.callback(self._open.pop().close)


def name_asked_for(request: GenerateRequest) -> str | None:
    """Return the engine that a request names, or that alone can read its fields; None if any engine will do.

    Raises:
        InvalidInput: it names one engine, but has fields of another.
    """
    shaped = {
        "workflow": "comfyui" if request.workflow is not None else None,
        "comfyui_workflow_name": "comfyui" if request.comfyui_workflow_name is not None else None,
        "config": "ai-toolkit" if request.config is not None else None,
    }
    named = None if request.engine in {None, AUTO} else request.engine
    for field, needed in shaped.items():
        if needed is None:
            continue
        if named is not None and named != needed:
            raise InvalidInput(f"{field} goes with the engine {needed}, not with {named}.")
        named = needed
    return named
