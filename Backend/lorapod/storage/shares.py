"""Give files of the workspace a URL that works without credentials for a while."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lorapod.clock import Clock
from lorapod.errors import Conflict, InvalidInput, Unsupported
from lorapod.kinds import suffix_of
from lorapod.settings import Settings
from lorapod.storage.orphans import OrphanSweep
from lorapod.storage.port import ObjectStore, OpenStore, Progress, checked_key
from lorapod.storage.s3_access import JobS3, S3Access
from lorapod.wire.dataset import S3Prefix, SupabaseFolder

#: Prefix of the keys of shared files, so that a lifecycle rule of the bucket can remove them after some days.
PREFIX = "lorapod-shared"

#: How long the URLs of a job's own folder work, as RunPod's SDK signs them, unless URL_EXPIRES_S is set: a week.
_JOB_URL_EXPIRES_S = 604_800
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class SharedFile:
    """The URL of a file."""

    url: str
    expires_at: datetime


class FileShares:
    """Uploads files to the endpoint's own object store and signs their URLs; safe for any thread.

    A key contains the file's sha256, so the store itself is the list of what was uploaded: it survives every worker, and
    a file that was removed from the bucket is uploaded again.
    """

    def __init__(
        self, *, settings: Settings, clock: Clock, open_store: OpenStore[S3Prefix | SupabaseFolder]
    ) -> None:
        """Send no request yet."""
        self._settings = settings
        self._clock = clock
        self._open_store = open_store
        self._orphans = OrphanSweep(clock)
        #: One upload at a time: two requests for the same file upload it once.
        self._lock = threading.Lock()

    def share(
        self, path: Path, *, sha256: str, job_s3: JobS3 | None = None, progress: Progress | None = None
    ) -> SharedFile:
        """Return a URL of the file, and upload it first unless the store has it; blocks.

        Args:
            path: the file.
            sha256: of its content.
            job_s3: the bucket that the job brought with it, used instead of the endpoint's.
            progress: called with the bytes uploaded so far.

        Raises:
            Unsupported: the endpoint has no object store.
            Conflict: the file changed meanwhile.
            UpstreamError: the store does not answer, or refuses.
            OSError: the file cannot be read.
        """
        expires_s = self._settings.url_expires_s
        with self._open_store(self._location(job_s3), job_s3=job_s3) as store:
            key = _key(path, sha256)
            with self._lock:
                if _upload(store, path, key, sha256, progress) and job_s3 is None:
                    self._orphans.look(store)
            expires_at = self._clock.now() + timedelta(seconds=expires_s)
            return SharedFile(url=store.url_for(key, expires_s=expires_s), expires_at=expires_at)

    def share_of_job(
        self, path: Path, *, sha256: str, job_id: str, job_s3: JobS3 | None = None
    ) -> SharedFile:
        """Return a URL of a result in the S3 bucket, with the key that RunPod's SDK makes of uploads; blocks.

        The key is `<month>-<year>/<job id>/<digest>.<suffix>`. A job that is delivered again finds its own upload.

        Raises:
            InvalidInput: there are no credentials.
            Conflict, UpstreamError, OSError: as `share`.
        """
        settings = self._settings
        expires_s = (
            settings.url_expires_s if "url_expires_s" in settings.model_fields_set else _JOB_URL_EXPIRES_S
        )
        with self._open_store(self._place_of_job(job_id, job_s3), job_s3=job_s3) as store:
            key = f"{sha256[:16]}{suffix_of(path.name)}"
            with self._lock:
                _upload(store, path, key, sha256, None)
            expires_at = self._clock.now() + timedelta(seconds=expires_s)
            return SharedFile(url=store.url_for(key, expires_s=expires_s), expires_at=expires_at)

    def _place_of_job(self, job_id: str, job_s3: JobS3 | None) -> S3Prefix:
        """Return the folder of a job. Without a named bucket the month is one, as for the SDK.

        A server whose name begins with the bucket's reads the month as the first part of the key.
        """
        month = f"{self._clock.now():%m-%y}"
        job = _NOT_PLAIN.sub("_", job_id).strip(".")[:200] or "job"
        if job_s3 is None and S3Access.from_settings(self._settings).bucket is None:
            return S3Prefix(bucket=month, prefix=job)
        return S3Prefix(prefix=f"{month}/{job}")

    def missing_of_bucket(self, *, job_s3: JobS3 | None = None) -> str | None:
        """Return what is missing of the S3 store that is set, in one sentence; an empty text: nothing.

        None: no S3 store is set. No request is sent.
        """
        settings = self._settings
        if job_s3 is None and not (settings.bucket_name or settings.bucket_endpoint_url):
            return None
        try:
            if job_s3 is None:
                S3Access.from_settings(settings)
            else:
                job_s3.opened(settings)
        except InvalidInput as error:
            return " ".join(text for text in (error.message, error.hint) if text)
        return ""

    def check(self, *, job_s3: JobS3 | None = None) -> None:
        """Check that there is a store that can give URLs, without a request to it.

        Raises:
            WorkerError: there is no store, or a setting of it is missing.
        """
        with self._open_store(self._location(job_s3), job_s3=job_s3):
            pass

    def _location(self, job_s3: JobS3 | None) -> S3Prefix | SupabaseFolder:
        settings = self._settings
        if job_s3 is not None or settings.bucket_name or settings.bucket_endpoint_url:
            return S3Prefix(prefix=PREFIX)
        if settings.supabase_url and settings.supabase_bucket:
            return SupabaseFolder(bucket_name=settings.supabase_bucket, folder_path=PREFIX)
        raise Unsupported(
            "This endpoint has no object store that could give a URL.",
            hint="Fetch the file with `download_file` in parts; or set BUCKET_NAME with its credentials, or "
            "SUPABASE_URL and SUPABASE_BUCKET, on the endpoint, or send an s3Config with the job.",
        )


def _upload(store: ObjectStore, path: Path, key: str, sha256: str, progress: Progress | None) -> bool:
    """Upload the file unless the store has it, and return whether it was uploaded."""
    before = path.stat()
    there = store.stat(key)
    if there is not None and there.size_bytes == before.st_size:
        return False
    store.put_file(path, key, sha256=sha256, progress=progress)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ino,
    ):
        store.delete(key)
        raise Conflict(
            f"{path.name} changed while it was uploaded.", hint="Ask again once it is no longer written to."
        )
    return True


def _key(path: Path, sha256: str) -> str:
    try:
        return checked_key(f"{sha256}/{path.name}")
    except InvalidInput:
        return f"{sha256}/file{suffix_of(path.name) if path.name.isprintable() else ''}"
