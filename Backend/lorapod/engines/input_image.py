"""Input images: from base64, a data URI or a URL to a file that is a whole image."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from pathlib import Path

from lorapod.datasets.base64_content import decoded, decoded_size_bytes
from lorapod.errors import InvalidInput, TooLarge
from lorapod.safety.fetch import Fetcher, FetchLimits
from lorapod.safety.images import suffix_by_content, verify

#: Largest input image: 64 million pixels as PNG are rarely more.
MAX_BYTES = 100_000_000

#: An input image has to come while its caller waits.
FETCH_LIMITS = FetchLimits(max_bytes=MAX_BYTES, keep_free_bytes=0, idle_s=20, total_s=120, attempts=3)

_NAME = "image"


async def fetch_input_image(text: str, folder: Path, *, allow_private: bool) -> Path:
    """Fetch or decode an input image into a new folder below `folder`, which the caller removes.

    Args:
        text: base64, a data URI, or an http(s) URL.
        folder: on local disk.
        allow_private: whether URLs in private networks may be fetched.

    Raises:
        InvalidInput: it is not an image that can be read.
        TooLarge: it has too many bytes or pixels.
        WorkerError: it cannot be fetched.
        OSError: the disk failed.
    """
    own = folder / secrets.token_hex(8)
    target = own / _NAME
    try:
        await asyncio.to_thread(own.mkdir, parents=True)
        if text[:8].lower().startswith(("http://", "https://")):
            async with Fetcher(allow_private=allow_private, limits=FETCH_LIMITS) as fetcher:
                await fetcher.fetch(text, target)
        else:
            await asyncio.to_thread(_write, text, target)
        return await asyncio.to_thread(_verified, target)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
        raise


def _write(text: str, target: Path) -> None:
    if decoded_size_bytes(text) > MAX_BYTES:
        raise TooLarge(f"{_NAME}: {MAX_BYTES} bytes are the most.")
    with target.open("wb") as file:
        for piece in decoded(text, name=_NAME):
            file.write(piece)


def _verified(path: Path) -> Path:
    suffix = suffix_by_content(path)
    if suffix is None:
        raise InvalidInput(f"{_NAME}: is not an image.", hint="Send JPEG, PNG or WebP.")
    named = path.rename(path.with_suffix(suffix))
    verify(named, name=named.name)
    return named
