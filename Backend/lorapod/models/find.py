"""The models of the workspace, found by their names alone: no file is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lorapod.folders import entries_of, files_below
from lorapod.kinds import FileKind, is_hidden, kind_of
from lorapod.models.kinds import ModelKind, kind_of_folder
from lorapod.sessions import session_outputs
from lorapod.weights import SUFFIX
from lorapod.workspace import Workspace

#: What makes a folder one model, in the layout of the diffusers library.
DIFFUSERS_INDEX = "model_index.json"

#: The folder among the LoRAs that shows every process's output to programs that generate.
TRAINED = "trained"

#: Deeper folders are not looked into: nothing that people make is, and a circle of links ends here at the latest.
MAX_DEPTH = 12


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A model file, or a folder in diffusers' layout."""

    #: Absolute; links are not resolved.
    path: Path
    #: From its folder; None if the folder does not show it.
    kind: ModelKind | None
    #: Its path below the folder of its kind, without the suffix: as programs that generate name it.
    name: str
    diffusers: bool = False
    #: The process that wrote it, if it is in the output folder of one.
    process_id: str | None = None

    @property
    def format(self) -> str:
        """`diffusers`, or the suffix without its dot."""
        return "diffusers" if self.diffusers else self.path.suffix[1:].lower()


def find_models(workspace: Workspace) -> list[FoundModel]:
    """Return every model below `models/`, and every safetensors file below `output/` and in sessions, by path.

    Links are followed to wherever they lead inside the workspace, but not to what is found anyway.
    """
    found = [*_ModelWalk(workspace).models(), *_trained(workspace)]
    return sorted(found, key=lambda model: model.path.parts)


class _ModelWalk:
    """One walk through `models/`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._own = (workspace.models, workspace.output, *session_outputs(workspace))

    def models(self) -> Iterator[FoundModel]:
        root = self._workspace.models
        for entry in _entries(root):
            if self._is_folder(entry):
                yield from self._below(Path(entry.path), kind_of_folder(entry.name), PurePosixPath())
            elif self._is_model(entry):
                path = Path(entry.path)
                yield FoundModel(path=path, kind=None, name=path.stem)

    def _below(self, folder: Path, kind: ModelKind | None, inner: PurePosixPath) -> Iterator[FoundModel]:
        entries = _entries(folder)
        if any(entry.name == DIFFUSERS_INDEX for entry in entries):
            name = inner.as_posix() if inner.parts else folder.name
            yield FoundModel(path=folder, kind=kind or ModelKind.CHECKPOINT, name=name, diffusers=True)
            return
        for entry in entries:
            within = inner / entry.name
            if self._is_folder(entry):
                if len(within.parts) < MAX_DEPTH:
                    yield from self._below(Path(entry.path), kind, within)
            elif self._is_model(entry):
                yield FoundModel(path=Path(entry.path), kind=kind, name=within.with_suffix("").as_posix())

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        if not entry.is_symlink():
            return entry.is_dir()
        target = self._target(entry)
        return target is not None and target.is_dir() and not self._found_anyway(target)

    def _is_model(self, entry: os.DirEntry[str]) -> bool:
        if kind_of(entry.name) is not FileKind.MODEL:
            return False
        if not entry.is_symlink():
            return entry.is_file()
        target = self._target(entry)
        return target is not None and target.is_file() and not self._found_anyway(target)

    def _target(self, entry: os.DirEntry[str]) -> Path | None:
        """Return where a link leads; None if that is outside the workspace, or does not exist."""
        try:
            target = Path(entry.path).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return target if target.is_relative_to(self._workspace.root) else None

    def _found_anyway(self, target: Path) -> bool:
        return any(target.is_relative_to(folder) for folder in self._own)


def _trained(workspace: Workspace) -> Iterator[FoundModel]:
    """Yield the weights that trainers wrote; their other files are a trainer's own state."""
    for process in _entries(workspace.output):
        if not process.is_dir(follow_symlinks=False):
            continue
        for path in _weights(process.path):
            within = PurePosixPath(path.relative_to(workspace.output))
            yield FoundModel(
                path=path,
                kind=None,
                name=(PurePosixPath(TRAINED) / within).with_suffix("").as_posix(),
                process_id=process.name,
            )
    for output in session_outputs(workspace):
        for path in _weights(output):
            name = PurePosixPath(workspace.relative(path)).with_suffix("").as_posix()
            yield FoundModel(path=path, kind=None, name=name)


def _weights(top: str | Path) -> Iterator[Path]:
    for entry in files_below(top, skip=is_hidden):
        if entry.name.endswith(SUFFIX) and not is_hidden(entry.name):
            yield Path(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, by name; nothing if it is gone or the worker has no right to read it."""
    try:
        return [entry for entry in entries_of(folder) if not is_hidden(entry.name) and _is_text(entry.name)]
    except PermissionError:
        return []


def _is_text(name: str) -> bool:
    """Return whether a name is UTF-8: no answer and no request can contain others."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
