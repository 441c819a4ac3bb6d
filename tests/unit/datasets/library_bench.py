from __future__ import annotations

import base64
import io
import random
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from lorapod.datasets.library import DatasetLibrary, Receipt
from lorapod.settings import Settings
from lorapod.wire.dataset import IncomingFile
from lorapod.workspace import Workspace

#: How a video begins; its content does not matter to the worker.
MP4_HEAD = b"\0\0\0\x18ftypisom"


def picture(form: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", size, random.Random(3).randbytes(size[0] * size[1] * 3)).save(file, form)
    return file.getvalue()


def packed(entries: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(entries: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def incoming(name: str, content: bytes | str = b"", **fields: Any) -> IncomingFile:
    text = content if isinstance(content, str) else base64.b64encode(content).decode()
    return IncomingFile(filename=name, content=text, **fields)


class LibraryBench:
    """A library on a workspace of its own, with everything a test asks of it."""

    def __init__(self, root: Path, **fields: Any) -> None:
        self.workspace = Workspace.create(root)
        settings = Settings(workspace_path=root, **({"disk_min_free_bytes": 0} | fields))
        #: The process that reads every dataset, if one does.
        self.reader: str | None = None
        self.library = DatasetLibrary(
            workspace=self.workspace, settings=settings, find_reader=lambda *_: self.reader
        )
        self.folder = self.workspace.training_data / "matt"

    def receive(self, *files: IncomingFile, **fields: Any) -> Receipt:
        return self.library.receive(files, **({"training_name": "matt"} | fields))

    def visible(self) -> dict[str, bytes]:
        """The dataset's files."""
        if not self.folder.is_dir():
            return {}
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def hidden(self) -> list[str]:
        """Every file of the workspace that is in no dataset."""
        return sorted(
            path.relative_to(self.workspace.root).as_posix()
            for path in self.workspace.root.rglob("*")
            if path.is_file() and not path.is_relative_to(self.folder)
        )
