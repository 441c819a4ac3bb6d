"""The models that the console has heard of: the list, what people wrote about each, and images that show what it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lorapod.client.console.disk_cache import DiskCache
from lorapod.wire.catalog import ModelView

_LISTS: Final = "model list"
_NAME: Final = "all"
_CARDS: Final = "model card"
_OF_A_LIST: Final = frozenset(ModelView.model_fields)


class KnownModels:
    """What is known of each model, by its path."""

    def __init__(self, cache: DiskCache) -> None:
        self._cache = cache

    def all(self) -> Sequence[dict[str, Any]]:
        """Return every model as `list_models` shows it, the newest first."""
        listed = (self._cache.document(_LISTS, _NAME) or {"models": []})["models"]
        return sorted(listed, key=lambda one: str(one.get("modified_at") or ""), reverse=True)

    @property
    def known_at(self) -> str | None:
        """When the list was read last."""
        document = self._cache.document(_LISTS, _NAME)
        return None if document is None else str(document["known_at"])

    def get(self, path: str) -> dict[str, Any] | None:
        """Return one model of the list; None if the console has not heard of it."""
        return next((one for one in self.all() if one["path"] == path), None)

    def card(self, path: str) -> dict[str, Any] | None:
        """Return what a worker answered about a model; None if no worker was asked."""
        return self._cache.document(_CARDS, path)

    def learn_list(self, models: Iterable[Mapping[str, Any]]) -> None:
        """Keep what a worker lists; a model that it does not list is gone."""
        self._keep([dict(one) for one in models if one.get("path")])

    def learn_files(self, models: Iterable[Mapping[str, Any]]) -> None:
        """Keep what the volume lists; keep a worker's answer about each file that has not changed."""
        before = {one["path"]: one for one in self.all()}
        told = []
        for one in models:
            known = before.get(one["path"], {})
            same = known.get("size_bytes") == one.get("size_bytes")
            told.append({**known, **one} if same else dict(one))
        self._keep(told)

    def learn_card(self, card: Mapping[str, Any]) -> None:
        """Keep all that a worker tells of a model, and of it what a list shows."""
        self._cache.put_document(_CARDS, card["path"], card)
        listed = [one for one in self.all() if one["path"] != card["path"]]
        shown = {name: value for name, value in card.items() if name in _OF_A_LIST}
        self._keep([*listed, shown])

    def forget(self, path: str) -> None:
        """Remove a model, for example because it was deleted."""
        self._cache.forget_document(_CARDS, path)
        self._keep([one for one in self.all() if one["path"] != path])

    def _keep(self, models: Sequence[Mapping[str, Any]]) -> None:
        self._cache.put_document(
            _LISTS, _NAME, {"models": models, "known_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        )
