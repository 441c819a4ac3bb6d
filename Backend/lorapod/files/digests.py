"""The sha256 of whole files, computed once for all parts, requests and workers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.errors import NotFound
from lorapod.workspace import Workspace

#: Hidden folder of the workspace with one small file for each large file whose digest is known.
FOLDER = ".digests"

#: Smaller files are hashed sooner than a sidecar is read from a network volume.
SIDECAR_MIN_BYTES = 4_000_000

#: Seconds within which a file can change again without a change of its time.
SETTLED_S = 2.0

_REMEMBERED = 4096


@dataclass(frozen=True, kw_only=True)
class _Identity:
    """A file with the same values has not changed."""

    path: str
    size_bytes: int
    mtime_ns: int
    inode: int


class DigestBook:
    """Keeps digests in memory, and those of large files also on the workspace; safe for many threads."""

    def __init__(self, *, workspace: Workspace) -> None:
        """Keep sidecars under `workspace`."""
        self._workspace = workspace
        self._known: OrderedDict[_Identity, str] = OrderedDict()
        self._lock = threading.Lock()

    def sha256(self, path: Path) -> str:
        """Return the hexadecimal digest of the whole file; reads the file only if its size or time has changed.

        Raises:
            NotFound: there is no such file.
            OSError: it cannot be read.
        """
        try:
            identity = self._identity(path)
            if (known := self._recall(identity)) is not None:
                return known
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if self._identity(path) == identity and _settled(identity):
                self._remember(identity, digest)
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no file {path.name!r}.", hint="`list_files` lists the files."
            ) from error
        return digest

    def learn(self, path: Path, sha256: str) -> None:
        """Keep the digest of a file that was just written, so that the file need not be read again.

        Raises:
            OSError: there is no such file.
        """
        # It is complete, so its time is final, however new it is.
        self._remember(self._identity(path), sha256)

    def _identity(self, path: Path) -> _Identity:
        state = path.stat()
        return _Identity(
            path=self._workspace.relative(path),
            size_bytes=state.st_size,
            mtime_ns=state.st_mtime_ns,
            inode=state.st_ino,
        )

    def _recall(self, identity: _Identity) -> str | None:
        with self._lock:
            if (known := self._known.get(identity)) is not None:
                self._known.move_to_end(identity)
                return known
        if identity.size_bytes < SIDECAR_MIN_BYTES:
            return None
        try:
            stored = json.loads(self._sidecar(identity).read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(stored, dict):
            return None
        digest = stored.pop("sha256", None)
        if stored != asdict(identity) or not isinstance(digest, str):
            return None
        self._keep(identity, digest)
        return digest

    def _remember(self, identity: _Identity, digest: str) -> None:
        self._keep(identity, digest)
        if identity.size_bytes < SIDECAR_MIN_BYTES:
            return
        sidecar = self._sidecar(identity)
        # A digest that cannot be kept is computed again: a full disk must not stop a download.
        with contextlib.suppress(OSError):
            sidecar.parent.mkdir(exist_ok=True)
            write_atomically(sidecar, json.dumps(asdict(identity) | {"sha256": digest}).encode())

    def _keep(self, identity: _Identity, digest: str) -> None:
        with self._lock:
            self._known[identity] = digest
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _sidecar(self, identity: _Identity) -> Path:
        key = hashlib.sha256(os.fsencode(identity.path)).hexdigest()[:32]
        return self._workspace.root / FOLDER / f"{key}.json"


def _settled(identity: _Identity) -> bool:
    return time.time() - identity.mtime_ns / 1e9 > SETTLED_S
