"""The environments of a volume: found by a hash of what is in them, and only once they are complete.

```
.environments/<key>/build_<token>/   a virtual environment, made in its final place, because it cannot be moved
.environments/<key>/ready.json       names the environment in use; written once it is complete
.environments/<key>/building/        the turn of the current builder (see `turn`)
```

Every try has its own folder. So a builder that was marked dead and wakes up again does no harm: it finds that
`ready.json` names another folder.
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
    """What an environment contains, and everything that it depends on."""

    lock: Path
    #: The folder with the package `lorapod`.
    backend: Path
    environments: Path

    @property
    def key(self) -> str:
        """Return 16 hexadecimal digits, which differ for another lock, Python, place or source folder."""
        parts = [
            # A missing lock is reported by the build.
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
    """A complete environment."""

    #: The name of its folder.
    folder: str
    #: How long it took to make, in seconds.
    took_s: float
    packages: int


class EnvironmentStore:
    """The environments of one key; any number of workers may use it at once."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        """Make nothing yet."""
        self.spec = spec
        self.key = spec.key
        self.folder = spec.environments / self.key

    def ready(self) -> BuiltEnvironment | None:
        """Return the environment to use, or None."""
        try:
            stored = json.loads((self.folder / READY).read_bytes())
            prepared = BuiltEnvironment(**stored)
        except (OSError, ValueError, TypeError):
            return None
        return prepared if self.python(prepared).exists() else None

    def python(self, prepared: BuiltEnvironment) -> Path:
        """Return the interpreter of an environment."""
        return self.folder / prepared.folder / "bin/python"

    def new_build(self) -> Path:
        """Return the folder for a new try, which does not exist yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{_BUILD}{secrets.token_hex(6)}"

    def publish(self, prepared: BuiltEnvironment, *, instead: BuiltEnvironment | None) -> BuiltEnvironment:
        """Make a complete environment the one to use, unless another try was faster; return the one to use.

        Args:
            prepared: the new environment.
            instead: the environment that it replaces.

        Raises:
            OSError: the disk failed.
        """
        path = self.folder / READY
        data = json.dumps(asdict(prepared)).encode()
        found = self.ready()
        if found is not None and found != instead:
            return found
        if path.exists():
            # The environment that it names is missing, or shall be replaced.
            write_atomically(path, data)
            return prepared
        temporary = path.with_name(f".{READY}.{secrets.token_hex(4)}.tmp")
        write_atomically(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return self.ready() or prepared
        except OSError:
            # The file system has no hard links.
            write_atomically(path, data)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(self.folder)
        return prepared

    def left_builds(self) -> Sequence[Path]:
        """Return the folders of former tries: all except the environment in use."""
        found = list(self.folder.glob(f"{_BUILD}*"))
        used = self.ready()
        return [folder for folder in found if used is None or folder.name != used.folder]

    def sweep(self, left: Sequence[Path]) -> None:
        """Remove the folders that `left_builds` returned; call this only while no other builder can be at work."""
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)

    def former_duration_s(self) -> float | None:
        """Return the longest time that a former environment took on this volume, of any key."""
        known = []
        for path in self.spec.environments.glob(f"*/{READY}"):
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                known.append(float(json.loads(path.read_bytes())["took_s"]))
        return max(known, default=None)
