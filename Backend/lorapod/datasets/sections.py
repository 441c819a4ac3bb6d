"""A dataset of this worker as entries of a config's `datasets`: each folder that an intake kept apart has its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorapod.datasets.layout import CONTROLS
from lorapod.datasets.repeats import repeats_of
from lorapod.folders import entries_of, files_below
from lorapod.kinds import FileKind, is_hidden, kind_of

#: Keys whose folder may be one that an intake keeps beside the images: `_controls`, `mask/_controls`.
_BESIDE_KEYS = (
    "control_path",
    "control_path_1",
    "control_path_2",
    "control_path_3",
    "mask_path",
    "inpaint_path",
)
#: How an answer names such a folder; a path in the workspace has more parts.
_BESIDE = re.compile(rf"(?:[^./][^/]*/)?{CONTROLS}/?")
_LEARNT = {FileKind.IMAGE, FileKind.VIDEO}


def sections_of(section: Mapping[str, Any], folder: Path, *, learns_pairs: bool) -> list[dict[str, Any]]:
    """Return the entries that stand for `section` with the dataset at `folder`.

    Args:
        section: the entry as the caller wrote it.
        folder: the dataset; before it is fetched it does not exist, and its own folders are not known.
        learns_pairs: whether the model learns from images and control images; the control images that were uploaded
            with the dataset are then named without the caller's help.

    Raises:
        OSError: a folder cannot be read now.
    """
    placed = {**section, "folder_path": str(folder)}
    placed.pop("dataset_path", None)
    for key in _BESIDE_KEYS:
        if key in placed:
            placed[key] = _in_dataset(placed[key], folder)
    named = any(placed.get(key) for key in _BESIDE_KEYS[:4])
    if learns_pairs and not named and _learnt_in(folder / CONTROLS):
        placed["control_path"] = str(folder / CONTROLS)
    repeats = _repeats(folder) if "num_repeats" not in section else {}
    return [
        {**placed, "folder_path": str(folder / name), "num_repeats": count} for name, count in repeats.items()
    ] or [placed]


def _in_dataset(value: Any, folder: Path) -> Any:
    """Return the path of a folder that an intake keeps in the dataset; any other value as it is."""
    if isinstance(value, list):
        return [_in_dataset(one, folder) for one in value]
    if isinstance(value, str) and _BESIDE.fullmatch(value):
        return str(folder / value)
    return value


def _repeats(folder: Path) -> Mapping[str, int]:
    """Return the dataset's folders by how often each is repeated, if every image is in such a folder."""
    counts: dict[str, int] = {}
    for entry in entries_of(folder):
        if entry.is_dir(follow_symlinks=False):
            count = repeats_of(entry.name)
            if is_hidden(entry.name) or entry.name == CONTROLS or not _learnt_in(Path(entry.path)):
                continue
            if count is None:
                return {}
            counts[entry.name] = count
        elif kind_of(entry.name) in _LEARNT:
            return {}
    return counts


def _learnt_in(folder: Path) -> bool:
    """Return whether the folder, or one below it that is not for control images, holds an image."""
    below = files_below(folder, skip=lambda name: is_hidden(name) or name == CONTROLS)
    return any(kind_of(entry.name) in _LEARNT for entry in below)
