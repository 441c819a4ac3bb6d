"""The path of a download on this machine: its folders are made, and another file is replaced only after a question."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import typer

from lorapod.client.client import Client
from lorapod.client.commands.screen import Screen, is_interactive
from lorapod.client.errors import LorapodError
from lorapod.records.process_id import is_process_id

#: Enough to be told the name and the digest of a file.
_FIRST_BYTE = 1


#: What looks like the id of a process.
_LIKE_AN_ID = re.compile(r"[a-z]+_\w+")

#: A path of another system, which would be one file name here.
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")


def workspace_path(text: str) -> str:
    """Return a path of the workspace as it was meant; names there have no backslash."""
    return text.replace("\\", "/")


def source_of(text: str) -> str:
    """Return what is to be downloaded: the id of a process, or a path of the workspace.

    Raises:
        typer.BadParameter: it looks like an id, and is none.
    """
    if _LIKE_AN_ID.fullmatch(text) and not is_process_id(text):
        raise typer.BadParameter(
            f"{text!r} is neither a process id, such as train_0123456789ab, nor a path", param_hint="SOURCE"
        )
    return workspace_path(text)


def check_place(to: str) -> None:
    """Refuse a path of Windows on another system, where it would be the name of one file.

    Raises:
        typer.BadParameter: it is one.
    """
    if os.sep == "/" and _WINDOWS.match(to):
        raise typer.BadParameter(
            f"{to!r} is a path of Windows, and this machine is another", param_hint="--to"
        )


@dataclass(kw_only=True)
class IncomingDownload:
    """One file that is about to be downloaded."""

    client: Client
    source: str
    #: Whether it comes from the volume, which tells no digest.
    by_volume: bool
    _known: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, client: Client, source: str) -> IncomingDownload:
        """Look at nothing yet."""
        by_volume = client.needs_no_worker("process_status", {"process_id": source})
        return cls(client=client, source=source, by_volume=by_volume)

    def target(self, to: str) -> Path:
        """Return the file for it: `to`, with its own suffix if that has none, or its own name in the folder `to`.

        Raises:
            LorapodError: the worker has no such file.
        """
        path = Path(to)
        if to.endswith(("/", os.sep)) or path.is_dir():
            return path / self.name
        return path if path.suffix else path.with_name(f"{path.name}{PurePosixPath(self.name).suffix}")

    @property
    def name(self) -> str:
        """Its name on the worker."""
        if not is_process_id(self.source):
            return PurePosixPath(self.source).name
        if not self.by_volume:
            return Path(str(self._told()["filename"])).name
        process = self.client.call("process_status", process_id=self.source)
        final = [one for one in process.get("checkpoints") or () if one.get("final")]
        return PurePosixPath(final[0]["path"]).name if final else self.source

    def is_at(self, target: Path) -> bool:
        """Return whether the file there is the same."""
        if self.by_volume:
            return False
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self._told().get("sha256")

    def _told(self) -> Mapping[str, Any]:
        if self._known is None:
            if is_process_id(self.source):
                self._known = self.client.call("download", process_id=self.source, length=_FIRST_BYTE)
            else:
                self._known = self.client.call("download_file", file_path=self.source, length=_FIRST_BYTE)
        return self._known


def confirm_overwrite(screen: Screen, target: Path, *, yes: bool) -> None:
    """Have a person confirm that another file is replaced; with `yes`, do not ask.

    Raises:
        LorapodError: it must not be, or there is no terminal to ask on.
        typer.Exit: the person does not want it.
    """
    if target.is_dir():
        raise LorapodError(
            f"{target} is a folder.", hint=f"--to {target}/ puts the file into it.", code="conflict"
        )
    if yes:
        return
    if not is_interactive():
        raise LorapodError(
            f"{target} is another file, and it was not replaced.",
            code="conflict",
            hint="--to names another place, and --overwrite replaces it.",
        )
    if not screen.confirm(f"{target} is another file. Replace it?"):
        screen.note(["Nothing was downloaded."])
        raise typer.Exit(1)
