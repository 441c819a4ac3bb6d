"""URLs of models, checked before SwarmUI gets them: it fetches any URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import aiohttp
from pydantic import SecretStr
from yarl import URL

from lorapod import __version__
from lorapod.errors import NotFound, UnsafeUrl, UpstreamError
from lorapod.models.sources import HubFile, parse_source
from lorapod.safety.http_answers import REDIRECTS, reason
from lorapod.safety.urls import (
    MALFORMED,
    CheckedResolver,
    Lookup,
    check_url,
    checked_socket,
    shown_url,
    system_lookup,
    unreachable,
)
from lorapod.setting_groups.models import PUBLIC_HUB
from lorapod.settings import Settings

MAX_REDIRECTS = 5

#: How long each server on the way may take to answer.
ANSWER_S = 30.0


@dataclass(frozen=True, kw_only=True)
class ModelAddresses:
    """Finds the final URL of a model, so that SwarmUI follows no redirect and gets no secret of the worker."""

    hf_endpoint: str = PUBLIC_HUB
    hf_token: SecretStr | None = None
    allow_private: bool = False
    lookup: Lookup = field(default=system_lookup)

    @classmethod
    def from_settings(cls, settings: Settings) -> ModelAddresses:
        """Build with the Hub and the token that `HF_…` name."""
        return cls(
            hf_endpoint=settings.hf_endpoint,
            hf_token=settings.hf_token,
            allow_private=settings.allow_private_urls,
        )

    def plain(self, source: str) -> str:
        """Return the https URL of a source, which is `hf://owner/repository/file` or a URL already.

        Raises:
            InvalidInput: it is neither.
            UnsafeUrl: it is not on the public internet.
        """
        parsed = parse_source(source, allow_private=self.allow_private)
        if isinstance(parsed, HubFile):
            return parsed.address(self.hf_endpoint.rstrip("/"), parsed.revision)
        return parsed.address

    def _may_be_private(self, source: str) -> bool:
        """Return whether private networks may be asked: the operator vouches for a mirror of the Hub."""
        return self.allow_private or (source.startswith("hf://") and self.hf_endpoint != PUBLIC_HUB)

    async def final(self, source: str) -> str:
        """Follow and check every redirect, with the token for gated files of the Hub; return the last URL.

        The Hub redirects to a signed URL, which works for a while without the token.

        Raises:
            UnsafeUrl: it, or a redirect, is not on the public internet.
            NotFound: there is nothing.
            UpstreamError: a server on the way fails or refuses.
        """
        private = self._may_be_private(source)
        first = url = check_url(self.plain(source), allow_private=private)
        async with self._http(private) as http:
            for _ in range(MAX_REDIRECTS + 1):
                try:
                    response = await http.get(url, headers=self._headers(url), allow_redirects=False)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    raise unreachable(url, reason(error)) from error
                # Only the head was wanted.
                response.close()
                if response.status not in REDIRECTS:
                    _refuse_failure(response.status, url)
                    return str(url)
                location = response.headers.get("Location", "")
                try:
                    led = url.join(URL(location, encoded=location.isascii()))
                except MALFORMED:
                    raise UnsafeUrl(f"{shown_url(url)} redirects to a malformed address.") from None
                url = check_url(str(led), allow_private=private)
        raise UnsafeUrl(f"{shown_url(first)} redirects more than {MAX_REDIRECTS} times.")

    def _http(self, private: bool) -> aiohttp.ClientSession:  # noqa: FBT001 - one of two, and its only argument
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self.lookup, allow_private=private),
            use_dns_cache=False,
            socket_factory=partial(checked_socket, allow_private=private),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            headers={"User-Agent": f"lorapod/{__version__}", "Accept-Encoding": "identity"},
        )

    def _headers(self, url: URL) -> dict[str, str]:
        if self.hf_token is None or url.origin() != URL(self.hf_endpoint).origin():
            return {}
        return {"Authorization": f"Bearer {self.hf_token.get_secret_value()}"}


def _refuse_failure(status: int, url: URL) -> None:
    if status in {200, 206}:
        return
    if status in {404, 410}:
        raise NotFound(f"There is nothing at {shown_url(url)} (the server answers {status}).")
    if status in {401, 403}:
        raise UpstreamError(
            f"{shown_url(url)} may not be read (the server answers {status}).",
            hint="A gated model needs HF_TOKEN on the endpoint, and its terms accepted; a signed address expires.",
        )
    raise UpstreamError(f"{shown_url(url)} could not be fetched: the server answers {status}.")
