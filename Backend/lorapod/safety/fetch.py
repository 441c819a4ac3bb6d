"""Download a file from a URL that a caller gave; no other code does that.

Built on aiohttp rather than on `runpod.serverless.utils.rp_ssrf`, which has the same purpose: that one downloads in
one piece, cannot resume after a broken connection nor be stopped within a second, takes its limits from the
environment, shows whole URLs with their signatures in its errors, and needs the import of the SDK. Here every socket
is made by a factory that checks the IP address it will be connected to, so neither a redirect nor a changed name gets
past it. Proxies of the environment are not used: a proxy would hide the IP address.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import stamina
from yarl import URL

from lorapod import __version__
from lorapod.errors import InsufficientStorage, NotFound, TooLarge, UnsafeUrl, WorkerTimeout
from lorapod.safety.http_answers import REDIRECTS, TryAgain, check_status, continued, reason
from lorapod.safety.part_file import DiskBudget, PartFile, Version
from lorapod.safety.urls import (
    MALFORMED,
    Lookup,
    check_url,
    checked_connector,
    shown_url,
    system_lookup,
    unreachable,
)
from lorapod.thread_pools import FILES

MAX_REDIRECTS = 5

_CHUNK_BYTES = 1 << 20

#: After a connection that brought at least this much, the next one is tried at once, and no failure is counted.
_WORTHWHILE_BYTES = 64 << 10

#: Called with the bytes that have arrived, and those of the whole if known.
Progress = Callable[[int, int | None], None]

#: Called with the file's name as the server gives it, if it does, before any bytes are stored.
Named = Callable[[str | None], None]


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """Limits of one download: bytes, seconds, attempts."""

    max_bytes: int = 50_000_000_000
    keep_free_bytes: int = 1_000_000_000
    connect_s: float = 15
    #: Longest time without a byte.
    idle_s: float = 60
    total_s: float = 6 * 3600
    #: Attempts in a row that bring nothing.
    attempts: int = 6
    #: Longest wait that a server may ask for.
    retry_after_max_s: float = 120


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that was downloaded completely."""

    size_bytes: int
    #: Hexadecimal.
    sha256: str
    version: Version


