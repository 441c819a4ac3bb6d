"""The folders of one job in ComfyUI: where its nodes save, where its inputs are, and how all of it is removed.

ComfyUI can delete no file, so this needs access to its file system. Each job saves in its own folder, so that two
jobs never meet, nor a job and a cached result.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from lorapod.engines.comfyui.graph import Graph, links_of
from lorapod.engines.comfyui.outputs import TEMPORARY, OutputFile
from lorapod.engines.port import LoraUse

_LORAS = "loras"


#: The folder for this worker's jobs within ComfyUI's input and output folders.
ROOT = "lorapod"
_PLAIN = re.compile(r"[^A-Za-z0-9-]+")
_NAME_CHARACTERS = 60
#: An input that no node has: ComfyUI does not pass it on, but it changes the key of the cached result.
_RERUN = "lorapod_rerun"


@dataclass(frozen=True, kw_only=True)
class ComfyFolders:
    """The folders that a ComfyUI on this machine reads and writes."""

    input: Path
    output: Path
    temp: Path
    loras: Path
    custom_nodes: Path

    @classmethod
    def of(cls, root: Path, argv: Sequence[str] = ()) -> Self:
        """Return the folders of the installation at `root`, as its command line `argv` sets them."""
        # It is started in its root, so a relative folder is one there.
        base = root / (_option(argv, "--base-directory") or "")
        temp = _option(argv, "--temp-directory")
        return cls(
            input=_option(argv, "--input-directory") or base / "input",
            output=_option(argv, "--output-directory") or base / "output",
            temp=(temp or base) / "temp",
            loras=base / "models" / _LORAS,
            custom_nodes=base / "custom_nodes",
        )

    def lend(self, lora: LoraUse, job: str) -> str:
        """Return the name by which ComfyUI finds a LoRA: its own, or that of a link in this job's folder.

        Raises:
            OSError: the link cannot be made.
        """
        with suppress(ValueError):
            return lora.path.resolve().relative_to(self.loras.resolve()).as_posix()
        folder = self.loras / job_folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / lora.path.name
        number = 1
        while link.is_symlink() and link.readlink() != lora.path:
            number += 1
            link = folder / f"{lora.path.stem}_{number}{lora.path.suffix}"
        if not link.is_symlink():
            link.symlink_to(lora.path)
        return link.relative_to(self.loras).as_posix()

    def remove_job(self, job: str, listed: Sequence[OutputFile], saved: Sequence[OutputFile] = ()) -> None:
        """Remove what a job left. Never anything else.

        Args:
            job: its id; its own folders are removed.
            listed: what its prompts list; the previews among them are removed.
            saved: what its nodes saved outside its folders.
        """
        shown = [file for file in listed if file.type == TEMPORARY]
        for place in (self.input, self.output, self.temp, self.loras):
            # The folder around it stays: another job may be making its own in it at this moment.
            shutil.rmtree(place / job_folder(job), ignore_errors=True)
        for root, files in ((self.temp, shown), (self.output, saved)):
            for path in filter(None, (_inside(root, file) for file in files)):
                with suppress(OSError):
                    path.unlink()
                    for folder in path.parents[: len(path.relative_to(root).parts) - 1]:
                        # Fails if other files are in it.
                        folder.rmdir()


def argv_of(stats: Mapping[str, Any]) -> list[str]:
    """Return the command line that a server reports it was started with."""
    system = stats.get("system")
    argv = system.get("argv") if isinstance(system, Mapping) else None
    return [str(word) for word in argv] if isinstance(argv, list) else []


def _option(argv: Sequence[str], name: str) -> Path | None:
    for place, word in enumerate(argv):
        if word == name and place + 1 < len(argv):
            return Path(argv[place + 1])
        if word.startswith(f"{name}="):
            return Path(word.partition("=")[2])
    return None


def _inside(folder: Path, file: OutputFile) -> Path | None:
    """Return the file's path if it is really below `folder`, else None."""
    relative = PurePosixPath(file.subfolder) / file.filename
    path = Path(os.path.normpath(folder / relative))
    return path if path.is_relative_to(folder) and path.resolve().is_relative_to(folder.resolve()) else None


def job_folder(job: str) -> str:
    """Return the subfolder of one job, within ComfyUI's input and output folders."""
    return f"{ROOT}/{job}"


def set_prefixes(graph: Graph, folder: str) -> None:
    """Have every node that saves under a prefix of plain text save in `folder`, in place."""
    for node_id, node in graph.items():
        prefix = node["inputs"].get("filename_prefix")
        if isinstance(prefix, str):
            node["inputs"]["filename_prefix"] = f"{folder}/{_name(prefix) or _name(node_id) or 'output'}"


def forget_cached(graph: Graph, mark: str) -> None:
    """Change every last node in place, so that ComfyUI runs it again instead of using its cache."""
    linked = {link[0] for node in graph.values() for _, link in links_of(node)}
    for node_id, node in graph.items():
        if node_id not in linked:
            node["inputs"][_RERUN] = mark


def _name(text: Any) -> str:
    """Return the last part of a prefix without what ComfyUI would expand or a file system dislikes."""
    return _PLAIN.sub("_", str(text).replace("\\", "/").rpartition("/")[2]).strip("_")[:_NAME_CHARACTERS]
