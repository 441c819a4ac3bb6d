"""Events sent to the address that the caller of a training gave."""

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

#: For one answer.
TIMEOUT_S = 10.0
#: A parcel that is under way for so long is handed back; the rest of it comes again.
PARCEL_S = 20.0

SIGNATURE_HEADER = "X-Signature-256"

#: What the receiver says of one event that it will never take, however often it comes.
_REFUSED = frozenset({400, 413, 415, 422})


class CallbackSink:
    """An `EventSink` that POSTs each event, one after the other; redirects are not followed."""

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
        """Open nothing yet.

        Args:
            secret: signs every body; None: nothing is signed.
            allow_private: whether addresses of private networks may be asked.
            patience_s: see `EventSink`.
            lookup: finds the addresses of hosts.
        """
        self.patience_s = patience_s
        self._secret = secret
        self._allow_private = allow_private
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None

    def wants(self, callback: Callback | None) -> bool:
        """Those whose callers gave an address."""
        return callback is not None

    async def deliver(self, parcel: Parcel) -> int:
        """POST in order, up to the first that is not answered with success.

        Raises:
            SinkUnavailable: the receiver is away, refuses, or may not be asked.
        """
        assert parcel.callback is not None, "it wants no other"
        if parcel.callback.locked:
            raise SinkUnavailable(
                "the callback's token is known to another worker only; `resume` with callback_token tells it anew"
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
            async with self._opened().post(
                url, data=body, headers=self._headers(callback, event, body), allow_redirects=False
            ) as answer:
                status = answer.status
        except UnsafeUrl as error:
            raise SinkUnavailable("the callback's address is not on the public internet") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SinkUnavailable(f"the callback: {reason(error)}") from error
        if status in _REFUSED:
            logger.warning(
                "callback refuses an event",
                extra={"process_id": event.process_id, "event_id": event.event_id, "status": status},
            )
        elif not 200 <= status < 300:
            raise SinkUnavailable(f"the callback answers {status}")

    def _opened(self) -> aiohttp.ClientSession:
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
    """HMAC-SHA256 of a body, as the header has it."""
    return f"sha256={hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).hexdigest()}"
