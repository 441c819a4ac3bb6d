"""Of which server a model is asked, and what is shown to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorapod.models.sources import HubFile, WebFile
from lorapod.setting_groups.models import PUBLIC_HUB
from lorapod.settings import Settings
from lorapod.storage.patience import Patience

if TYPE_CHECKING:
    from lorapod.models.hub import HubFacts


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """What is asked of which server."""

    address: str
    #: A token among them, for the server that it is meant for.
    headers: Mapping[str, str]
    allow_private: bool
    #: What the Hub tells of the file, where it is the Hub's.
    facts: HubFacts | None = None


def model_request(source: HubFile | WebFile, settings: Settings) -> ModelRequest:
    """Where a source leads; blocks while the Hub is asked about its file.

    Raises:
        WorkerError: the Hub does not tell.
    """
    if isinstance(source, WebFile):
        return ModelRequest(
            address=source.address,
            headers=_civitai(source.address, settings),
            allow_private=settings.allow_private_urls,
        )
    # Imported here: the Hub's library takes as long as the worker's whole start.
    from lorapod.models.hub import look_up
    from lorapod.storage.hub_access import HubAccess

    access = HubAccess.from_settings(settings)
    facts = look_up(source, access, Patience(total_s=settings.store_patience_s))
    return ModelRequest(
        address=source.address(access.endpoint, facts.commit),
        headers=access.headers(),
        # Who runs the worker has named the mirror.
        allow_private=settings.allow_private_urls or access.endpoint != PUBLIC_HUB,
        facts=facts,
    )


def _civitai(address: str, settings: Settings) -> Mapping[str, str]:
    from yarl import URL

    url = URL(address, encoded=address.isascii())
    host = url.host or ""
    if settings.civitai_token is None or url.scheme != "https":
        return {}
    if host != "civitai.com" and not host.endswith(".civitai.com"):
        return {}
    return {"Authorization": f"Bearer {settings.civitai_token.get_secret_value()}"}
