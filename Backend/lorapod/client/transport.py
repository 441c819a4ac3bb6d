"""Requests to an endpoint: size limits, retries, and errors that say what happened."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http.client import responses
from typing import Any
from urllib.parse import urlencode, urlsplit

from lorapod.client.errors import (
    Busy,
    EndpointError,
    EndpointUnreachable,
    JobNotFound,
    RequestTooLarge,
    Unauthorized,
    WrongUrl,
)
from lorapod.client.http import ConnectFailed, ConnectionBroken, HttpAnswer
from lorapod.client.retrying import RetryPolicy, retry_async
from lorapod.client.runtime import Runtime

_SHOWN_CHARACTERS = 200

#: Paths whose requests name no job, so that 404 means the endpoint.
_NEW_JOBS = frozenset({"/run", "/runsync"})


class Transport:
    """The requests to one endpoint."""

    def __init__(self, url: str, api_key: str | None, *, runtime: Runtime, retries: RetryPolicy) -> None:
        try:
            parsed = urlsplit(url.rstrip("/"))
        except ValueError as error:
            raise WrongUrl(f"The endpoint's URL cannot be read: {error}.") from None
        if parsed.scheme not in {"http", "https"} or not parsed.hostname:
            raise WrongUrl("The endpoint's URL begins with https:// (or http:// on this machine).")
        if parsed.username is not None:
            raise WrongUrl("The endpoint's URL holds no password: give the key as api_key.")
        #: Without the key, fit to be shown.
        self.url = parsed.geturl()
        self._key = api_key
        self._retries = retries
        self._runtime = runtime

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at `path`.

        Raises:
            EndpointError: the endpoint did not answer with one.
        """
        return await self._with_retries("GET", path, body=None, params={}, wait_s=0.0, repeatable=True)

    async def post(
        self,
        path: str,
        fields: Mapping[str, Any],
        *,
        limit_bytes: int | None = None,
        params: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
        repeatable: bool,
    ) -> dict[str, Any]:
        """Send `fields` and return the JSON object that the endpoint answers.

        Args:
            path: below the endpoint's URL.
            fields: the body.
            limit_bytes: the largest body that the endpoint accepts there.
            params: the query.
            wait_s: how long the endpoint was asked to wait before it answers.
            repeatable: whether to send it again if the first attempt may have had its effect.

        Raises:
            EndpointError: the endpoint did not answer with one.
        """
        body = json.dumps(fields, separators=(",", ":")).encode()
        if limit_bytes is not None and len(body) > limit_bytes:
            raise RequestTooLarge(
                f"The request has {len(body)} bytes; {path} takes {limit_bytes}.",
                hint="Send files in batches, large ones in parts: upload_dataset does both.",
            )
        return await self._with_retries(
            "POST", path, body=body, params=params or {}, wait_s=wait_s, repeatable=repeatable
        )

    async def _with_retries(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None,
        params: Mapping[str, str],
        wait_s: float,
        repeatable: bool,
    ) -> dict[str, Any]:
        return await retry_async(
            lambda: self._once(method, path, body, params, wait_s, repeatable=repeatable),
            self._retries,
            self._runtime.sleep,
        )

    async def _once(
        self,
        method: str,
        path: str,
        body: bytes | None,
        params: Mapping[str, str],
        wait_s: float,
        *,
        repeatable: bool,
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self.url}{path}" + (f"?{urlencode(params)}" if params else "")
        try:
            answer = await self._runtime.send(method, url, headers=headers, body=body, wait_s=wait_s)
        except ConnectFailed as error:
            raise EndpointUnreachable(
                f"Cannot connect to {self.url}: {self._shown(str(error))}.",
                hint="Check the URL, and whether the endpoint runs.",
            ) from error
        except ConnectionBroken as error:
            reason = f"The connection to {self.url} broke off ({error})."
            if repeatable:
                raise EndpointUnreachable(reason) from error
            raise EndpointError(
                reason, hint="The request may have had its effect: look before you send it again."
            ) from error
        return self._read(path, answer, repeatable=repeatable)

    def _read(self, path: str, response: HttpAnswer, *, repeatable: bool) -> dict[str, Any]:
        if response.is_success:
            try:
                answer = json.loads(response.body)
            except ValueError as error:
                raise EndpointError(f"{self.url} answered something other than JSON.") from error
            if not isinstance(answer, dict):
                raise EndpointError(f"{self.url} answered something other than a JSON object.")
            return answer
        reason = self._shown(_reason(response))
        match response.status:
            case 401 | 403:
                raise Unauthorized(f"The endpoint does not accept the key: {reason}")
            case 404 if path in _NEW_JOBS:
                raise EndpointError(
                    f"There is no endpoint at {self.url}: {reason}",
                    hint="Check the endpoint's id, or the URL.",
                )
            case 404:
                raise JobNotFound(f"The endpoint does not know this job: {reason}")
            case 413:
                raise RequestTooLarge(f"The endpoint refuses the request as too large: {reason}")
            case 429:
                raise Busy(f"The endpoint is busy: {reason}", retry_after_s=_retry_after_s(response))
            case code if code >= 500 and repeatable:
                raise Busy(f"The endpoint failed with status {code}: {reason}")
            case code:
                raise EndpointError(f"The endpoint answered {code}: {reason}")

    def _shown(self, text: str) -> str:
        """Return `text` for a message: shortened, and without the API key."""
        without = text.replace(self._key, "***") if self._key else text
        return without if len(without) <= _SHOWN_CHARACTERS else f"{without[: _SHOWN_CHARACTERS - 3]}..."


def _reason(response: HttpAnswer) -> str:
    reason = responses.get(response.status, str(response.status))
    try:
        answer = json.loads(response.body)
    except ValueError:
        return response.text.strip() or reason
    if isinstance(answer, dict):
        return str(answer.get("error") or answer.get("message") or reason)
    return reason


def _retry_after_s(response: HttpAnswer) -> float | None:
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
