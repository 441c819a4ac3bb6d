"""The datasets that the console has heard of: what is in each, its captions, and small images of its items."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lorapod.client.console import moments
from lorapod.client.console.disk_cache import DiskCache

#: Small images that a card of a dataset shows.
COVER_PICTURES: Final = 4

_LISTED: Final = "dataset"
_ITEMS: Final = "dataset items"
_EDIT: Final = "dataset edit"
_DATA_URI: Final = "data:image/webp;base64,"
#: Of a page of `dataset`: what belongs to its items only.
_OF_A_PAGE: Final = frozenset({"items", "next_cursor"})


class KnownDatasets:
    """What is known of each dataset, by its name."""

    def __init__(self, cache: DiskCache) -> None:
        self._cache = cache

    def all(self) -> list[dict[str, Any]]:
        """Return every dataset for a list, with the first of its small images."""
        listed = self._cache.documents(_LISTED)
        return [listed[name] for name in sorted(listed)]

    def learn_list(self, datasets: Iterable[Mapping[str, Any]]) -> None:
        """Keep what a worker lists; a dataset that it does not list is gone."""
        before = self._cache.documents(_LISTED)
        listed = {one["training_name"]: dict(one) for one in datasets}
        for name, one in listed.items():
            old = before.get(name, {})
            kept = {"pictures": old.get("pictures", []), "identity": _identity(old)}
            self._cache.put_document(_LISTED, name, {**one, **kept, "known_at": moments.now()})
        for name in before.keys() - listed.keys():
            self.forget(name)

    def listed(self, name: str) -> dict[str, Any] | None:
        """Return a dataset as a list shows it; None if the console never heard of it."""
        return self._cache.document(_LISTED, name)

    def contents(self, name: str) -> dict[str, Any] | None:
        """Return `page` (what is known of the whole), `items`, `version` and `known_at` of a dataset."""
        return self._cache.document(_ITEMS, name)

    def learn_items(
        self, name: str, page: Mapping[str, Any], items: Sequence[Mapping[str, Any]], *, whole: bool
    ) -> None:
        """Keep the items of a dataset, whose `picture` is the digest of a small image; `whole`: all of them."""
        before = self.contents(name)
        version = 1 if before is None else before["version"] + 1
        told = {field: value for field, value in page.items() if field not in _OF_A_PAGE}
        self._cache.put_document(
            _ITEMS,
            name,
            {
                "page": told,
                "items": list(items),
                "version": version,
                "known_at": moments.now(),
                "whole": whole,
            },
        )
        covers = [item["picture"] for item in items if item.get("picture")]
        step = max(1, len(covers) // COVER_PICTURES)
        totals = ("training_name", "path", "images", "videos", "captions", "total_bytes")
        old = self.listed(name) or {"used_by": [], "modified_at": None}
        listed = {
            **old,
            "identity": _identity(old),
            **{field: page[field] for field in totals},
            "pictures": covers[::step][:COVER_PICTURES],
            "known_at": moments.now(),
        }
        self._cache.put_document(_LISTED, name, listed)

    def keep_picture(self, name: str, item: str, thumbnail: str | None) -> str | None:
        """Keep the small image of an item, which is a data URI; return its digest, or that of the one before."""
        key = f"thumbnail:{name}:{item}"
        if thumbnail is None:
            kept = self._cache.content(key)
            return None if kept is None else kept.digest
        try:
            data = base64.b64decode(thumbnail.removeprefix(_DATA_URI), validate=True)
        except binascii.Error:
            return None
        return self._cache.put_content(key, data, "image/webp").digest

    def forget(self, name: str) -> None:
        """Remove a dataset."""
        for kind in (_LISTED, _ITEMS, _EDIT):
            self._cache.forget_document(kind, name)

    def note_edit(self, name: str, edit_id: str | None) -> None:
        """Keep the newest edit, which can be taken back; None: no edit can be."""
        if edit_id is None:
            self._cache.forget_document(_EDIT, name)
        else:
            self._cache.put_document(_EDIT, name, {"edit_id": edit_id})

    def newest_edit(self, name: str) -> str | None:
        """Return the edit that can be taken back, if this console made one."""
        document = self._cache.document(_EDIT, name)
        return None if document is None else str(document["edit_id"])


def _identity(known: Mapping[str, Any]) -> str:
    """Return what tells a dataset from one that had its name before and was deleted."""
    return known.get("identity") or secrets.token_hex(8)
