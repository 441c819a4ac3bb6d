"""Open the store that a request names, with the credentials of the endpoint or of the job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from lorapod.errors import InvalidInput
from lorapod.safety.redaction import Redactor
from lorapod.settings import Settings
from lorapod.storage.port import ObjectStore
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3_access import JobS3, S3Access
from lorapod.wire.dataset import HuggingFaceDataset, S3Prefix, SupabaseFolder
from lorapod.wire.storage import HuggingFaceRepo, LocalFolder, Target
from lorapod.workspace import Workspace

#: Where a store can be opened: a target of `upload`, or a source of `dataset`.
Location = Target | HuggingFaceDataset


class _Closable(ObjectStore, Protocol):
    def close(self) -> None: ...


class ObjectStores:
    """Opens object stores. A client library is imported with the first store that needs it."""

    def __init__(self, *, settings: Settings, workspace: Workspace, redactor: Redactor | None = None) -> None:
        """Read nothing yet.

        Args:
            settings: hold the credentials.
            workspace: contains every `LocalFolder`.
            redactor: masks the credentials of a job while a store is open with them.
        """
        self._settings = settings
        self._workspace = workspace
        self._redactor = redactor or Redactor()
        self._retries = RetryBudget(total_s=settings.store_patience_s)

    @contextmanager
    def open(self, location: Location, *, job_s3: JobS3 | None = None) -> Iterator[ObjectStore]:
        """Open the store at a location until the end of the block; no request is sent before the first call.

        Args:
            location: as the request names it.
            job_s3: the job's own S3 server, used instead of the endpoint's.

        Raises:
            InvalidInput: credentials or the bucket are not set.
            UnsafePath: a local folder is outside the workspace.
            Unsupported: it is the HuggingFace Hub, and `HF_HUB_OFFLINE` is set.
        """
        if isinstance(location, LocalFolder):
            from lorapod.storage.local import LocalObjects

            yield LocalObjects(self._workspace.safe_path(location.path))
            return
        held = job_s3.secrets if job_s3 is not None else ()
        with self._redactor.holding(held), closing(self._remote(location, job_s3)) as store:
            yield store

    def check(self, job_s3: JobS3 | None) -> None:
        """Check that there are credentials for a job's own S3 server, if it has one, without a request to it.

        Raises:
            InvalidInput: there are no credentials.
        """
        if job_s3 is not None:
            job_s3.opened(self._settings)

    def _remote(
        self,
        location: S3Prefix | SupabaseFolder | HuggingFaceRepo | HuggingFaceDataset,
        job_s3: JobS3 | None,
    ) -> _Closable:
        match location:
            case S3Prefix():
                return self._s3(location, job_s3)
            case SupabaseFolder():
                return self._supabase(location)
            case HuggingFaceRepo() | HuggingFaceDataset():
                return self._hub(location)

    def _s3(self, location: S3Prefix, job_s3: JobS3 | None) -> _Closable:
        from lorapod.storage.s3 import S3Objects

        settings = self._settings
        access = S3Access.from_settings(settings) if job_s3 is None else job_s3.opened(settings)
        bucket = location.bucket or access.bucket
        if bucket is None:
            raise InvalidInput(
                "No S3 bucket is named.", hint="Name `bucket`, or set BUCKET_NAME on the endpoint."
            )
        return S3Objects(access, bucket=bucket, prefix=location.prefix or "", retries=self._retries)

    def _supabase(self, location: SupabaseFolder) -> _Closable:
        from lorapod.storage.supabase import SupabaseObjects
        from lorapod.storage.supabase_access import SupabaseAccess

        return SupabaseObjects(
            SupabaseAccess.from_settings(self._settings),
            bucket=location.bucket_name,
            folder=location.folder_path,
            retries=self._retries,
        )

    def _hub(self, location: HuggingFaceRepo | HuggingFaceDataset) -> _Closable:
        from lorapod.storage.hub_access import HubAccess
        from lorapod.storage.huggingface import MAIN, HubObjects, RepoKind

        access = HubAccess.from_settings(self._settings)
        if isinstance(location, HuggingFaceDataset):
            return HubObjects(
                access,
                repo_id=location.repo_id,
                kind=RepoKind.DATASET,
                revision=location.revision or MAIN,
                retries=self._retries,
            )
        return HubObjects(
            access, repo_id=location.repo_id, create_private=location.private, retries=self._retries
        )
