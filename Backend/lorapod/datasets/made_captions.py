"""The captions of a dataset that the worker itself wrote; a caption that a person sends replaces them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

#: Where they are noted, in the dataset: no trainer looks into a hidden folder.
NOTE = ".lorapod/made_captions.json"


class MadeCaptions:
    """Names of captions with the digest of what was written; an edited one is no longer the worker's."""

    def __init__(self, dataset: Path | None) -> None:
        """Read what is noted in a dataset; None: nothing is."""
        self._dataset = dataset
        self._digests: dict[str, str] = dict(_read(dataset / NOTE)) if dataset is not None else {}

    def includes(self, name: str) -> bool:
        """Return whether the caption of the dataset is still as the worker wrote it."""
        if self._dataset is None or name not in self._digests:
            return False
        return _digest((self._dataset / name).read_bytes()) == self._digests[name]

    def add(self, name: str, text: str) -> None:
        """Note a caption that the worker writes."""
        self._digests[name] = _digest(text.encode())

    def write(self, folder: Path) -> None:
        """Write the note into a folder that becomes the dataset, or is added to it."""
        if self._digests:
            (folder / NOTE).parent.mkdir(exist_ok=True)
            (folder / NOTE).write_text(json.dumps(self._digests), encoding="utf-8")


def _read(path: Path) -> Mapping[str, str]:
    try:
        noted = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(digest) for name, digest in noted.items()} if isinstance(noted, dict) else {}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
