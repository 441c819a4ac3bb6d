"""What the HuggingFace Hub knows of a file before it is fetched."""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile

from lorapod.models.sources import HubFile
from lorapod.storage.hub_access import HubAccess, missing, told
from lorapod.storage.patience import Patience


@dataclass(frozen=True, kw_only=True)
class HubFacts:
    """One file in one commit."""

    commit: str
    size_bytes: int
    #: Hexadecimal; the Hub knows it of large files.
    sha256: str | None


def look_up(file: HubFile, access: HubAccess, patience: Patience) -> HubFacts:
    """Ask the Hub.

    Raises:
        NotFound: there is no such file.
        StoreRefused: there is no such repository, or the token may not see it.
        StoreUnavailable: the Hub is away for longer than `patience`.
    """
    token = access.token.get_secret_value() if access.token else False
    api = HfApi(endpoint=access.endpoint, token=token)

    def attempt() -> HubFacts:
        with told(file.path, file.repo_id):
            commit = api.repo_info(file.repo_id, revision=file.revision).sha or file.revision
            found = api.get_paths_info(file.repo_id, [file.path], revision=commit)
        for entry in found:
            if isinstance(entry, RepoFile) and entry.path == file.path:
                sha256 = entry.lfs.sha256 if entry.lfs is not None else None
                return HubFacts(commit=commit, size_bytes=entry.size, sha256=sha256)
        raise missing(file.path, file.repo_id)

    return patience.call(attempt)
