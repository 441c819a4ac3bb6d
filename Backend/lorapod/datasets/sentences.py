"""Sentences about many files: names are listed up to a number, and the rest is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorapod.dataset_reader.item import LeftOut, LeftOutCode

#: Names in one sentence.
_NAMES_MAX = 3
#: Warnings in one answer.
_WARNINGS_MAX = 20

#: What is left out on purpose, or refused instead, is no warning; the look into clips says more about them.
_NOT_WARNED = frozenset(
    {LeftOutCode.CONTROLS, LeftOutCode.LINK_OUTSIDE, LeftOutCode.CLIP, LeftOutCode.SPARE_CAPTION}
)


def some(names: Sequence[str], most: int = _NAMES_MAX) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def about_left_out(left_out: Sequence[LeftOut]) -> Iterator[str]:
    """Yield one warning for each reason to leave files out; the first file's sentence stands for all."""
    for code in LeftOutCode:
        if code in _NOT_WARNED:
            continue
        files = [file for file in left_out if file.code is code]
        if not files:
            continue
        more = f" The same is true of {some([file.name for file in files[1:]])}." if len(files) > 1 else ""
        yield files[0].sentence + more


def shortened(warnings: Sequence[str]) -> Sequence[str]:
    """Return the first warnings, and how many more there are."""
    more = len(warnings) - _WARNINGS_MAX
    return [*warnings[:_WARNINGS_MAX], f"Other warnings: {more}."] if more > 0 else list(warnings)
