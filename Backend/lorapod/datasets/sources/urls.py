"""Files by their URLs: images, captions, zips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from yarl import URL

from lorapod.datasets.sources.port import FetchedFile, Progress, RemoteFile
from lorapod.safety.fetch import Fetcher
from lorapod.safety.part_file import Version
from lorapod.safety.urls import check_url

#: Query parameters that change each time a URL is signed, while the file stays the same.
_SIGNATURES = ("x-amz-", "x-goog-", "awsaccesskeyid", "signature", "expires", "key-pair-id", "policy")


class UrlSource:
    """A `lorapod.datasets.sources.port.Source` of URLs."""

    def __init__(self, addresses: Sequence[str], fetcher: Fetcher, *, allow_private: bool) -> None:
        """Fetch each URL through an open fetcher, once even if it is listed twice.

        Raises:
            UnsafeUrl: this worker may not fetch one of them.
        """
        self._fetcher = fetcher
        self._addresses: dict[str, str] = {}
        self._files: list[RemoteFile] = []
        for address in addresses:
            url = check_url(address, allow_private=allow_private)
            key = url_key(url)
            if key not in self._addresses:
                self._addresses[key] = address
                # An encoded slash or backslash is part of a name, not a separator.
                parts = (
                    unquote(part, errors="replace").replace("/", "_").replace("\\", "_")
                    for part in url.raw_path.split("/")
                )
                self._files.append(RemoteFile(key=key, path="/".join(parts)))

    async def files(self) -> Sequence[RemoteFile]:
        """Return one file for each URL."""
        return self._files

    @property
    def left_out(self) -> Sequence[str]:
        """Return nothing: what a URL leads to is known only when it is there."""
        return ()

    async def fetch(
        self, file: RemoteFile, target: Path, *, known: Version | None, progress: Progress
    ) -> FetchedFile | None:
        """Fetch it; see `lorapod.safety.fetch`."""
        names: list[str | None] = []
        fetched = await self._fetcher.fetch(
            self._addresses[file.key], target, known=known, progress=progress, named=names.append
        )
        if fetched is None:
            return None
        return FetchedFile(sha256=fetched.sha256, version=fetched.version, name=names[-1] if names else None)


def url_key(url: URL) -> str:
    """Return the URL without credentials, signature and fragment: the same however it is signed."""
    pairs = [
        pair for pair in url.raw_query_string.split("&") if pair and not pair.lower().startswith(_SIGNATURES)
    ]
    bare = url.with_user(None).with_query(None).with_fragment(None)
    return f"{bare}?{'&'.join(pairs)}" if pairs else str(bare)
