"""The callback of a request: where its events go."""

from __future__ import annotations

from pydantic import SecretStr

from lorapod.errors import InvalidInput
from lorapod.events.courier import Courier
from lorapod.processes.order import SealedCallback
from lorapod.safety.urls import check_url
from lorapod.settings import Settings


def wanted_callback(
    url: str | None, token: SecretStr | None, *, settings: Settings, courier: Courier
) -> SealedCallback | None:
    """Return the callback as an order stores it; None if the request has none.

    Raises:
        InvalidInput: there is a token without a URL.
        UnsafeUrl: the URL is malformed, or not on the public internet.
    """
    if url is None:
        if token is not None:
            raise InvalidInput("callback_token: give a callback_url, too; the token is sent to it.")
        return None
    check_url(url, allow_private=settings.allow_private_urls)
    return courier.seal(url, token)


def callback_below(base_url: str | None, settings: Settings) -> str | None:
    """Return the callback of a job that names only a base URL, with `CALLBACK_PATH`; None if either is missing."""
    path = settings.callback_path
    return None if base_url is None or path is None else f"{base_url.rstrip('/')}/{path.lstrip('/')}"
