"""Where extensions are installed, and what is known about them there.

```
<ComfyUI>/custom_nodes/NAME                 in a ComfyUI on the volume; in an image that is being built
<workspace>/ComfyUI.extensions/KEY/NAME     for a ComfyUI of the image, which gets a link; beside it the environment
<home>.lock                                 held while anything is installed, ComfyUI itself too (startup.sh)
<home>.extensions/failed/NAME.json          why one could not be installed
```
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.atomic import replace_file
from lorapod.engines.comfyui.extensions.command import InstallStopped
from lorapod.engines.comfyui.extensions.wanted import Extension
from lorapod.errors import WorkerTimeout

#: In the folder of an extension that was installed here.
_MARK = ".lorapod.json"
#: ComfyUI passes over folders with this suffix.
_UNUSED = ".disabled"
#: How long a failed installation is not tried again.
RETRY_S = 3600.0
_LOCK_PAUSE_S = 0.2


@dataclass(frozen=True, kw_only=True)
class ExtensionFailure:
    """Why an extension could not be installed."""

    name: str
    source: str
    #: What happened and what to do.
    message: str
    #: The `key` of the environment that it was installed for.
    environment: str
    #: In seconds since the epoch.
    failed_at: float


@dataclass(frozen=True, kw_only=True)
class ExtensionHome:
    """The lock and the failures of one ComfyUI, or of all images' ComfyUIs on a volume."""

    #: As `install_once` of startup.sh names it: its lock is `<home>.lock`.
    home: Path

    @classmethod
    def of(cls, root: Path, workspace: Path) -> ExtensionHome:
        """Return the home of the ComfyUI at `root`: its own if it is on the volume, else the workspace's."""
        home = root if is_on_volume(root, workspace) else workspace / "ComfyUI"
        return cls(home=home.absolute())

    @property
    def folder(self) -> Path:
        """The folder of what is noted, and of environments."""
        return self.home.with_name(f"{self.home.name}.extensions")

    @contextmanager
    def locked(self, until_s: float, stopped: Callable[[], bool]) -> Iterator[None]:
        """Hold the lock of ComfyUI's installation; the kernel frees it with this process.

        Raises:
            WorkerTimeout: another worker held it until `until_s`, on the monotonic clock.
            InstallStopped: the installation was to be stopped.
            OSError: the volume cannot be written.
        """
        self.home.parent.mkdir(parents=True, exist_ok=True)
        with self.home.with_name(f"{self.home.name}.lock").open("a") as file:
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if stopped():
                    raise InstallStopped
                if time.monotonic() >= until_s:
                    raise WorkerTimeout("another worker is still installing")
                time.sleep(_LOCK_PAUSE_S)
            yield

    def failures(self) -> dict[str, ExtensionFailure]:
        """Return the failures that are noted, by the extension's name."""
        found = {}
        with suppress(OSError):
            for path in sorted((self.folder / "failed").glob("*.json")):
                with suppress(OSError, ValueError, TypeError):
                    found[path.stem] = ExtensionFailure(**json.loads(path.read_text("utf-8")))
        return found

    def messages(self, wanted: Sequence[Extension]) -> dict[str, str]:
        """Return what is noted about the extensions that are asked for, by their names."""
        noted = self.failures()
        return {
            each.name: noted[each.name].message
            for each in wanted
            if each.name in noted and noted[each.name].source == each.source
        }

    def note_failure(self, failure: ExtensionFailure) -> None:
        """Note why an extension could not be installed."""
        path = self._failure(failure.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(vars(failure), indent=1).encode())

    def forget_failure(self, name: str) -> None:
        """Forget why an extension could not be installed."""
        self._failure(name).unlink(missing_ok=True)

    def _failure(self, name: str) -> Path:
        return self.folder / "failed" / f"{name}.json"


@dataclass(frozen=True, kw_only=True)
class ExtensionFolder:
    """The folder that holds the folders of extensions."""

    folder: Path

    def has(self, extension: Extension) -> bool:
        """Return whether an extension is installed as it is asked for; one that somebody put there by hand counts."""
        place = self.path(extension)
        return place.is_dir() and self._source(place) in {None, extension.source}

    def path(self, extension: Extension) -> Path:
        """Return the folder of an extension."""
        return self.folder / extension.name

    def staging(self, extension: Extension) -> Path:
        """Return the folder in which it is prepared; only who holds the lock uses it."""
        return self.folder / f"{extension.name}.new{_UNUSED}"

    def aside(self, extension: Extension) -> Path:
        """Return the folder that an older version of it is moved to."""
        return self.folder / f"{extension.name}.old{_UNUSED}"

    def mark(self, folder: Path, extension: Extension) -> None:
        """Note in `folder` what was installed in it."""
        replace_file(folder / _MARK, json.dumps({"source": extension.source}).encode(), durable=True)

    def _source(self, place: Path) -> str | None:
        """Return what was installed in a folder; None if it was not installed here."""
        try:
            mark: Any = json.loads((place / _MARK).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return ""
        return str(mark.get("source", "")) if isinstance(mark, dict) else ""


def is_on_volume(root: Path, workspace: Path) -> bool:
    """Return whether ComfyUI is on the volume: below the workspace, or installed by startup.sh."""
    return (
        root.resolve().is_relative_to(workspace.resolve())
        or root.with_name(f"{root.name}.installed").exists()
    )
