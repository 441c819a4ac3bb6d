"""The output that the supervisor reads, as AI Toolkit writes it: milestones on stdout, a progress bar on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Never, TypeVar

from tqdm import tqdm

ItemT = TypeVar("ItemT")


def say(line: str = "") -> None:
    """Write one milestone."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def quiet_libraries() -> None:
    """Keep the libraries' own progress bars and advice out of the output; call this before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def banner(text: str) -> None:
    """Write a line between two rules."""
    rule = "=" * 40
    say(f"\n{rule}\n{text}\n{rule}")


def training_bar(name: str, *, total: int, done: int) -> tqdm[Never]:
    """Return the progress bar of the training: `name:  5%|▌ | 1/20 […]`."""
    return tqdm(total=total, initial=done, desc=name, leave=True, file=sys.stderr, dynamic_ncols=False)


def following(items: Iterable[ItemT], title: str, total: int) -> Iterator[ItemT]:
    """Yield `items` with a progress bar of their own, which disappears at the end."""
    yield from tqdm(items, desc=title, total=total, leave=False, file=sys.stderr)
