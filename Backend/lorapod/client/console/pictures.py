"""Images of the workspace on this machine: the files as they are, and small versions of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Final

from lorapod.client.console.disk_cache import CachedContent, DiskCache

#: What a browser shows and no script can hide in.
_TYPES: Final = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
#: Longest sides of small versions.
SIDES: Final = frozenset({192, 384, 768})
_QUALITY: Final = 80
#: An image that cannot be made smaller is shown as it is up to this size.
_SMALL_BYTES: Final = 2_000_000
#: An image of more pixels is not decoded here: a small file may hold a picture that fills the memory.
_MOST_PIXELS: Final = 50_000_000


class PictureFiles:
    """The images that were fetched, by their paths in the workspace."""

    def __init__(self, cache: DiskCache) -> None:
        self._cache = cache

    def below(self, folder: str) -> Mapping[str, str]:
        """Return the digests of the images that are here, by their paths, of all paths that begin with `folder`."""
        return {f"{folder}{rest}": kept.digest for rest, kept in self._cache.names(f"file:{folder}").items()}

    def missing(self, paths: list[str]) -> list[str]:
        """Return those that can be shown and are not here, in their order."""
        return [
            path
            for path in dict.fromkeys(paths)
            if _type_of(path) is not None and self._cache.content(f"file:{path}") is None
        ]

    def keep(self, path: str, data: bytes) -> None:
        """Keep an image under its path in the workspace."""
        content_type = _type_of(path)
        if content_type is not None:
            self._cache.put_content(f"file:{path}", data, content_type)

    def digest_of(self, name: str) -> str | None:
        """Return the digest of the image that was kept under a name."""
        kept = self._cache.content(f"file:{name}")
        return None if kept is None else kept.digest

    def keep_small(self, name: str, path: str, data: bytes, side: int | None) -> str | None:
        """Keep an image under a name, no larger than `side`; return its digest, or None if it cannot be made smaller.

        Args:
            name: what it is kept under.
            path: tells the type of the file.
            data: the file.
            side: None: it is small already.
        """
        content_type = _type_of(path)
        if side is not None:
            made = _shrunk(io.BytesIO(data), side)
            if made is not None:
                data, content_type = made, "image/webp"
            elif len(data) > _SMALL_BYTES:
                return None
        if content_type is None:
            return None
        return self._cache.put_content(f"file:{name}", data, content_type).digest

    def small(self, digest: str, side: int) -> CachedContent | None:
        """Return a version of an image that is no larger than `side`; the image itself if none can be made."""
        name = f"small:{digest}:{side}"
        whole = self._cache.content_by_digest(digest)
        if whole is None or not whole.content_type.startswith("image/"):
            return whole
        made = self._cache.content(name)
        if made is not None:
            return made
        data = _shrunk(whole.path, side)
        return whole if data is None else self._cache.put_content(name, data, "image/webp")


def _type_of(path: str) -> str | None:
    return _TYPES.get(PurePosixPath(path).suffix.lower())


def can_shrink() -> bool:
    """Return whether small versions can be made: Pillow comes with the extra `report`."""
    return find_spec("PIL") is not None


def _shrunk(file: Path | io.BytesIO, side: int) -> bytes | None:
    """Return an image as a smaller WebP; None without Pillow, or if it is small or cannot be read."""
    if not can_shrink():
        return None
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            if max(opened.size) <= side or opened.width * opened.height > _MOST_PIXELS:
                return None
            opened.draft("RGB", (side, side))
            image = ImageOps.exif_transpose(opened)
            image = image.convert(
                "RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"
            )
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
            written = io.BytesIO()
            image.save(written, "WEBP", quality=_QUALITY, method=1)
            return written.getvalue()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
