"""`lorapod.toml`: which endpoint the commands in this folder talk to. It holds no secret."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The environment variable that names another file.
FILE_VARIABLE = "LORAPOD_FILE"
FILE_NAME = "lorapod.toml"

_COMMENT = "Written by `lorapod deploy`; commands in this folder use the endpoint. It holds no secret."

#: The file's names of ids.
_IDS = ("endpoint", "front_door", "volume", "data_center")


class ProjectFileDamaged(ValueError):
    """The file cannot be read."""


@dataclass(frozen=True, kw_only=True)
class ProjectFile:
    """What the file says."""

    #: Id of the endpoint that trains.
    endpoint: str | None = None
    #: Id of the CPU endpoint on the same volume.
    front_door: str | None = None
    volume: str | None = None
    data_center: str | None = None
    #: The options of `lorapod deploy` that were given, so that its next run has them.
    deploy: Mapping[str, Any] = field(default_factory=dict)


def project_path() -> Path:
    """Return the file of this folder, or the one that `LORAPOD_FILE` names."""
    return Path(os.environ.get(FILE_VARIABLE) or FILE_NAME)


def read_project(path: Path) -> ProjectFile:
    """Return what the file says; nothing if there is none.

    Raises:
        ProjectFileDamaged: it is not TOML, or a value has another type.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return ProjectFile()
    except (ValueError, OSError) as error:
        raise ProjectFileDamaged(f"{path} cannot be read: {error}. Correct it, or delete it.") from None
    ids = {name: document.get(name) for name in _IDS}
    wrong = [name for name, value in ids.items() if value is not None and not isinstance(value, str)]
    deploy = document.get("deploy", {})
    if wrong or not isinstance(deploy, dict):
        named = wrong[0] if wrong else "deploy"
        raise ProjectFileDamaged(f"{path}: {named!r} has a wrong type. Correct it, or delete the line.")
    return ProjectFile(**ids, deploy=deploy)


def write_project(path: Path, project: ProjectFile) -> None:
    """Write the file; comments and other tables in it stay."""
    import tomlkit  # only the commands that write need it

    try:
        document = tomlkit.parse(path.read_text("utf-8"))
    except FileNotFoundError:
        document = tomlkit.document()
        document.add(tomlkit.comment(_COMMENT))
    for name in _IDS:
        value = getattr(project, name)
        if value is not None:
            document[name] = value
        elif name in document:
            del document[name]
    if project.deploy:
        table = tomlkit.table()
        for name, value in sorted(project.deploy.items()):
            table[name] = value
        document["deploy"] = table
    elif "deploy" in document:
        del document["deploy"]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(tomlkit.dumps(document), encoding="utf-8")
    beside.replace(path)
