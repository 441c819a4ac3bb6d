"""ComfyUI's own folders, where they can be reached: it has no way to delete a file but its file system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from lorapod.engines.comfyui.outputs import TEMPORARY, OutputFile
from lorapod.engines.comfyui.prefixes import job_folder
from lorapod.engines.port import LoraUse

_LORAS = "loras"


@dataclass(frozen=True, kw_only=True)
class ComfyFolders:
    """Where a ComfyUI on this machine reads and writes."""

    input: Path
    output: Path
    temp: Path
    loras: Path

    @classmethod
    def of(cls, root: Path, argv: Sequence[str] = ()) -> Self:
        """The folders of the installation at `root`, with what its command line says of them."""
        base = _option(argv, "--base-directory") or root
        temp = _option(argv, "--temp-directory")
        return cls(
            input=_option(argv, "--input-directory") or base / "input",
            output=_option(argv, "--output-directory") or base / "output",
            temp=(temp or base) / "temp",
            loras=base / "models" / _LORAS,
        )

    def lend(self, lora: LoraUse, job: str) -> str:
        """The name under which ComfyUI finds a LoRA: its own, or one of a link in a folder of this job's.

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

    def remove_job(self, job: str, files: Sequence[OutputFile]) -> None:
        """Remove what a job left: its own folders, and the previews that its prompts made. Never anything else."""
        for place in (self.input, self.output, self.temp, self.loras):
            # The folder around it stays: another job may be making its own in it at this moment.
            shutil.rmtree(place / job_folder(job), ignore_errors=True)
        for file in files:
            if file.type == TEMPORARY and (path := _inside(self.temp, file)) is not None:
                with suppress(OSError):
                    path.unlink()


def argv_of(stats: Mapping[str, Any]) -> list[str]:
    """The command line that a server says it was started with."""
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
    """The file's path, where that is really below `folder`."""
    relative = PurePosixPath(file.subfolder) / file.filename
    path = Path(os.path.normpath(folder / relative))
    return path if path.is_relative_to(folder) and path.resolve().is_relative_to(folder.resolve()) else None
