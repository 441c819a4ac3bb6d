"""Wake a mirror when a file appears; without file events it looks at intervals."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from lorapod.storage.mirror.artifact import ArtifactKind, kind_of

logger = logging.getLogger(__name__)


class _Waking(FileSystemEventHandler):
    def __init__(self, folder: Path, wake: threading.Event) -> None:
        self._folder = folder
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake for checkpoints and samples. Logs change at every step, so they are sent at intervals."""
        for name in (event.src_path, event.dest_path):
            path = Path(os.fsdecode(name))
            if name and path.is_relative_to(self._folder) and path != self._folder:
                kind = kind_of(PurePosixPath(path.relative_to(self._folder)))
                if kind in {ArtifactKind.CHECKPOINT, ArtifactKind.SAMPLE}:
                    self._wake.set()


@contextmanager
def watching(folder: Path, wake: threading.Event) -> Iterator[None]:
    """Set `wake` at every change of an artifact below `folder`, until the end of the block.

    If the system has no file events (a limit of inotify, some file systems), `wake` is never set.
    """
    observer = Observer()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        observer.schedule(_Waking(folder, wake), str(folder), recursive=True)
        observer.start()
    except OSError as error:
        logger.warning(
            "no file events: the folder is read at intervals",
            extra={"folder": str(folder), "reason": str(error)},
        )
        yield
        return
    try:
        yield
    finally:
        observer.stop()
        observer.join()
