"""What a file server's answers mean for a download."""

from __future__ import annotations

import email.utils
import re
from datetime import UTC, datetime

import aiohttp

from lorapod.errors import NotFound, UpstreamError
from lorapod.safety.part_file import PartFile, Version

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<total>\d+|\*)")


class TryAgain(Exception):
    """This attempt failed; another may succeed."""

    def __init__(self, why: str, *, after_s: float | None = None) -> None:
        """Say why, in half a sentence, and how many seconds the server asks to wait."""
        super().__init__(why)
        self.after_s = after_s


def check_status(response: aiohttp.ClientResponse, shown: str, *, wait_max_s: float) -> None:
    """Refuse an answer without content; `shown` is the URL without secrets, for errors.

    Raises:
        TryAgain: the server asks for another attempt; it waits at most `wait_max_s`.
        NotFound: it has no such file.
        UpstreamError: it refuses, or sends the content compressed.
    """
    status = response.status
    if status in _LATER:
        raise TryAgain(f"the server answers {status}", after_s=_retry_after(response, wait_max_s))
    if status in (404, 410):
        raise NotFound(f"There is no file at {shown} (the server answers {status}).")
    if status in (401, 403):
        raise UpstreamError(
            f"{shown} may not be read (the server answers {status}).",
            hint="A signed URL may have expired: sign it again.",
        )
    if status not in (200, 206):
        raise UpstreamError(f"{shown} could not be fetched: the server answers {status}.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UpstreamError(f"{shown} is sent compressed, though the request asked for the plain file.")


def continued(response: aiohttp.ClientResponse, part: PartFile, version: Version) -> int | None:
    """Return the size in bytes of the whole file that a partial answer belongs to; None if the server does not say.

    Raises:
        TryAgain: it is another part than requested, or of another content.
    """
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    other = version.etag is not None and part.version.etag is not None and version.etag != part.version.etag
    if match is None or int(match["first"]) != part.size_bytes or other:
        part.restart(Version())
        raise TryAgain("the server answers with another part than requested")
    return None if match["total"] == "*" else int(match["total"])


def reason(error: Exception) -> str:
    """Return what went wrong, in half a sentence and without the URL, which may contain secrets."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate cannot be trusted, or TLS failed"
    if isinstance(error, TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "the server cannot be reached"
    return "the connection broke"


def _retry_after(response: aiohttp.ClientResponse, most_s: float) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), most_s)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), most_s)