class Fetcher:
    """Downloads files over http and https; used inside `async with`, for any number of files."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        limits: FetchLimits | None = None,
        lookup: Lookup = system_lookup,
    ) -> None:
        """Open nothing yet; `lookup` finds the IP addresses of hosts."""
        self._allow_private = allow_private
        self._limits = limits or FetchLimits()
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the HTTP session."""
        limits = self._limits
        self._session = aiohttp.ClientSession(
            connector=checked_connector(allow_private=self._allow_private, lookup=self._lookup),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_CHUNK_BYTES,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_s, sock_read=limits.idle_s),
            headers={"User-Agent": f"lorapod/{__version__}", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(
        self,
        address: str,
        target: Path,
        *,
        known: Version | None = None,
        headers: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        named: Named | None = None,
    ) -> Fetched | None:
        """Download one file; return None if it is still the `known` version.

        Until the file is complete, its bytes are in another file beside `target`. They stay there after a cancellation
        or a failure of the server, and the next call resumes from them if the server can.

        Args:
            address: http or https; it may contain credentials.
            target: where the file will be.
            known: the version that an earlier fetch of the same URL returned.
            headers: sent only to the URL's own origin, not to where it redirects.
            progress: see `Progress`; what it raises ends the fetch.
            named: see `Named`; what it raises ends the fetch.

        Raises:
            UnsafeUrl: this worker may not fetch the URL, or one that it redirects to.
            TooLarge: it is larger than allowed; nothing is kept.
            InsufficientStorage: the disk is too full; nothing is kept.
            NotFound: the server has no such file.
            UpstreamError: the server fails, or refuses.
            WorkerTimeout: it took longer than allowed in all.
            OSError: the disk failed.
        """
        url = check_url(address, allow_private=self._allow_private)
        room = DiskBudget(max_bytes=self._limits.max_bytes, keep_free_bytes=self._limits.keep_free_bytes)
        part = PartFile(target, hashlib.sha256(address.encode()).hexdigest(), room)
        try:
            async with asyncio.timeout(self._limits.total_s):
                await FILES.run(part.open)
                return await self._persist(_Transfer(url, part, known, headers or {}, progress, named))
        except TimeoutError:
            raise WorkerTimeout(
                f"{shown_url(url)} was not fetched within {self._limits.total_s:.0f} s.",
                hint="Send the request again: it resumes from what has arrived.",
            ) from None
        except (TooLarge, InsufficientStorage, UnsafeUrl, NotFound):
            part.discard()
            raise
        finally:
            part.close()

    async def _persist(self, transfer: _Transfer) -> Fetched | None:
        """Try until the file is complete, the attempts are used up, or another attempt cannot help."""

        def wait(error: Exception) -> bool | float:
            if not isinstance(error, TryAgain):
                return False
            return True if error.after_s is None else error.after_s

        try:
            async for attempt in stamina.retry_context(
                on=wait, attempts=self._limits.attempts, timeout=None, wait_initial=0.5, wait_max=30
            ):
                with attempt:
                    return await self._try_while_it_grows(transfer)
        except TryAgain as error:
            raise unreachable(transfer.url, str(error)) from error
        raise AssertionError("a retry ends with a result or an error")

    async def _try_while_it_grows(self, transfer: _Transfer) -> Fetched | None:
        """Try, and try again at once as long as each attempt brings enough bytes."""
        best_bytes = transfer.part.size_bytes
        while True:
            try:
                return await self._try(transfer)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if isinstance(error, OSError) and not isinstance(
                    error, (aiohttp.ClientError, ConnectionError, TimeoutError)
                ):
                    raise
                if transfer.part.size_bytes < best_bytes + _WORTHWHILE_BYTES:
                    raise TryAgain(reason(error)) from error
                best_bytes = transfer.part.size_bytes

    async def _try(self, transfer: _Transfer) -> Fetched | None:
        part = transfer.part
        async with await self._ask(transfer) as response:
            if response.status == 304 and transfer.known:
                return None
            if response.status == 416:
                # What has arrived is not the beginning of what the server has now.
                part.restart(Version())
                raise TryAgain("the file on the server has changed")
            check_status(response, shown_url(transfer.url), wait_max_s=self._limits.retry_after_max_s)
            if transfer.named is not None:
                transfer.named(
                    response.content_disposition.filename if response.content_disposition else None
                )
            version = Version(
                etag=response.headers.get("ETag"), last_modified=response.headers.get("Last-Modified")
            )
            total_bytes = response.content_length
            if response.status == 206:
                total_bytes = continued(response, part, version)
            else:
                part.restart(version)
            part.expect(total_bytes)
            transfer.tell(total_bytes)
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                await FILES.run(part.write, chunk)
                transfer.tell(total_bytes)
            if total_bytes is not None and part.size_bytes != total_bytes:
                raise aiohttp.ClientPayloadError("the connection ended early")
            if not part.intact:
                part.restart(Version())
                raise TryAgain("another worker wrote to the same file")
            size_bytes, version = part.size_bytes, part.version
            return Fetched(size_bytes=size_bytes, sha256=part.finish(), version=version)

    async def _ask(self, transfer: _Transfer) -> aiohttp.ClientResponse:
        """Return the response to the URL; follow redirects and check each as the first URL."""
        assert self._session is not None, "a fetcher is used inside its async with statement"
        url = transfer.url
        for _ in range(MAX_REDIRECTS + 1):
            own = transfer.headers if url.origin() == transfer.url.origin() else {}
            response = await self._session.get(
                url, headers={**own, **transfer.conditions()}, allow_redirects=False
            )
            if response.status not in REDIRECTS:
                return response
            location = response.headers.get("Location", "")
            response.release()
            try:
                led = url.join(URL(location, encoded=location.isascii()))
            except MALFORMED:
                raise UnsafeUrl(f"{shown_url(url)} redirects to a malformed URL.") from None
            url = check_url(str(led), allow_private=self._allow_private)
        raise UnsafeUrl(f"{shown_url(transfer.url)} redirects more than {MAX_REDIRECTS} times.")


@dataclass(frozen=True)
class _Transfer:
    """One download."""

    url: URL
    part: PartFile
    known: Version | None
    headers: Mapping[str, str]
    progress: Progress | None
    named: Named | None

    def conditions(self) -> dict[str, str]:
        """Return headers that ask for the missing rest, or for the file only if it has changed."""
        if self.part.size_bytes and (same := self.part.version.if_range):
            return {"Range": f"bytes={self.part.size_bytes}-", "If-Range": same}
        conditions = {}
        if self.known and self.known.etag:
            conditions["If-None-Match"] = self.known.etag
        elif self.known and self.known.last_modified:
            conditions["If-Modified-Since"] = self.known.last_modified
        return conditions

    def tell(self, total_bytes: int | None) -> None:
        """Report the progress."""
        if self.progress is not None:
            self.progress(self.part.size_bytes, total_bytes)
