"""The folders of the workspace, and the one way from a caller's path to a real one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lorapod.errors import InvalidInput, UnsafePath

#: Roots that callers may write in front of a path, although the workspace may be elsewhere.
ROOT_ALIASES = ("/workspace", "/runpod-volume")

#: Longest path and longest single name that a request may carry, in bytes (Linux's own limits).
PATH_MAX_BYTES = 4095
NAME_MAX_BYTES = 255

CONFIG_NAME = "config.yaml"

_NAME = re.compile(r"[^\W_][\w .+()\[\]-]*", re.UNICODE)


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The folder layout under one root.

    ```
    training_data/<training_name>/   images and captions
    models/                          base models and downloads
    output/<process_id>/             what a trainer writes
    logs/<process_id>.log            its output
    processes/<process_id>/          record, config, control requests
    ```

    A process of a session has its config and output in the session's folder instead; see `sessions.py`.
    """

    root: Path

    @classmethod
    def create(cls, root: Path) -> Workspace:
        """Make missing folders; the root becomes absolute, symlinks resolved.

        Raises:
            OSError: the root cannot be created or written.
        """
        root.mkdir(parents=True, exist_ok=True)
        workspace = cls(root=root.resolve())
        for folder in (workspace.training_data, workspace.models, workspace.output, workspace.logs):
            folder.mkdir(exist_ok=True)
        workspace.processes.mkdir(exist_ok=True)
        return workspace

    @property
    def training_data(self) -> Path:
        """Datasets, a folder each."""
        return self.root / "training_data"

    @property
    def models(self) -> Path:
        """Base models."""
        return self.root / "models"

    @property
    def output(self) -> Path:
        """Artifacts, a folder for each process."""
        return self.root / "output"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.root / "logs"

    @property
    def processes(self) -> Path:
        """Records, a folder for each process."""
        return self.root / "processes"

    def process_folder(self, process_id: str) -> Path:
        """Record, config and control requests of one process."""
        return self.processes / process_id

    def output_folder(self, process_id: str, session: str | None = None) -> Path:
        """Return the `training_folder` of one process; `session` is the folder of its session, relative to the root."""
        return self.output / process_id if session is None else self.root / session / "output"

    def config_path(self, process_id: str, session: str | None = None) -> Path:
        """The config of one process, as its trainer gets it."""
        folder = self.process_folder(process_id) if session is None else self.root / session
        return folder / CONFIG_NAME

    def log_path(self, process_id: str) -> Path:
        """The log of one process."""
        return self.logs / f"{process_id}.log"

    def relative(self, path: Path) -> str:
        """Return `path` as answers and events show it: relative to the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def safe_path(self, text: str) -> Path:
        """Return the real path behind a caller's path, symlinks resolved; it need not exist.

        Args:
            text: relative to the root, or absolute under the root or one of `ROOT_ALIASES`.

        Raises:
            UnsafePath: it is empty, malformed, or ends outside the root.
        """
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        if not text or "\0" in text:
            raise UnsafePath(f"The path {shown!r} is empty or holds a NUL byte.")
        try:
            encoded = text.encode()
        except UnicodeEncodeError as error:
            raise UnsafePath(f"The path {shown!r} is not valid Unicode.") from error
        too_long = any(len(part.encode()) > NAME_MAX_BYTES for part in PurePosixPath(text).parts)
        if too_long or len(encoded) > PATH_MAX_BYTES:
            raise UnsafePath(f"The path {shown!r} is too long: {len(encoded)} bytes.")
        try:
            resolved = (self.root / self.below_root(text)).resolve()
        except (OSError, RuntimeError) as error:
            raise UnsafePath(f"The path {shown!r} cannot be resolved.") from error
        if not resolved.is_relative_to(self.root):
            raise UnsafePath(
                f"The path {shown!r} leads outside the workspace.",
                hint="Give a path relative to the workspace, as answers show it.",
            )
        return resolved

    def meant(self, text: str) -> str | None:
        """Return the path of the dataset that a name without its folder means (`reg`: `training_data/reg`), if there is one."""
        try:
            path = self.safe_path(f"{self.training_data.name}/{text}")
        except UnsafePath:
            return None
        return self.relative(path) if path != self.training_data and path.exists() else None

    def below_root(self, text: str) -> PurePosixPath:
        """Return a caller's path relative to the root; one that is absolute elsewhere stays as it is."""
        path = PurePosixPath(text)
        if not path.is_absolute():
            return path
        for root in (str(self.root), *ROOT_ALIASES):
            if path.is_relative_to(root):
                return path.relative_to(root)
        return path


def safe_name(text: str, *, field: str) -> str:
    """Return `text` if it can be the name of one file or folder.

    Letters and digits of any script, space and `_ . + - ( ) [ ]`, beginning with a letter or digit: no separator,
    no hidden file, no name that a shell or an archive tool reads as an option.

    Raises:
        InvalidInput: it cannot; `field` names the request's field in the message.
    """
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{field}: {shown!r} is not valid Unicode.") from error
    if size > NAME_MAX_BYTES:
        raise InvalidInput(f"{field}: {shown!r} is too long: {size} bytes, {NAME_MAX_BYTES} at most.")
    if not _NAME.fullmatch(text) or text != text.strip():
        raise InvalidInput(
            f"{field}: {shown!r} is not a plain name.",
            hint="Use letters, digits, spaces and _ . + - ( ) [ ], beginning with a letter or digit.",
        )
    return text
