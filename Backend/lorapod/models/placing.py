"""Put a new model into the folder of its kind, in one step and never over another model unless that is wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lorapod.atomic import sync_folder
from lorapod.errors import Conflict, InvalidInput, UnsafePath
from lorapod.models.kinds import ModelKind, folder_of
from lorapod.workspace import Workspace, safe_name

#: Hidden folder in `models/`; a process makes its model in its own folder there.
INCOMING = ".incoming"


def name_parts(name: str) -> list[str]:
    """Return the folders and the file name in a model's name.

    Raises:
        InvalidInput: one of them is not a plain name.
    """
    parts = PurePosixPath(name).parts
    if not parts:
        raise InvalidInput(f"name: {name!r} is not a plain name.")
    return [safe_name(part, field="name") for part in parts]


def target_of(workspace: Workspace, kind: ModelKind, parts: Sequence[str]) -> Path:
    """Return where a model of that kind and name goes.

    Raises:
        UnsafePath: its folder is a link that leads outside the workspace.
    """
    target = workspace.models.joinpath(folder_of(kind), *parts)
    if not target.parent.resolve().is_relative_to(workspace.root):
        raise UnsafePath(
            f"The folder of {workspace.relative(target)} is a link that leads outside the workspace."
        )
    return target


def place(workspace: Workspace, part: Path, target: Path, *, overwrite: bool = False) -> None:
    """Move the whole file `part`, of the same disk, to its name; durable when this returns.

    Raises:
        Conflict: there is a model of that name, and `overwrite` is not set; also if two come at once.
        OSError: the disk failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    if overwrite:
        part.replace(target)
    else:
        _move_if_free(workspace, part, target)
    sync_folder(target.parent)


def taken(workspace: Workspace, target: Path, *, hint: str) -> Conflict:
    """Return the refusal of a name that another model has."""
    return Conflict(f"There is a model {workspace.relative(target)} already.", hint=hint)


def _move_if_free(workspace: Workspace, part: Path, target: Path) -> None:
    hint = "Give another `name`."
    try:
        os.link(part, target)
    except FileExistsError:
        raise taken(workspace, target, hint=hint) from None
    except OSError:
        # A file system without hard links.
        if target.exists():
            raise taken(workspace, target, hint=hint) from None
        part.rename(target)
    else:
        part.unlink()
