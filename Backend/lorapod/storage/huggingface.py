"""Store files in repositories on the HuggingFace Hub.

huggingface_hub sends the requests. Only the download is our own: huggingface_hub starts a broken one again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

import httpx
from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import HfUriError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.tqdm import disable_progress_bars

from lorapod.errors import Unsupported
from lorapod.setting_groups.models import PUBLIC_HUB
from lorapod.storage.fetching import Write, fetch, write_from
from lorapod.storage.hub_access import HubAccess, NoRepository, hub_errors, missing_file, status_error
from lorapod.storage.port import Progress, StoredObject, StoreUnavailable, UrlUse, checked_key
from lorapod.storage.retry_budget import RetryBudget

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
MAIN = "main"
#: Written by the Hub itself into every repository.
HUB_FILES = {".gitattributes"}

for _name in ("httpx", "httpx2"):
    # They write a line at INFO for every request: thousands for one dataset, with URLs that may be signed.
    logging.getLogger(_name).setLevel(logging.WARNING)


class RepoKind(StrEnum):
    """The type of a repository."""

    MODEL = "model"
    DATASET = "dataset"


class HubObjects:
    """A `lorapod.storage.port.ObjectStore` in a repository; each `put_file` and each `delete` is a commit.

    It knows no times, and digests only of files that the Hub stores as large files.
    """

    def __init__(
        self,
        access: HubAccess,
        *,
        repo_id: str,
        kind: RepoKind = RepoKind.MODEL,
        revision: str = MAIN,
        create_private: bool | None = None,
        retries: RetryBudget,
    ) -> None:
        """Open no connection yet.

        Args:
            access: URL and token.
            repo_id: `owner/name`.
            kind: model or dataset.
            revision: branch, tag or commit; only a branch can be written to.
            create_private: create the repository with its first file if it does not exist, private or not; None: it must
                exist.
            retries: how long a Hub that does not answer is asked again.
        """
        disable_progress_bars()
        if access.endpoint != PUBLIC_HUB:
            # Mirrors do not support Xet. A process uses one Hub, so the library's global switch may be set.
            constants.HF_HUB_DISABLE_XET = True
        token = access.token.get_secret_value() if access.token else False
        self._api = HfApi(endpoint=access.endpoint, token=token)
        # httpx drops the token on a redirect to another host: the Hub's CDN never gets it.
        self._http = httpx.Client(headers=access.headers(), timeout=TIMEOUT, follow_redirects=True)
        self._endpoint = access.endpoint
        self._repo_id = repo_id
        self._kind = kind
        self._revision = revision
        self._create_private = create_private
        self._created = create_private is None
        self._retries = retries
        #: The commit of the last list: a listed file is fetched as it was there.
        self._listed_commit: str | None = None
        # Concurrent commits to one repository would fail.
        self._committing = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def put_file(
        self,
        path: Path,
        key: str,
        *,
        content_type: str | None = None,  # noqa: ARG002 - the Hub uses the extension
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Commit the file; create the repository first if that is needed and allowed."""
        checked_key(key)
        size = path.stat().st_size

        def attempt() -> None:
            with self._committing, hub_errors(key, self._repo_id):
                self._create()
                self._api.upload_file(
                    path_or_fileobj=str(path),
                    path_in_repo=key,
                    repo_id=self._repo_id,
                    repo_type=self._kind,
                    revision=self._revision,
                    commit_message=f"Upload {key}",
                )

        self._retries.call(attempt)
        if progress is not None:
            progress(size)
        stored = self.stat(key)
        if stored is None or not stored.is_upload_of(size, sha256):
            raise StoreUnavailable(f"The file {key!r} is not what was uploaded.")
        return stored

    def get_file(
        self,
        key: str,
        path: Path,
        *,
        listed: StoredObject | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Download the file as it is in one commit.

        Raises:
            NotFound: there is no such file.
            InsufficientStorage: the disk is full.
        """
        checked_key(key)

        def attempt() -> StoredObject:
            nonlocal listed
            commit, wanted, listed = self._listed_commit, listed, None
            if commit is None or wanted is None:
                commit, wanted = self._present(key)
            fetch(
                wanted,
                path,
                lambda offset, write: self._read(key, commit, offset, write),
                look=lambda: wanted,  # a commit does not change
                progress=progress,
            )
            return wanted

        return self._retries.call(attempt)

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every file of the repository whose path starts with `prefix`."""

        def attempt() -> list[StoredObject]:
            with hub_errors(prefix, self._repo_id):
                commit = self._commit()
                tree = self._api.list_repo_tree(
                    self._repo_id, recursive=True, repo_type=self._kind, revision=commit
                )
                self._listed_commit = commit
                return [_describe(entry) for entry in tree if isinstance(entry, RepoFile)]

        try:
            found = self._retries.call(attempt)
        except NoRepository:
            if self._create_private is None:
                raise
            return
        yield from (one for one in found if one.key.startswith(prefix) and one.key not in HUB_FILES)

    def stat(self, key: str) -> StoredObject | None:
        """Return the present file, or None."""
        checked_key(key)
        return self._retries.call(lambda: self._stat(key, self._revision))

    def url_for(self, key: str, *, expires_s: int, use: UrlUse = UrlUse.GET) -> str:
        """Refuse: the Hub has no signed URLs.

        Raises:
            Unsupported: always.
        """
        checked_key(key)
        raise Unsupported(
            f"The HuggingFace Hub has no {use} URLs for {expires_s} s.", hint="Use an S3 bucket."
        )

    def delete(self, key: str) -> None:
        """Commit the removal."""
        checked_key(key)

        def attempt() -> None:
            with self._committing:
                if self._stat(key, self._revision) is None:
                    return
                with hub_errors(key, self._repo_id):
                    self._api.delete_file(
                        key,
                        self._repo_id,
                        repo_type=self._kind,
                        revision=self._revision,
                        commit_message=f"Delete {key}",
                    )

        self._retries.call(attempt)

    def try_upload(self, key: str, *, create: bool) -> None:
        """Send a file to the Hub without its commit: the Hub checks the right to write and the room, and keeps no trace.

        Args:
            key: of the file.
            create: make the repository if it does not exist; else a repository that does not exist is not tried.

        Raises:
            StoreRefused: the token has no right to write there, or there is no room.
        """
        checked_key(key)

        def attempt() -> None:
            with hub_errors(key, self._repo_id):
                if create:
                    self._create()
                elif not self._api.repo_exists(self._repo_id, repo_type=self._kind):
                    return
                file = CommitOperationAdd(path_in_repo=key, path_or_fileobj=key.encode())
                self._api.preupload_lfs_files(
                    self._repo_id, [file], repo_type=self._kind, revision=self._revision
                )

        self._retries.call(attempt)

    def _commit(self) -> str:
        info = self._api.repo_info(self._repo_id, repo_type=self._kind, revision=self._revision)
        return info.sha or self._revision

    def _present(self, key: str) -> tuple[str, StoredObject]:
        """Return the present commit, and the file in it."""
        try:
            with hub_errors(key, self._repo_id):
                commit = self._commit()
        except NoRepository:
            if self._create_private is None:
                raise
            raise missing_file(key, self._repo_id) from None
        wanted = self._stat(key, commit)
        if wanted is None:
            raise missing_file(key, self._repo_id)
        return commit, wanted

    def _create(self) -> None:
        # A renamed repository exists: another one under its old name would end the Hub's redirection.
        if not self._created and not self._api.repo_exists(self._repo_id, repo_type=self._kind):
            # The library asks a Hub that refuses whether the repository exists, and then cannot read the URL of a mirror.
            with suppress(HfUriError):
                self._api.create_repo(
                    self._repo_id, private=self._create_private, repo_type=self._kind, exist_ok=True
                )
        self._created = True

    def _stat(self, key: str, revision: str) -> StoredObject | None:
        try:
            with hub_errors(key, self._repo_id):
                found = self._api.get_paths_info(
                    self._repo_id, [key], repo_type=self._kind, revision=revision
                )
        except NoRepository:
            if self._create_private is None:
                raise
            return None
        return next((_describe(entry) for entry in found if isinstance(entry, RepoFile)), None)

    def _read(self, key: str, commit: str, offset: int, write: Write) -> None:
        kind = "" if self._kind is RepoKind.MODEL else f"{self._kind}s/"
        url = f"{self._endpoint}/{kind}{self._repo_id}/resolve/{quote(commit, safe='')}/{quote(key)}"
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        with (
            hub_errors(key, self._repo_id),
            self._http.stream("GET", url, headers=headers) as response,
        ):
            if not response.is_success:
                raise status_error(response.status_code, key, self._repo_id)
            write_from(offset, response, write)


def _describe(entry: RepoFile) -> StoredObject:
    sha256 = entry.lfs.sha256 if entry.lfs else None
    return StoredObject(
        key=entry.path, size_bytes=entry.size, etag=sha256 or entry.blob_id, modified_at=None, sha256=sha256
    )
