"""The models of a volume by the names of their files and the cards beside them; no model is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lorapod.errors import NotFound
from lorapod.kinds import FileKind
from lorapod.volume.file_page import ListedFile
from lorapod.volume.view import VolumeView
from lorapod.wire.catalog import ModelNotes

_CARD: Final = ".card.json"
#: What makes a folder one model, in the layout of the diffusers library.
_INDEX: Final = "model_index.json"
_TRAINED: Final = "trained"
#: Folders whose models are known to be of a kind; what the others hold, a worker says.
_KINDS: Final[Mapping[str, str]] = {"loras": "lora", "checkpoints": "checkpoint", "vae": "vae"}
#: Of a card: what a list shows.
_OF_A_LIST: Final = ("title", "tags", "base_model", "trigger_words")


def models_of(view: VolumeView) -> Sequence[dict[str, Any]]:
    """Return the models of a workspace as a list shows them, with what their cards say."""
    listed = [*_files(view, view.workspace.models), *_files(view, view.workspace.output)]
    indexes = [one.path.parent for one in listed if one.path.name == _INDEX]
    folders = {folder for folder in indexes if not any(above in indexes for above in folder.parents)}
    cards = [one.path for one in listed if one.path.name.endswith(_CARD)]
    texts = view.contents([view.workspace.relative(path) for path in cards])
    notes = {
        path.with_name(path.name.removesuffix(_CARD)): _notes(text)
        for path, text in zip(cards, texts, strict=True)
    }
    found = [_whole(view, folder, listed) for folder in folders]
    found += [
        _file(view, one)
        for one in listed
        if one.kind is FileKind.MODEL and not folders.intersection(one.path.parents)
    ]
    return [{**one, **notes.get(view.workspace.root / one["path"], {})} for one in found]


def _files(view: VolumeView, folder: Path) -> Iterator[ListedFile]:
    cursor: str | None = None
    while True:
        try:
            page = view.list_files(view.workspace.relative(folder), cursor=cursor)
        except NotFound:
            return
        yield from page.files
        cursor = page.next_cursor
        if cursor is None:
            return


def _file(view: VolumeView, file: ListedFile) -> dict[str, Any]:
    return {
        **_placed(view, file.path),
        "format": file.path.suffix[1:].lower(),
        "size_bytes": file.size_bytes,
        "modified_at": _moment(file.modified_s),
    }


def _whole(view: VolumeView, folder: Path, listed: Sequence[ListedFile]) -> dict[str, Any]:
    own = [one for one in listed if one.path.is_relative_to(folder)]
    return {
        **_placed(view, folder),
        "kind": "checkpoint",
        "format": "diffusers",
        "size_bytes": sum(one.size_bytes for one in own),
        "modified_at": _moment(max(one.modified_s for one in own)),
    }


def _placed(view: VolumeView, path: Path) -> dict[str, Any]:
    """Return what a path tells of a model: its name, its kind, the process that wrote it."""
    told: dict[str, Any] = {"path": view.workspace.relative(path)}
    if path.is_relative_to(view.workspace.output):
        within = path.relative_to(view.workspace.output)
        return {**told, "name": f"{_TRAINED}/{within.with_suffix('')}", "process_id": within.parts[0]}
    within = path.relative_to(view.workspace.models)
    folder, *inner = within.parts
    name = "/".join(inner) or folder
    told["name"] = name.removesuffix(path.suffix)
    return {**told, "kind": _KINDS[folder]} if folder in _KINDS else told


def _notes(text: bytes | None) -> dict[str, Any]:
    """Return what a list shows of a card; nothing if it cannot be read."""
    try:
        stored = json.loads(text or b"")
        known = {name: stored[name] for name in _OF_A_LIST if name in stored}
        return ModelNotes.model_validate(known).model_dump(exclude_none=True)
    except (ValueError, TypeError, RecursionError):
        return {}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
