"""From what a request names to an open store, with the endpoint's own credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Protocol

from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.storage.patience import Patience
from lorapod.storage.port import ObjectStore
from lorapod.wire.dataset import HuggingFaceDataset, S3Prefix, SupabaseFolder
from lorapod.wire.storage import HuggingFaceRepo, LocalFolder, Target
from lorapod.workspace import Workspace

#: What a store can be opened at: a target of `upload`, or a source of `dataset`.
Location = Target | HuggingFaceDataset


class _Closable(ObjectStore, Protocol):
    def close(self) -> None: ...


class ObjectStores:
    """Opens stores. Each client library is imported with the first store that needs it."""

    def __init__(self, *, settings: Settings, workspace: Workspace) -> None:
        """Read nothing yet.

        Args:
            settings: where credentials come from.
            workspace: what a `LocalFolder` is a folder of.
        """
        self._settings = settings
        self._workspace = workspace
        self._patience = Patience(total_s=settings.store_patience_s)

    @contextmanager
    def open(
        self, location: Location, *, s3_config: Mapping[str, Any] | None = None
    ) -> Iterator[ObjectStore]:
        """A store below the location, until the end of the block; nothing is asked of its server before the first call.

        Args:
            location: as the request names it.
            s3_config: the job's own RunPod `s3Config`, which goes before the endpoint's S3 settings.

        Raises:
            InvalidInput: credentials or the bucket are not set.
            UnsafePath: a local folder leads outside the workspace.
            Unsupported: the HuggingFace Hub, where `HF_HUB_OFFLINE` is set.
        """
        if isinstance(location, LocalFolder):
            from lorapod.storage.local import LocalObjects

            yield LocalObjects(self._workspace.safe_path(location.path))
            return
        with closing(self._remote(location, s3_config)) as store:
            yield store

    def _remote(
        self,
        location: S3Prefix | SupabaseFolder | HuggingFaceRepo | HuggingFaceDataset,
        s3_config: Mapping[str, Any] | None,
    ) -> _Closable:
        match location:
            case S3Prefix():
                return self._s3(location, s3_config)
            case SupabaseFolder():
                return self._supabase(location)
            case HuggingFaceRepo() | HuggingFaceDataset():
                return self._hub(location)

    def _s3(self, location: S3Prefix, s3_config: Mapping[str, Any] | None) -> _Closable:
        from lorapod.storage.s3 import S3Objects
        from lorapod.storage.s3_access import S3Access

        access = (
            S3Access.from_job(s3_config, self._settings)
            if s3_config
            else S3Access.from_settings(self._settings)
        )
        bucket = location.bucket or access.bucket
        if bucket is None:
            raise InvalidInput(
                "No S3 bucket is named.", hint="Name `bucket`, or set BUCKET_NAME on the endpoint."
            )
        return S3Objects(access, bucket=bucket, prefix=location.prefix or "", patience=self._patience)

    def _supabase(self, location: SupabaseFolder) -> _Closable:
        from lorapod.storage.supabase import SupabaseObjects
        from lorapod.storage.supabase_access import SupabaseAccess

        return SupabaseObjects(
            SupabaseAccess.from_settings(self._settings),
            bucket=location.bucket_name,
            folder=location.folder_path,
            patience=self._patience,
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
                patience=self._patience,
            )
        return HubObjects(
            access, repo_id=location.repo_id, create_private=location.private, patience=self._patience
        )
