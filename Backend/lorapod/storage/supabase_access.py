"""What opens a Supabase project's Storage, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr
from storage3.exceptions import StorageApiError

from lorapod.errors import InvalidInput, NotFound, TooLarge, WorkerError
from lorapod.settings import Settings
from lorapod.storage.port import StoreRefused, StoreUnavailable


@dataclass(frozen=True, kw_only=True)
class SupabaseAccess:
    """The project and its service key."""

    url: str
    service_key: SecretStr

    @classmethod
    def from_settings(cls, settings: Settings) -> SupabaseAccess:
        """What `SUPABASE_…` say.

        Raises:
            InvalidInput: they are not set, or are not an address.
        """
        if settings.supabase_url is None or settings.supabase_service_key is None:
            raise InvalidInput(
                "This endpoint has no Supabase credentials.",
                hint="Set SUPABASE_URL and SUPABASE_SERVICE_KEY on the endpoint.",
            )
        split = urlsplit(settings.supabase_url)
        if split.scheme not in {"http", "https"} or not split.hostname:
            raise InvalidInput("SUPABASE_URL is not an http or https address.")
        return cls(url=settings.supabase_url.rstrip("/"), service_key=settings.supabase_service_key)

    @property
    def storage_url(self) -> str:
        """Where Storage answers."""
        return f"{self.url}/storage/v1"

    def headers(self) -> dict[str, str]:
        """What every request carries. Holds the key: never to be logged."""
        key = self.service_key.get_secret_value()
        return {"Authorization": f"Bearer {key}", "apikey": key}


@contextmanager
def supabase_errors(key: str, bucket: str) -> Iterator[None]:
    """Say what goes wrong as callers can read it."""
    try:
        yield
    except StorageApiError as error:
        raise _answered(str(error.status), error.code, key, bucket) from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise StoreUnavailable(
            f"Supabase Storage did not answer for the object {key!r} ({type(error).__name__}).",
            hint="Try again; if it stays so, check SUPABASE_URL.",
        ) from error


def refuse_failure(response: httpx.Response, key: str, bucket: str) -> None:
    """Raise what a response says went wrong; its body must have been read where it is no success.

    The status on the wire is 400 for nearly everything: the real one stands in the body.
    """
    if response.is_success:
        return
    status, code = str(response.status_code), "unknown"
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        status, code = str(body.get("statusCode", status)), str(body.get("error", code))
    raise _answered(status, code, key, bucket)


def _answered(status: str, code: str, key: str, bucket: str) -> WorkerError:
    what = f"the object {key!r} in the Supabase bucket {bucket!r}"
    if status == "429" or status.startswith("5") or status == "423":
        return StoreUnavailable(f"Supabase Storage asks to come back later for {what} ({status}).")
    if code in {"Bucket not found", "NoSuchBucket"}:
        return StoreRefused(f"There is no Supabase bucket {bucket!r}.", hint="Make it, or check the name.")
    return _by_status(status, code, what)


def _by_status(status: str, code: str, what: str) -> WorkerError:
    if status == "404":
        return NotFound(f"There is no {what.removeprefix('the ')}.")
    if status == "413":
        return TooLarge(
            f"Supabase Storage takes no file of the size of {what}.",
            hint="Raise the upload size limit of the project and of the bucket.",
        )
    if code == "InvalidKey":
        return InvalidInput(
            f"Supabase Storage does not take the name of {what}.", hint="Use plain Latin letters and digits."
        )
    if status in {"401", "403"} or code in {"Unauthorized", "InvalidJWT", "AccessDenied"}:
        return StoreRefused(
            f"Supabase Storage refuses access to {what}.",
            hint="Check SUPABASE_SERVICE_KEY and that it belongs to SUPABASE_URL.",
        )
    return StoreRefused(f"Supabase Storage refuses the request for {what} ({status}).")
