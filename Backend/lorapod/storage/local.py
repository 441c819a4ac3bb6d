"""Use a folder as an object store, for example a volume that another machine reads."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from lorapod.errors import InsufficientStorage, NotFound, Unsupported
from lorapod.folders import files_below
from lorapod.library_errors import DISK_FULL
from lorapod.storage.fetching import Write, fetch
from lorapod.storage.port import Progress, StoredObject, StoreRefused, UrlUse, checked_key

COPY_BYTES = 1 << 20
#: Prefix of temporary files; listings skip them.
TEMPORARY = ".lorapod-"


class LocalObjects:
    """A `lorapod.storage.port.ObjectStore` in a folder; it stores no digests and no content types."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made with the first object."""
        self._folder = folder

    def put_file(
        self,
        path: Path,
        key: str,
        *,
        content_type: str | None = None,  # noqa: ARG002 - a folder has no place for it
        sha256: str | None = None,  # noqa: ARG002 - as above
        progress: Progress | None = None,
    ) -> StoredObject:
        """Copy the file to the same folder under a temporary name, then rename it.

        Raises:
            InsufficientStorage: the disk is full; nothing is left behind.
            StoreRefused: the key names an existing folder, or a part of it names a file.
        """
        target = self._path(key)
        temporary = target.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
        with path.open("rb") as source:
            try:
                with self._errors(key):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with temporary.open("xb") as copy:
                        while chunk := source.read(COPY_BYTES):
                            copy.write(chunk)
                            if progress is not None:
                                progress(copy.tell())
                        copy.flush()
                        os.fsync(copy.fileno())
                    temporary.replace(target)
            finally:
                with suppress(FileNotFoundError, NotADirectoryError):
                    temporary.unlink()
        return self._describe(key, target.stat())

    def get_file(
        self,
        key: str,
        path: Path,
        *,
        listed: StoredObject | None = None,  # noqa: ARG002 - a look costs nothing here
        progress: Progress | None = None,
    ) -> StoredObject:
        """Copy the object.

        Raises:
            NotFound: there is no such object.
            InsufficientStorage: the disk is full.
        """
        wanted = self.stat(key)
        if wanted is None:
            raise NotFound(f"There is no object {key!r} in the folder.")
        fetch(
            wanted,
            path,
            lambda offset, write: self._read(key, offset, write),
            look=lambda: self.stat(key),
            progress=progress,
        )
        return wanted

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every file below the folder; symlinks are skipped.

        Raises:
            OSError: a folder cannot be read now.
        """
        for entry in files_below(self._folder):
            key = Path(entry.path).relative_to(self._folder).as_posix()
            if entry.name.startswith(TEMPORARY) or not key.startswith(prefix) or entry.is_symlink():
                continue
            with suppress(FileNotFoundError):
                yield self._describe(key, entry.stat())

    def stat(self, key: str) -> StoredObject | None:
        """Return the present file, or None."""
        path = self._path(key)
        with suppress(FileNotFoundError, NotADirectoryError):
            if path.is_file():
                return self._describe(key, path.stat())
        return None

    def url_for(self, key: str, *, expires_s: int, use: UrlUse = UrlUse.GET) -> str:
        """Refuse: no server serves the folder.

        Raises:
            Unsupported: always.
        """
        checked_key(key)
        raise Unsupported(f"A local folder has no {use} URLs for {expires_s} s.", hint="Use an S3 bucket.")

    def delete(self, key: str) -> None:
        """Remove the file, and the folders that become empty."""
        path = self._path(key)
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            path.unlink()
        for parent in path.relative_to(self._folder).parents[:-1]:
            try:
                (self._folder / parent).rmdir()
            except OSError:
                return

    def _path(self, key: str) -> Path:
        path = self._folder / checked_key(key)
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise StoreRefused(f"The object key {key!r} leads outside the folder through a link.")
        return path

    def _read(self, key: str, offset: int, write: Write) -> None:
        with self._path(key).open("rb") as file:
            file.seek(offset)
            while piece := file.read(COPY_BYTES):
                write(piece)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise StoreRefused(
                f"The object {key!r} cannot be written in the folder ({error.strerror})."
            ) from error
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            free = shutil.disk_usage(self._folder).free
            raise InsufficientStorage(
                f"The disk has no room for the object {key!r}: {free} bytes are free."
            ) from error

    @staticmethod
    def _describe(key: str, status: os.stat_result) -> StoredObject:
        return StoredObject(
            key=key,
            size_bytes=status.st_size,
            etag=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
            modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        )
