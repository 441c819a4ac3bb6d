"""Datasets that are a JSON file: AI Toolkit's `dataset_path`, a mapping of image paths to captions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.dataset_reader.item import FoundFile, LeftOut, LeftOutCode
from lorapod.errors import InvalidInput

#: Size of the largest such file.
_LISTING_MAX_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class ListedImage:
    """One image of the list."""

    file: FoundFile
    #: What the list says of it; None: the trainer looks for a caption beside it.
    caption: str | None


def read_listing(path: Path) -> Mapping[str, Any]:
    """Return the mapping.

    Raises:
        InvalidInput: it is not a mapping in JSON.
        OSError: it cannot be read.
    """
    if path.stat().st_size > _LISTING_MAX_BYTES:
        raise InvalidInput(f"{path.name} has more than {_LISTING_MAX_BYTES} bytes.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path.name} is not JSON: a dataset is a folder, or a JSON file of image paths and captions."
        ) from error
    if not isinstance(content, dict):
        raise InvalidInput(f"{path.name} is not a mapping of image paths to captions.")
    return content


def listed_files(
    path: Path, content: Mapping[str, Any], root: Path | None, left_out: list[LeftOut]
) -> Iterator[ListedImage]:
    """Yield the files of a list that exist; add the others to `left_out`."""
    for key, fields in content.items():
        target = Path(key)
        if not target.is_absolute():
            sentence = f"{key} is not read: a list of images needs absolute paths."
            left_out.append(LeftOut(name=key, code=LeftOutCode.LISTED_MISSING, sentence=sentence))
            continue
        if root is not None and not target.resolve().is_relative_to(root.resolve()):
            sentence = f"{key} leads out of the workspace."
            left_out.append(LeftOut(name=key, code=LeftOutCode.LINK_OUTSIDE, sentence=sentence))
            continue
        try:
            stat = target.stat()
        except OSError:
            sentence = f"{key} is not there, though {path.name} lists it."
            left_out.append(LeftOut(name=key, code=LeftOutCode.LISTED_MISSING, sentence=sentence))
            continue
        caption = fields.get("caption") if isinstance(fields, dict) else None
        name = key.removeprefix(f"{path.parent}{os.sep}")
        yield ListedImage(
            file=FoundFile(name=name, path=target, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns),
            caption=caption if isinstance(caption, str) else None,
        )


def found_file(path: str) -> FoundFile | None:
    """Return the file at an absolute path, or None."""
    target = Path(path)
    try:
        stat = target.stat()
    except OSError:
        return None
    return FoundFile(name=target.name, path=target, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)
