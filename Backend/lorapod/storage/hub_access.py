"""Open the HuggingFace Hub with its token, and say what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import httpx2  # the client of huggingface_hub, whose errors it passes on
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from pydantic import SecretStr

from lorapod.errors import InvalidInput, NotFound, TooLarge, Unsupported, WorkerError
from lorapod.settings import Settings
from lorapod.storage.fetching import ObjectChanged
from lorapod.storage.port import StoreRefused, StoreUnavailable

#: A repository's card: the only file that the Hub reads before a commit.
CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class HubAccess:
    """The URL of the Hub, and a token; without a token, only public repositories can be read."""

    endpoint: str
    token: SecretStr | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> HubAccess:
        """Return what the settings `HF_…` say.

        Raises:
            Unsupported: `HF_HUB_OFFLINE` is set.
        """
        if settings.hf_hub_offline:
            raise Unsupported(
                "This endpoint does not use the HuggingFace Hub: HF_HUB_OFFLINE is set.",
                hint="Unset HF_HUB_OFFLINE.",
            )
        return cls(endpoint=settings.hf_endpoint.rstrip("/"), token=settings.hf_token)

    def headers(self) -> dict[str, str]:
        """Return the headers of every request. They hold the token: never log them."""
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}


class NoRepository(StoreRefused):
    """The repository does not exist, or the token has no right to see it."""


@contextmanager
def hub_errors(key: str, repo_id: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub and httpx into errors that callers can read."""
    try:
        with _unwrapped():
            yield
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise NoRepository(
            f"There is no repository {repo_id!r} of that revision on the HuggingFace Hub, or the token has no right to see it.",
            hint="Check the name, HF_TOKEN and, for a gated repository, that its terms are accepted.",
        ) from error
    except EntryNotFoundError as error:
        raise missing_file(key, repo_id) from error
    except HFValidationError as error:
        raise InvalidInput(f"{repo_id!r} is not the name of a HuggingFace repository.") from error
    except HfHubHTTPError as error:
        said = str(getattr(error, "server_message", None) or error)
        raise status_error(error.response.status_code, key, repo_id, said) from error
    except json.JSONDecodeError as error:
        # huggingface_hub parses the Hub's answer to a README.md before it checks the status.
        raise StoreUnavailable(
            f"The HuggingFace Hub sent a broken answer for {key!r} of {repo_id!r}."
        ) from error
    except ValueError as error:
        if key != CARD:
            raise
        raise StoreRefused(
            f"The HuggingFace Hub does not accept the metadata in {key!r} of {repo_id!r}."
        ) from error
    except OfflineModeIsEnabled as error:
        raise Unsupported("This endpoint does not use the HuggingFace Hub: HF_HUB_OFFLINE is set.") from error
    # Xet's own client raises Python's ConnectionError.
    except (httpx.HTTPError, httpx2.HTTPError, ConnectionError) as error:
        raise StoreUnavailable(
            f"The HuggingFace Hub did not answer for {key!r} of {repo_id!r} ({type(error).__name__})."
        ) from error


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Raise the cause of the `RuntimeError` in which huggingface_hub wraps a failed upload."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, (HfHubHTTPError, httpx2.HTTPError)):
            raise error.__cause__ from error
        raise


def missing_file(key: str, repo_id: str) -> NotFound:
    """Return the error for a file that does not exist."""
    return NotFound(f"There is no file {key!r} in the HuggingFace repository {repo_id!r}.")


def status_error(status: int, key: str, repo_id: str, said: str = "") -> WorkerError:
    """Return the error that a status other than success means; `said` is the Hub's own sentence."""
    what = f"{key!r} of the HuggingFace repository {repo_id!r}"
    # 409: another commit came in between. 412: as above, with a parent named.
    if status == 416:
        return ObjectChanged(f"The content of {what} changed while it was read (416).")
    if status in {408, 409, 412, 429} or status >= 500:
        return StoreUnavailable(f"The HuggingFace Hub asks to come back later for {what} ({status}).")
    if status == 404:
        return missing_file(key, repo_id)
    if status == 413:
        return TooLarge(f"The HuggingFace Hub does not accept a file of the size of {what}.")
    return _refusal(status, what, said)


def _refusal(status: int, what: str, said: str) -> StoreRefused:
    if status == 402 or (status == 403 and "storage" in said.lower()):
        return StoreRefused(
            f"The HuggingFace Hub has no room for {what}: the storage limit of its owner is reached.",
            hint="Delete files of that owner, or raise the limit at huggingface.co/settings/billing.",
        )
    if status in {401, 403}:
        return StoreRefused(
            f"The HuggingFace Hub refuses access to {what}.",
            hint="Check HF_TOKEN, and that it may write to that repository.",
        )
    return StoreRefused(f"The HuggingFace Hub refuses the request for {what} ({status}).")
