"""The files that a generation of AI Toolkit has left, and their seeds."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from lorapod.engines.port import GeneratedFile

#: Milliseconds since the epoch, and the count; videos are WebP too.
_RESULT = re.compile(r"(?P<milliseconds>\d+)_(?P<count>\d+)\.(?P<ending>\w+)")

_SEED = re.compile(r" --seed (?P<seed>\d+) ")

#: Where it stages files and keeps small pictures of them.
_OWN_FOLDERS = (".tmp", ".thumbs")

_PROMPT_ENDING = "txt"


def results_of(folder: Path, *, before: Collection[Path]) -> Sequence[GeneratedFile]:
    """What is there and was not `before`, in the order in which it was made."""
    found = []
    for path in folder.iterdir():
        matched = _RESULT.fullmatch(path.name)
        if matched and matched["ending"] != _PROMPT_ENDING and path not in before and path.is_file():
            found.append((int(matched["count"]), int(matched["milliseconds"]), path))
    return [GeneratedFile(path=path, seed=_seed_of(path)) for *_, path in sorted(found)]


def tidy(folder: Path, *, keep_prompts: bool) -> None:
    """Remove what is nobody's result; prompt files only where the caller has not asked for them."""
    for name in _OWN_FOLDERS:
        for path in sorted((folder / name).glob("*")):
            path.unlink(missing_ok=True)
        if (folder / name).is_dir():
            (folder / name).rmdir()
    if not keep_prompts:
        for path in folder.glob(f"*.{_PROMPT_ENDING}"):
            if _RESULT.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _seed_of(path: Path) -> int | None:
    try:
        text = path.with_suffix(f".{_PROMPT_ENDING}").read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    # The prompts come first and may say anything.
    told = _SEED.findall(f"{text} ")
    return int(told[-1]) if told else None
