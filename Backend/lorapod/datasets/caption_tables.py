"""Captions in other forms than a text beside each image: tables of a folder, and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

_FILE_COLUMN = "file_name"
#: The first of these that is there counts.
_TEXT_COLUMNS = ("text", "caption", "prompt")
_JSON_KEYS = ("caption", "text", "prompt", "tags")


@dataclass(frozen=True, kw_only=True)
class CaptionTable:
    """What a `metadata.jsonl` or `metadata.csv` says."""

    #: Captions by the names of their files, as the table writes them, with `/` between folders.
    captions: Mapping[str, str]
    #: Numbers of the lines that cannot be read, from 1.
    damaged_lines: Sequence[int]

    def texts_of(
        self, images: Mapping[str, str], *, folder: str = "", bare: bool = True
    ) -> Mapping[str, str]:
        """Return the captions of images by their names in the dataset.

        A row names an image by its path, else by its path in other letters, else by its name without folders if only
        one image and one row have it.

        Args:
            images: names in the dataset, by their paths where the table comes from.
            folder: the table's own folder there.
            bare: also look for names without their folders.
        """
        rows = {str(PurePosixPath(folder) / name): text for name, text in self.captions.items()}
        found: dict[str, str] = {}
        for key in (str, str.lower, _bare_name) if bare else (str, str.lower):
            free = _unique({path: name for path, name in images.items() if name not in found}, key)
            for word, path in _unique(rows, key).items():
                if word in free:
                    found[images[free[word]]] = rows.pop(path)
        return found


def read_table(path: Path) -> CaptionTable:
    """Read a table; rows without a name or a text are left out."""
    text = path.read_text(encoding="utf-8")
    damaged: list[int] = []
    rows = _csv_rows(text) if path.name.lower().endswith(".csv") else _json_rows(text, damaged)
    captions = {}
    for sent in rows:
        row = {str(column).strip().lower(): value for column, value in sent.items()}
        caption = next((row[column] for column in _TEXT_COLUMNS if isinstance(row.get(column), str)), None)
        if isinstance(name := row.get(_FILE_COLUMN), str) and caption is not None:
            captions[name.strip().replace("\\", "/")] = caption
    return CaptionTable(captions=captions, damaged_lines=damaged)


def _unique(paths: Iterable[str], key: Callable[[str], str]) -> Mapping[str, str]:
    """Return the paths by their keys, without those that share one."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return {word: group[0] for word, group in groups.items() if len(group) == 1}


def _bare_name(path: str) -> str:
    return path.rpartition("/")[2].lower()


def read_json_caption(path: Path) -> str | None:
    """Return the caption in the JSON file of one image; None if it has none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return content if isinstance(content, str) else None
    for key in _JSON_KEYS:
        match content.get(key):
            case str(text):
                return text
            case [*tags] if tags and all(isinstance(tag, str) for tag in tags):
                return ", ".join(tags)
    return None


def _json_rows(text: str, damaged: list[int]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            damaged.append(number)
            continue
        if isinstance(row, dict):
            yield row


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    try:
        yield from csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        return
