"""Captions in other forms than a text beside each image: tables of a folder, and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_FILE_COLUMN = "file_name"
#: The first of these that is there counts.
_TEXT_COLUMNS = ("text", "caption", "prompt")
_JSON_KEYS = ("caption", "text", "prompt", "tags")


def read_table(path: Path) -> Mapping[str, str] | None:
    """Return the captions in a `metadata.jsonl` or `metadata.csv` by the names of their files; None if it has none.

    Rows that are damaged, or have no name or text, are left out.
    """
    text = path.read_text(encoding="utf-8")
    rows = _csv_rows(text) if path.name.lower().endswith(".csv") else _json_rows(text)
    captions = {}
    for row in rows:
        caption = next((row[column] for column in _TEXT_COLUMNS if isinstance(row.get(column), str)), None)
        if isinstance(name := row.get(_FILE_COLUMN), str) and caption is not None:
            captions[name.strip().replace("\\", "/")] = caption
    return captions or None


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


def _json_rows(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
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
