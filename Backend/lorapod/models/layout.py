"""How the models of a volume are laid out, and what keeps engines from finding them."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Thread
from types import MappingProxyType

from lorapod.folders import entries_of, files_below
from lorapod.kinds import CAPTION_SUFFIXES, FileKind, is_hidden, kind_of, suffix_of
from lorapod.models.kinds import SWARMUI_NAMES
from lorapod.models.links import COMFYUI_FOLDERS, EXTENSION_FOLDERS, ROOT_FOLDERS
from lorapod.settings import POD_VOLUME, SERVERLESS_VOLUME, Settings
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: Names that other programs and people give to ComfyUI's folders, in small letters.
_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **{name.lower(): name for name in COMFYUI_FOLDERS},
        "stable-diffusion": "checkpoints",
        "stable_diffusion": "checkpoints",
        "ckpt": "checkpoints",
        "lora": "loras",
        "lycoris": "loras",
        "embedding": "embeddings",
        "textual_inversion": "embeddings",
        "esrgan": "upscale_models",
        "realesrgan": "upscale_models",
        "upscalers": "upscale_models",
    }
)
#: Folders that appear on a volume if a copy kept the path of another machine.
_COPIED_ROOTS = frozenset({"workspace", "runpod-volume", "models"})
#: Like a folder's name from this on; `sam3` must not pass for `sams`.
_LIKE = 0.85

#: Further suffixes of models that ComfyUI's loaders take.
_MODEL_SUFFIXES = frozenset({".sft", ".onnx", ".engine", ".pkl"})
#: What lies beside models: texts, previews, configs.
_BESIDE = frozenset({FileKind.IMAGE, FileKind.VIDEO, FileKind.CONFIG, FileKind.CAPTION})
_BESIDE_SUFFIXES = frozenset({*CAPTION_SUFFIXES, ".md", ".info", ".html", ".csv", ".model", ".py"})
#: A smaller file is no model: a pointer of Git LFS has about 130 bytes.
_LEAST_BYTES = 1024

#: Bounds of one look, so that it stays short on a volume with very many files.
_FILES_MAX = 20_000
_COUNTED_MAX = 100
_NAMED_MAX = 3


@dataclass(frozen=True, kw_only=True)
class LayoutReport:
    """What was found on a volume."""

    #: One sentence each: what is where, and where it belongs.
    problems: Sequence[str] = ()
    #: How many models each folder below `models/` holds; only of a whole look.
    folders: Mapping[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> Sequence[str]:
        """The folders below `models/` without a model."""
        return [name for name, count in self.folders.items() if not count]


def look_at_layout(workspace: Workspace, *, whole: bool) -> LayoutReport:
    """Look for models where no engine looks; blocks while folders are read.

    Args:
        workspace: the volume.
        whole: also count the models of each folder, and name files there that are not models.

    Raises:
        OSError: a folder cannot be read now.
    """
    problems = [*_at_root(workspace), *_below_models(workspace)]
    folders: dict[str, int] = {}
    if whole:
        for entry in _folders(workspace.models):
            folders[entry.name], others = _look_into(Path(entry.path))
            problems += others
        if not any(folders.values()):
            problems.append("There is no model below `models/`.")
    return LayoutReport(problems=problems, folders=folders)


def missing_volume(settings: Settings) -> str:
    """Return a sentence if a serverless worker has no network volume; an empty text if it has one, or needs none."""
    if not settings.serverless or settings.workspace_root != POD_VOLUME or POD_VOLUME.is_mount():
        return ""
    return (
        f"No network volume is mounted at {SERVERLESS_VOLUME}: attach one to the endpoint (Advanced, Network Volume), or "
        "set WORKSPACE_PATH."
    )


def begin_look(settings: Settings, workspace: Workspace) -> None:
    """Look in its own thread, and log the result: a warning if models are laid wrongly.

    With `NETWORK_VOLUME_DEBUG`, log everything that was found.
    """
    Thread(target=look_and_log, args=(settings, workspace), name="volume-layout", daemon=True).start()


def look_and_log(settings: Settings, workspace: Workspace) -> None:
    """Look, and log the result."""
    whole = settings.network_volume_debug
    try:
        report = look_at_layout(workspace, whole=whole)
    except OSError as error:
        logger.warning("cannot look at the volume", extra={"reason": error.strerror or str(error)})
        return
    if not whole:
        if report.problems:
            logger.warning("models are laid wrongly", extra={"problem": short_text(report)})
        return
    found = {name: count for name, count in report.folders.items() if count}
    logger.info(
        "models of the volume",
        extra={"root": str(workspace.root), "models": found, "empty_folders": list(report.empty)},
    )
    for problem in filter(None, [missing_volume(settings), *report.problems]):
        logger.warning("models are laid wrongly", extra={"problem": problem})


def short_text(report: LayoutReport) -> str:
    """Return the first problem, and how to see the others."""
    more = len(report.problems) - 1
    left = f" So are {more} more." if more else ""
    return f"{report.problems[0]}{left} NETWORK_VOLUME_DEBUG=true lists everything."


def _at_root(workspace: Workspace) -> Iterator[str]:
    for entry in entries_of(workspace.root):
        if is_hidden(entry.name):
            continue
        if not entry.is_dir():
            if _is_model(entry.name):
                yield f"`{_shown(entry)}` lies at the volume's root, where no engine looks: move it into the folder of its kind below `models/`."
            continue
        if entry.name == workspace.models.name or _leads_into(entry, workspace.models):
            continue
        name = _OTHER_NAMES.get(entry.name.lower())
        if name is not None and (count := _count(entry.path)):
            linked = SWARMUI_NAMES.get(entry.name, entry.name) in ROOT_FOLDERS
            where = "where only links of this worker lead" if linked else "where no engine looks"
            yield f"`{_shown(entry)}/` lies at the volume's root, {where}, with {count}: move it to `models/{name}/`."
        elif entry.name in _COPIED_ROOTS:
            yield from _copied(Path(entry.path), entry.name)


def _below_models(workspace: Workspace) -> Iterator[str]:
    for entry in entries_of(workspace.models):
        if is_hidden(entry.name):
            continue
        if not entry.is_dir():
            if _is_model(entry.name):
                yield f"`models/{_shown(entry)}` is in no folder: move it into the folder of its kind, such as `models/checkpoints/`."
        elif entry.name in _COPIED_ROOTS:
            yield from _copied(Path(entry.path), f"models/{entry.name}")
        elif entry.name not in COMFYUI_FOLDERS and (meant := _meant(entry.name)) and _count(entry.path):
            yield f"`models/{_shown(entry)}/` is not a folder of ComfyUI: move its models to `models/{meant}/`."


def _copied(folder: Path, shown: str) -> Iterator[str]:
    """Name a whole tree of models that a copy put one folder too deep."""
    models = folder / "models" if (folder / "models").is_dir() else folder
    inner = [entry for entry in _folders(models) if entry.name.lower() in _OTHER_NAMES and _count(entry.path)]
    if inner:
        where = shown if models == folder else f"{shown}/models"
        yield f"`{where}/{_shown(inner[0])}/` lies too deep on the volume: move what is in `{where}/` to `models/`."


def _look_into(folder: Path) -> tuple[int, list[str]]:
    """Return how many models a folder holds, and what about its files is wrong."""
    count, others, small = 0, [], []
    for entry in islice(files_below(folder, skip=is_hidden), _FILES_MAX):
        within = f"models/{folder.name}/{Path(entry.path).relative_to(folder)}"
        if _is_model(entry.name):
            if entry.is_file() and entry.stat().st_size < _LEAST_BYTES:
                small.append(within)
            else:
                count += 1
        elif folder.name not in EXTENSION_FOLDERS and not _beside(entry.name):
            others.append(within)
    problems = []
    if others:
        problems.append(
            f"{_named(others)} cannot be loaded: ComfyUI reads no file with such a suffix as a model."
        )
    if small:
        problems.append(
            f"{_named(small)} cannot be loaded: smaller than {_LEAST_BYTES} bytes, so most likely a broken download or a "
            "pointer of Git LFS."
        )
    return count, problems


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in entries_of(folder) if entry.is_dir() and not is_hidden(entry.name)]


def _count(path: str) -> str:
    """Return how many models a folder holds, as a text; an empty text if it holds none."""
    files = islice(files_below(path, skip=is_hidden), _FILES_MAX)
    count = sum(1 for _ in islice((entry for entry in files if _is_model(entry.name)), _COUNTED_MAX))
    more = "or more " if count == _COUNTED_MAX else ""
    return f"{count} {more}model{'' if count == 1 else 's'}" if count else ""


def _meant(name: str) -> str | None:
    """Return the folder that a name most likely means."""
    if (known := _OTHER_NAMES.get(name.lower())) is not None:
        return known
    like = difflib.get_close_matches(name.lower()[:100], list(_OTHER_NAMES), n=1, cutoff=_LIKE)
    return _OTHER_NAMES[like[0]] if like else None


def _is_model(name: str) -> bool:
    return kind_of(name) is FileKind.MODEL or suffix_of(name) in _MODEL_SUFFIXES


def _beside(name: str) -> bool:
    shipped = name.startswith("put_") and name.endswith("_here")
    return (
        shipped
        or not suffix_of(name)
        or is_hidden(name)
        or kind_of(name) in _BESIDE
        or suffix_of(name) in _BESIDE_SUFFIXES
    )


def _leads_into(entry: os.DirEntry[str], folder: Path) -> bool:
    return entry.is_symlink() and Path(entry.path).resolve().is_relative_to(folder)


def _named(paths: Sequence[str]) -> str:
    """Return the first paths as a person lists them."""
    shown = ", ".join(f"`{_text(path)}`" for path in paths[:_NAMED_MAX])
    more = len(paths) - _NAMED_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def _shown(entry: os.DirEntry[str]) -> str:
    return _text(entry.name)


def _text(name: str) -> str:
    """Return a name that may not be UTF-8 as a text that any answer can hold."""
    return os.fsencode(name).decode(errors="replace")
