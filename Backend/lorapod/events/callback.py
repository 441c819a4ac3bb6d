"""POST events to the URL that the caller of a training gave."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time

import aiohttp
from pydantic import SecretStr

from lorapod import __version__
from lorapod.errors import UnsafeUrl
from lorapod.events.models import Event
from lorapod.events.port import Callback, Parcel, SinkUnavailable
from lorapod.safety.http_answers import reason
from lorapod.safety.urls import Lookup, check_url, checked_connector, system_lookup

logger = logging.getLogger(__name__)

#: For one request.
TIMEOUT_S = 10.0
#: A parcel that takes longer is ended early; the rest of it is delivered later.
PARCEL_S = 20.0

SIGNATURE_HEADER = "X-Signature-256"

#: Statuses by which a receiver refuses one event for good.
_REFUSED = frozenset({400, 413, 415, 422})


class CallbackSink:
    """An `EventSink` that POSTs events one after the other; redirects are not followed."""

    name = "callback"
    durable = True

    def __init__(
        self,
        *,
        secret: SecretStr | None = None,
        allow_private: bool = False,
        patience_s: float | None = None,
        lookup: Lookup = system_lookup,
    ) -> None:
        """Open no connection yet.

        Args:
            secret: the key that signs every body; None: bodies are not signed.
            allow_private: whether URLs in private networks are allowed.
            patience_s: see `EventSink`.
            lookup: resolves host names.
        """
        self.patience_s = patience_s
        self._secret = secret
        self._allow_private = allow_private
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None

    def wants(self, callback: Callback | None) -> bool:
        """Return whether the caller gave a URL."""
        return callback is not None

    async def deliver(self, parcel: Parcel) -> int:
        """POST events in order, up to the first that fails.

        Raises:
            SinkUnavailable: the receiver does not answer, refuses, or is not allowed.
        """
        assert parcel.callback is not None, "see `wants`"
        if parcel.callback.locked:
            raise SinkUnavailable(
                "this worker cannot decrypt the callback's token; send callback_token again with `resume`"
            )
        until_s = time.monotonic() + PARCEL_S
        for delivered, event in enumerate(parcel.events):
            if delivered and time.monotonic() > until_s:
                return delivered
            try:
                await self._post(parcel.callback, event)
            except SinkUnavailable:
                if delivered:
                    return delivered
                raise
        return len(parcel.events)

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, callback: Callback, event: Event) -> None:
        body = event.body()
        try:
            url = check_url(callback.url, allow_private=self._allow_private)
            async with self._opened_session().post(
                url, data=body, headers=self._headers(callback, event, body), allow_redirects=False
            ) as answer:
                status = answer.status
        except UnsafeUrl as error:
            raise SinkUnavailable("the callback's URL is not on the public internet") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SinkUnavailable(f"the callback: {reason(error)}") from error
        if status in _REFUSED:
            logger.warning(
                "callback refuses an event",
                extra={"process_id": event.process_id, "event_id": event.event_id, "status": status},
            )
        elif not 200 <= status < 300:
            raise SinkUnavailable(f"the callback answers {status}")

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=checked_connector(allow_private=self._allow_private, lookup=self._lookup),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                headers={"User-Agent": f"lorapod/{__version__}"},
            )
        return self._session

    def _headers(self, callback: Callback, event: Event, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "X-Event-Id": event.event_id,
            "X-Event-Type": event.event_type.value,
        }
        if callback.token is not None:
            headers["Authorization"] = f"Bearer {callback.token.get_secret_value()}"
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = signature(self._secret, body)
        return headers


def signature(secret: SecretStr, body: bytes) -> str:
    """Return the HMAC-SHA256 of a body, as the signature header has it."""
    return f"sha256={hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).hexdigest()}"
