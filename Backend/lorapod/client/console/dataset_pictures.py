"""Small images of a dataset that no worker was asked about: those that one has kept, or made here from near files."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lorapod.client.console.at_once import at_once
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.sources import VolumeSource

_AT_ONCE: Final = 8
#: A larger image is not read only to show it small.
_MOST_BYTES: Final = 50_000_000


async def with_small_pictures(
    parts: ConsoleParts,
    volume: VolumeSource,
    items: Sequence[Mapping[str, Any]],
    kept: Mapping[str, str],
    side: int,
) -> list[dict[str, Any]]:
    """Return the items with the digests of their small images.

    Args:
        parts: the console's.
        volume: where the dataset lies.
        items: as `dataset` answers them.
        kept: where thumbnails of them lie, by name.
        side: the longest side of the images that are made.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Mapping[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in item.items() if name not in {"thumbnail", "path"}}
        async with gate:
            return {**shown, "picture": await _picture(parts, volume, item, kept.get(item["name"]), side)}

    return await at_once(one(item) for item in items)


async def _picture(
    parts: ConsoleParts, volume: VolumeSource, item: Mapping[str, Any], kept: str | None, side: int
) -> str | None:
    path = str(item["path"]) if kept is None else kept
    # The name of what is kept says the content; a file of the dataset may be replaced.
    name = path if kept is not None else f"{path}@{item['size_bytes']}"
    if (known := await asyncio.to_thread(parts.pictures.digest_of, name)) is not None:
        return known
    if kept is None and (not volume.is_near or item["kind"] != "image" or item["size_bytes"] > _MOST_BYTES):
        return None
    data = await volume.file(path)
    if data is None:
        return None
    return await asyncio.to_thread(
        parts.pictures.keep_small, name, path, data, side if kept is None else None
    )
