"""Where a request wants its events."""

from __future__ import annotations

from pydantic import SecretStr

from lorapod.actions.services import Services
from lorapod.errors import InvalidInput
from lorapod.processes.order import SealedCallback
from lorapod.safety.urls import check_url


def wanted_callback(url: str | None, token: SecretStr | None, services: Services) -> SealedCallback | None:
    """The callback as an order keeps it; None where the request has none.

    Raises:
        InvalidInput: there is a token for no address.
        UnsafeUrl: the address is malformed, or not one of the public internet.
    """
    if url is None:
        if token is not None:
            raise InvalidInput("callback_token: there is no callback_url that it could go to.")
        return None
    check_url(url, allow_private=services.settings.allow_private_urls)
    return services.courier.seal(url, token)


def callback_below(base_url: str | None, services: Services) -> str | None:
    """The callback of a job that names only its site: with `CALLBACK_PATH` behind it; None where one is missing."""
    path = services.settings.callback_path
    return None if base_url is None or path is None else f"{base_url.rstrip('/')}/{path.lstrip('/')}"
