"""Open a Supabase project's Storage with its key, and say what its answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from pydantic import SecretStr
from storage3.exceptions import StorageApiError

from lorapod.errors import InvalidInput, NotFound, TooLarge, WorkerError
from lorapod.settings import Settings
from lorapod.storage.fetching import ObjectChanged
from lorapod.storage.port import StoreRefused, StoreUnavailable
from lorapod.web_url import is_web_url


@dataclass(frozen=True, kw_only=True)
class SupabaseAccess:
    """The project and its service key."""

    url: str
    service_key: SecretStr

    @classmethod
    def from_settings(cls, settings: Settings) -> SupabaseAccess:
        """Return what the settings `SUPABASE_URL` and `SUPABASE_SERVICE_KEY` say.

        Raises:
            InvalidInput: they are not set, or the first is not a URL.
        """
        if settings.supabase_url is None or settings.supabase_service_key is None:
            raise InvalidInput(
                "This endpoint has no Supabase credentials.",
                hint="Set SUPABASE_URL and SUPABASE_SERVICE_KEY on the endpoint.",
            )
        if not is_web_url(settings.supabase_url):
            raise InvalidInput("SUPABASE_URL is not an http or https URL.")
        return cls(url=settings.supabase_url.rstrip("/"), service_key=settings.supabase_service_key)

    @property
    def storage_url(self) -> str:
        """The URL of the Storage API."""
        return f"{self.url}/storage/v1"

    def headers(self) -> dict[str, str]:
        """Return the headers of every request. They hold the key: never log them."""
        key = self.service_key.get_secret_value()
        return {"Authorization": f"Bearer {key}", "apikey": key}


@contextmanager
def supabase_errors(key: str, bucket: str) -> Iterator[None]:
    """Turn the errors of storage3 and httpx into errors that callers can read."""
    try:
        yield
    except StorageApiError as error:
        raise _refusal(str(error.status), error.code, error.message, key, bucket) from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise StoreUnavailable(
            f"Supabase Storage did not answer for the object {key!r} ({type(error).__name__}).",
            hint="Try again; if it stays so, check SUPABASE_URL.",
        ) from error


def refuse_failure(response: httpx.Response, key: str, bucket: str) -> None:
    """Raise what a response says went wrong; the body of a failure must have been read.

    The status on the wire is 400 for nearly everything, with the real one in a JSON body. The resumable endpoint sends
    the real status, and plain text.
    """
    if response.is_success:
        return
    status, code, text = str(response.status_code), "", response.text.strip()
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        status, code = str(body.get("statusCode", status)), str(body.get("error", code))
        text = str(body.get("message", ""))
    raise _refusal(status, code, text, key, bucket)


def _refusal(status: str, code: str, text: str, key: str, bucket: str) -> WorkerError:
    what = f"the object {key!r} in the Supabase bucket {bucket!r}"
    if status == "416":
        return ObjectChanged(f"The content of {what} changed while it was read (416).")
    if status in {"423", "429"} or status.startswith("5"):
        return StoreUnavailable(f"Supabase Storage asks to come back later for {what} ({status}).")
    if code in {"Bucket not found", "NoSuchBucket"} or text == "Bucket not found":
        return StoreRefused(f"There is no Supabase bucket {bucket!r}.", hint="Make it, or check the name.")
    if code == "InvalidKey" or text.startswith("Invalid key"):
        return InvalidInput(
            f"Supabase Storage does not accept the name of {what}.",
            hint="Use plain Latin letters and digits, and fewer than 1,024 characters with the folder.",
        )
    return _by_status(status, code, what)


def _by_status(status: str, code: str, what: str) -> WorkerError:
    if status == "404":
        return NotFound(f"There is no {what.removeprefix('the ')}.")
    if status == "413":
        return TooLarge(
            f"Supabase Storage does not accept a file of the size of {what}.",
            hint="Raise the upload size limit of the project and of the bucket.",
        )
    if status == "415":
        return StoreRefused(
            f"Supabase Storage does not accept the content type of {what}.",
            hint="Allow it in the MIME types of the bucket.",
        )
    if status == "409":
        return StoreRefused(
            f"Supabase Storage does not replace {what}, which already exists.",
            hint="Let the service key replace objects in that bucket, or name another folder.",
        )
    if status in {"401", "403"} or code in {"Unauthorized", "InvalidJWT", "AccessDenied"}:
        return StoreRefused(
            f"Supabase Storage refuses access to {what}.",
            hint="Check SUPABASE_SERVICE_KEY and that it belongs to SUPABASE_URL.",
        )
    return StoreRefused(f"Supabase Storage refuses the request for {what} ({status}).")
