"""The source of a model, as a request names it, and the HTTP request for its bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from yarl import URL

from lorapod.errors import InvalidInput
from lorapod.safety.urls import check_url, shown_url
from lorapod.setting_groups.models import PUBLIC_HUB
from lorapod.settings import Settings
from lorapod.storage.retry_budget import RetryBudget

if TYPE_CHECKING:
    from lorapod.storage.hub_access import HubAccess

_HUB = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<early>[\w./-]+?))?/(?P<path>[^@]+?)(?:@(?P<late>[\w./-]+))?",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a repository on the HuggingFace Hub."""

    repo_id: str
    path: str
    revision: str = "main"

    @property
    def shown(self) -> str:
        """As answers and cards name it."""
        return f"hf://{self.repo_id}/{self.path}" + ("" if self.revision == "main" else f"@{self.revision}")

    @property
    def file_name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def marked(self) -> str:
        """With its revision in every case, behind the repository."""
        return f"hf://{self.repo_id}@{self.revision}/{self.path}"

    def address(self, endpoint: str, revision: str) -> str:
        """Return the URL of the file at the Hub `endpoint`, in `revision`."""
        return f"{endpoint}/{self.repo_id}/resolve/{quote(revision, safe='')}/{quote(self.path)}"


@dataclass(frozen=True, kw_only=True)
class WebFile:
    """A file at a URL."""

    address: str

    @property
    def shown(self) -> str:
        """Without credentials and signatures."""
        return shown_url(self.address)

    @property
    def file_name(self) -> str | None:
        """The last part of its path, if that looks like a file name."""
        last = unquote(URL(self.address, encoded=self.address.isascii()).raw_path, errors="replace")
        name = last.rpartition("/")[2]
        return name if "." in name else None


def parse_source(text: str, *, allow_private: bool) -> HubFile | WebFile:
    """Parse `hf://owner/repo/file`, with `@revision` at its end or behind the repository, or an https URL.

    Raises:
        InvalidInput: it is neither.
        UnsafeUrl: the URL may not be fetched.
    """
    if text.startswith("hf://"):
        match = _HUB.fullmatch(text)
        if match is None or (match["early"] and match["late"]):
            raise InvalidInput(
                "source: it is not of the form hf://owner/repository/file.",
                hint="Example: hf://stabilityai/sdxl-turbo/sd_xl_turbo_1.0.safetensors",
            )
        revision = match["early"] or match["late"] or "main"
        return HubFile(repo_id=match["repo"], path=match["path"], revision=revision)
    if "://" not in text:
        raise InvalidInput(
            "source: it is neither hf://owner/repository/file nor an https address.",
        )
    check_url(text, allow_private=allow_private)
    return WebFile(address=text)


@dataclass(frozen=True, kw_only=True)
class HubFacts:
    """What the HuggingFace Hub knows of one file in one commit."""

    commit: str
    size_bytes: int
    #: Hexadecimal; None: the Hub knows it of large files only.
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class ModelFileRequest:
    """One GET request for a model's bytes."""

    address: str
    #: May hold a token, for the server of `address` alone.
    headers: Mapping[str, str]
    allow_private: bool
    #: None: the file is not the Hub's.
    facts: HubFacts | None = None


def request_for(source: HubFile | WebFile, settings: Settings) -> ModelFileRequest:
    """Return the request for a source; block while the Hub is asked about its file.

    Raises:
        WorkerError: the Hub does not answer, or has no such file.
    """
    if isinstance(source, WebFile):
        return ModelFileRequest(
            address=source.address,
            headers=_civitai_headers(source.address, settings),
            allow_private=settings.allow_private_urls,
        )
    # Imported here: the Hub's library takes as long as the worker's whole start.
    from lorapod.storage.hub_access import HubAccess

    access = HubAccess.from_settings(settings)
    facts = look_up(source, access, RetryBudget(total_s=settings.store_patience_s))
    return ModelFileRequest(
        address=source.address(access.endpoint, facts.commit),
        headers=access.headers(),
        # A mirror of the Hub is named by the operator, who may have it in a private network.
        allow_private=settings.allow_private_urls or access.endpoint != PUBLIC_HUB,
        facts=facts,
    )


def look_up(file: HubFile, access: HubAccess, retries: RetryBudget) -> HubFacts:
    """Ask the Hub about a file.

    Raises:
        NotFound: there is no such file.
        StoreRefused: there is no such repository, or the token may not see it.
        StoreUnavailable: the Hub does not answer within `retries`.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    from lorapod.storage.hub_access import hub_errors, missing_file

    token = access.token.get_secret_value() if access.token else False
    api = HfApi(endpoint=access.endpoint, token=token)

    def attempt() -> HubFacts:
        with hub_errors(file.path, file.repo_id):
            commit = api.repo_info(file.repo_id, revision=file.revision).sha or file.revision
            found = api.get_paths_info(file.repo_id, [file.path], revision=commit)
        for entry in found:
            if isinstance(entry, RepoFile) and entry.path == file.path:
                sha256 = entry.lfs.sha256 if entry.lfs is not None else None
                return HubFacts(commit=commit, size_bytes=entry.size, sha256=sha256)
        raise missing_file(file.path, file.repo_id)

    return retries.call(attempt)


def _civitai_headers(address: str, settings: Settings) -> Mapping[str, str]:
    from yarl import URL

    url = URL(address, encoded=address.isascii())
    host = url.host or ""
    if settings.civitai_token is None or url.scheme != "https":
        return {}
    if host != "civitai.com" and not host.endswith(".civitai.com"):
        return {}
    return {"Authorization": f"Bearer {settings.civitai_token.get_secret_value()}"}
