"""The files that a generation of AI Toolkit has left."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from lorapod.engines.port import GeneratedFile

#: Milliseconds since the epoch, and the count; videos are WebP too, and a prompt may stand beside its picture.
_RESULT = re.compile(r"(?P<milliseconds>\d+)_(?P<count>\d+)\.(?P<ending>\w+)")

#: Where it stages files and keeps small pictures of them.
_OWN_FOLDERS = (".tmp", ".thumbs")

_PROMPT_ENDING = "txt"


def results_of(folder: Path, *, before: Collection[Path], seed: int | None) -> Sequence[GeneratedFile]:
    """What is there and was not `before`, in the order in which it was made, with the seed of all of it."""
    found = []
    for path in folder.iterdir():
        matched = _RESULT.fullmatch(path.name)
        if matched and matched["ending"] != _PROMPT_ENDING and path not in before and path.is_file():
            found.append((int(matched["count"]), int(matched["milliseconds"]), path))
    return [GeneratedFile(path=path, seed=seed) for *_, path in sorted(found)]


def tidy(folder: Path) -> None:
    """Remove what is nobody's result."""
    for name in _OWN_FOLDERS:
        for path in sorted((folder / name).glob("*")):
            path.unlink(missing_ok=True)
        if (folder / name).is_dir():
            (folder / name).rmdir()
