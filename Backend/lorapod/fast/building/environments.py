"""The prepared environments of a volume: found by the hash of what is in them, and only once whole.

```
.environments/<key>/build_<token>/   a virtual environment, made where it stays: they cannot be moved
.environments/<key>/ready.json       names the one that is used; written once it is whole
.environments/<key>/building/        the turn of the builder that makes one (see `turn`)
```

Every try has a folder of its own, so a builder that was taken for dead and wakes up again harms nobody: it finds that
`ready.json` names another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lorapod.atomic import sync_folder, write_atomically

READY = "ready.json"
_BUILD = "build_"


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """What is in an environment, and all that it depends on."""

    lock: Path
    #: The folder that has the package `lorapod`.
    backend: Path
    environments: Path

    @property
    def key(self) -> str:
        """16 hexadecimal digits: another lock, Python, place or source folder is another environment."""
        parts = [
            # Where there is none, the build says so.
            self.lock.read_bytes() if self.lock.is_file() else b"",
            f"{sys.implementation.cache_tag} {platform.machine()} {platform.libc_ver()}".encode(),
            os.fsencode(os.path.realpath(sys.executable)),
            os.fsencode(self.environments),
            os.fsencode(self.backend),
        ]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class BuiltEnvironment:
    """An environment that is whole."""

    #: The name of its folder.
    folder: str
    #: How long it took to make, in seconds.
    took_s: float
    packages: int


class EnvironmentStore:
    """The environments of one key; any number of workers may look, and make one, at once."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        """Make nothing yet."""
        self.spec = spec
        self.key = spec.key
        self.folder = spec.environments / self.key

    def ready(self) -> BuiltEnvironment | None:
        """The environment to use, where there is one."""
        try:
            stored = json.loads((self.folder / READY).read_bytes())
            prepared = BuiltEnvironment(**stored)
        except (OSError, ValueError, TypeError):
            return None
        return prepared if self.python(prepared).exists() else None

    def python(self, prepared: BuiltEnvironment) -> Path:
        """Its interpreter."""
        return self.folder / prepared.folder / "bin/python"

    def new_build(self) -> Path:
        """The folder of a new try; it is not made yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{_BUILD}{secrets.token_hex(6)}"

    def publish(self, prepared: BuiltEnvironment, *, instead: BuiltEnvironment | None) -> BuiltEnvironment:
        """Make a whole environment the one to use, unless another try was faster; answers which one is.

        Args:
            prepared: the new one.
            instead: what it takes the place of.

        Raises:
            OSError: the disk failed.
        """
        path = self.folder / READY
        data = json.dumps(asdict(prepared)).encode()
        found = self.ready()
        if found is not None and found != instead:
            return found
        if path.exists():
            # What is named there is gone, or asked to be replaced.
            write_atomically(path, data)
            return prepared
        temporary = path.with_name(f".{READY}.{secrets.token_hex(4)}.tmp")
        write_atomically(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return self.ready() or prepared
        except OSError:
            # A file system without hard links.
            write_atomically(path, data)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(self.folder)
        return prepared

    def left_builds(self) -> Sequence[Path]:
        """Return the folders that former tries have left: all but the environment that is used."""
        found = list(self.folder.glob(f"{_BUILD}*"))
        used = self.ready()
        return [folder for folder in found if used is None or folder.name != used.folder]

    def sweep(self, left: Sequence[Path]) -> None:
        """Remove what `left_builds` answered; call it only while no other builder can be at work."""
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)

    def former_duration_s(self) -> float | None:
        """How long it took to make an environment of another key here; the longest."""
        known = []
        for path in self.spec.environments.glob(f"*/{READY}"):
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                known.append(float(json.loads(path.read_bytes())["took_s"]))
        return max(known, default=None)
