"""What became of the files of a remote dataset on their way, for its warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorapod.datasets.sentences import some
from lorapod.datasets.staging import StagingArea

#: Refused files that are named one by one.
_REFUSED_MAX = 20


def intake_warnings(area: StagingArea, left_out: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each file that was refused, and one for each other thing that the person should know.

    Args:
        area: what was taken.
        left_out: paths in the source that no dataset may hold.
    """
    for file in area.refusals.files[:_REFUSED_MAX]:
        yield f"{file.filename} was left out: {file.error}"
    if left_out:
        yield f"Left out, since a dataset holds images, captions and videos only: {some(left_out)}."
    if area.renamed:
        pairs = [f"{path} is {name}" for path, name in area.renamed.items()]
        yield f"Some files have other names in the dataset: {some(pairs)}."
    yield from area.notes.sentences
