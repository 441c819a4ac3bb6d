"""What opens the HuggingFace Hub, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import httpx2  # what huggingface_hub speaks through: its errors come up as they are
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

#: A repository's card: the one file that the Hub reads before it is committed.
CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class HubAccess:
    """The Hub's address and a token; without one, public repositories can be read."""

    endpoint: str
    token: SecretStr | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> HubAccess:
        """What `HF_…` say.

        Raises:
            Unsupported: `HF_HUB_OFFLINE` is set.
        """
        if settings.hf_hub_offline:
            raise Unsupported("This endpoint never asks the HuggingFace Hub.", hint="Unset HF_HUB_OFFLINE.")
        return cls(endpoint=settings.hf_endpoint.rstrip("/"), token=settings.hf_token)

    def headers(self) -> dict[str, str]:
        """What a request carries. Holds the token: never to be logged."""
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}


class NoRepository(StoreRefused):
    """There is no such repository, or the token may not see it."""


@contextmanager
def hub_errors(key: str, repo_id: str) -> Iterator[None]:
    """Say what goes wrong as callers can read it."""
    try:
        with _unwrapped():
            yield
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise NoRepository(
            f"There is no repository {repo_id!r} of that revision on the HuggingFace Hub, or the token may not see it.",
            hint="Check the name, HF_TOKEN and, for a gated repository, that its terms are accepted.",
        ) from error
    except EntryNotFoundError as error:
        raise missing_file(key, repo_id) from error
    except HFValidationError as error:
        raise InvalidInput(f"{repo_id!r} is not the name of a HuggingFace repository.") from error
    except HfHubHTTPError as error:
        raise status_error(error.response.status_code, key, repo_id) from error
    except json.JSONDecodeError as error:
        # huggingface_hub reads what the Hub says of a README.md before it looks at the status.
        raise StoreUnavailable(
            f"The HuggingFace Hub did not answer sensibly for {key!r} of {repo_id!r}."
        ) from error
    except ValueError as error:
        if key != CARD:
            raise
        raise StoreRefused(
            f"The HuggingFace Hub does not take the metadata in {key!r} of {repo_id!r}."
        ) from error
    except OfflineModeIsEnabled as error:
        raise Unsupported("This endpoint never asks the HuggingFace Hub.") from error
    # Xet's own client raises Python's ConnectionError.
    except (httpx.HTTPError, httpx2.HTTPError, ConnectionError) as error:
        raise StoreUnavailable(
            f"The HuggingFace Hub did not answer for {key!r} of {repo_id!r} ({type(error).__name__})."
        ) from error


@contextmanager
def _unwrapped() -> Iterator[None]:
    """huggingface_hub hides why a large file did not go up behind a `RuntimeError`."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, (HfHubHTTPError, httpx2.HTTPError)):
            raise error.__cause__ from error
        raise


def missing_file(key: str, repo_id: str) -> NotFound:
    """The error for a file that is not there."""
    return NotFound(f"There is no file {key!r} in the HuggingFace repository {repo_id!r}.")


def status_error(status: int, key: str, repo_id: str) -> WorkerError:
    """What a status other than success means."""
    what = f"{key!r} of the HuggingFace repository {repo_id!r}"
    # 409: another commit came in between. 412: as above, with a parent named.
    if status == 416:
        return ObjectChanged(
            f"Meanwhile somebody changed {what}: it ends before the part that was asked for."
        )
    if status in {408, 409, 412, 429} or status >= 500:
        return StoreUnavailable(f"The HuggingFace Hub asks to come back later for {what} ({status}).")
    if status == 404:
        return missing_file(key, repo_id)
    if status == 413:
        return TooLarge(f"The HuggingFace Hub takes no file of the size of {what}.")
    if status in {401, 403}:
        return StoreRefused(
            f"The HuggingFace Hub refuses access to {what}.",
            hint="Check HF_TOKEN, and that it may write to that repository.",
        )
    return StoreRefused(f"The HuggingFace Hub refuses the request for {what} ({status}).")
