"""What the console knows, on this machine's disk: documents by name, and contents by their digest.

SQLite has the documents and the names; a content is a file that is named by its SHA-256. Contents that were used longest
ago go first once all of them together are larger than the limit. Nothing here is the only copy of anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: How large all contents together may be.
LIMIT_BYTES: Final = 2_000_000_000
#: Documents of one kind that are kept.
MOST_DOCUMENTS: Final = 2_000

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS documents (kind TEXT, name TEXT, body TEXT, written_at REAL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS contents (name TEXT PRIMARY KEY, digest TEXT, type TEXT, size_bytes INTEGER, used_at REAL);
CREATE INDEX IF NOT EXISTS contents_by_digest ON contents (digest);
"""


@dataclass(frozen=True, kw_only=True)
class CachedContent:
    """A content on this machine."""

    digest: str
    content_type: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class CachedName:
    """What a name stands for."""

    digest: str
    size_bytes: int


class DiskCache:
    """The cache of one endpoint. Safe to use from several threads and by several consoles at once."""

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """Open the cache in `folder`, which is made if it is missing.

        Raises:
            OSError: the folder cannot be made.
        """
        #: Where all of it is.
        self.folder = folder
        self._contents = folder / "contents"
        self._limit_bytes = limit_bytes
        self._contents.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._lock = threading.Lock()
        #: Of all contents, as far as this console knows; None: not measured yet.
        self._total_bytes: int | None = None
        self._database = sqlite3.connect(
            folder / "index.sqlite", check_same_thread=False, isolation_level=None, timeout=10
        )
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def put_document(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Keep a document; of those of its kind, the newest `MOST_DOCUMENTS` stay."""
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)",
                (kind, name, json.dumps(body, separators=(",", ":")), time.time()),
            )
            self._database.execute(
                "DELETE FROM documents WHERE kind = ? AND name NOT IN "
                "(SELECT name FROM documents WHERE kind = ? ORDER BY written_at DESC LIMIT ?)",
                (kind, kind, MOST_DOCUMENTS),
            )

    def document(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a document; None if it is not kept."""
        rows = self._rows("SELECT body FROM documents WHERE kind = ? AND name = ?", kind, name)
        return json.loads(rows[0][0]) if rows else None

    def documents(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return every document of a kind by its name."""
        rows = self._rows("SELECT name, body FROM documents WHERE kind = ?", kind)
        return {name: json.loads(body) for name, body in rows}

    def forget_document(self, kind: str, name: str) -> None:
        """Remove a document, if it is there."""
        self._rows("DELETE FROM documents WHERE kind = ? AND name = ?", kind, name)

    def put_content(self, name: str, data: bytes, content_type: str) -> CachedContent:
        """Keep a content under a name, in the place of what had the name before."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            beside = path.with_name(f".{digest}.{os.getpid()}.{threading.get_ident()}")
            beside.write_bytes(data)
            beside.replace(path)
        before = self._rows("SELECT digest FROM contents WHERE name = ?", name)
        self._rows(
            "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?)",
            *(name, digest, content_type, len(data), time.time()),
        )
        self._drop({old for (old,) in before} - {digest})
        self._make_room(len(data))
        return CachedContent(digest=digest, content_type=content_type, path=path)

    def content(self, name: str) -> CachedContent | None:
        """Return the content of that name; None if it is not kept."""
        return self._content("name", name)

    def content_by_digest(self, digest: str) -> CachedContent | None:
        """Return the content with that SHA-256; None if it is not kept."""
        return self._content("digest", digest)

    def names(self, prefix: str) -> dict[str, CachedName]:
        """Return all contents whose names begin with `prefix`, by the rest of the name."""
        rows = self._rows(
            "SELECT name, digest, size_bytes FROM contents WHERE name >= ? AND name < ?",
            prefix,
            f"{prefix}\U0010ffff",
        )
        return {
            name.removeprefix(prefix): CachedName(digest=digest, size_bytes=size_bytes)
            for name, digest, size_bytes in rows
        }

    def _content(self, column: str, value: str) -> CachedContent | None:
        rows = self._rows(f"SELECT name, digest, type FROM contents WHERE {column} = ? LIMIT 1", value)  # noqa: S608
        if not rows:
            return None
        name, digest, content_type = rows[0]
        path = self._path(digest)
        if not path.is_file():
            self._rows("DELETE FROM contents WHERE digest = ?", digest)
            return None
        self._rows("UPDATE contents SET used_at = ? WHERE name = ?", time.time(), name)
        return CachedContent(digest=digest, content_type=content_type, path=path)

    def _make_room(self, added_bytes: int) -> None:
        """Remove what was used longest ago, if all is too large; that is measured only once it may be."""
        if self._total_bytes is not None and self._total_bytes + added_bytes <= self._limit_bytes:
            self._total_bytes += added_bytes
            return
        (total,) = self._rows("SELECT COALESCE(SUM(size_bytes), 0) FROM contents")[0]
        self._total_bytes = total
        if total <= self._limit_bytes:
            return
        # A tenth more than is needed, so that not every new content has to make room.
        surplus = total - self._limit_bytes * 0.9
        dropped: set[str] = set()
        for name, digest, size_bytes in self._rows(
            "SELECT name, digest, size_bytes FROM contents ORDER BY used_at"
        ):
            if surplus <= 0:
                break
            self._rows("DELETE FROM contents WHERE name = ?", name)
            dropped.add(digest)
            surplus -= size_bytes
            self._total_bytes -= size_bytes
        self._drop(dropped)

    def _drop(self, digests: set[str]) -> None:
        """Remove the files of contents that have no name any more."""
        for digest in digests:
            if not self._rows("SELECT 1 FROM contents WHERE digest = ? LIMIT 1", digest):
                self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._contents / digest[:2] / digest

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()
