"""Images of one intake that are converted: under which name they go on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from itertools import chain, count

from lorapod.datasets.intake import StagedFile, digest
from lorapod.datasets.looks.conversion import convert_image
from lorapod.kinds import suffix_of
from lorapod.wire.dataset import CONVERTED_SUFFIXES, FixedFile


def converted(file: StagedFile, *, fix: bool, taken: Container[str]) -> StagedFile:
    """Return the file as trainers need it: an image of another format is converted where it lies.

    Args:
        file: as it was received.
        fix: also convert images that trainers read, but see otherwise than a person does.
        taken: names that other files of the intake have.

    Raises:
        WorkerError: it cannot be converted; it is unchanged.
    """
    conversion = convert_image(file.path, file.name, fix=fix)
    if conversion is None:
        return file
    name = name_after(file.name, suffix_of(conversion.name), taken)
    sent_as = file.origin.lstrip("/") if name != file.name else None
    return replace(
        file,
        name=name,
        size_bytes=file.path.stat().st_size,
        sha256=digest(file.path),
        fixed=FixedFile(name=name, what=", ".join(conversion.what), sent_as=sent_as),
    )


def name_after(name: str, suffix: str, taken: Container[str]) -> str:
    """Return the name of an image after its conversion to another suffix; no other file has it.

    If `b.png` and `b.gif` come together, both are kept: the second becomes `b_gif.png`.
    """
    before = suffix_of(name)
    if before == suffix:
        return name
    stem = name[: len(name) - len(before)]
    plain, told_apart = f"{stem}{suffix}", f"{stem}_{before[1:]}{suffix}"
    if plain not in taken:
        return plain
    numbered = (f"{stem}_{before[1:]}_{number}{suffix}" for number in count(2))
    return next(free for free in chain((told_apart,), numbered) if free not in taken)


def is_converted(name: str) -> bool:
    """Return whether a file of that name is converted when it arrives."""
    return suffix_of(name) in CONVERTED_SUFFIXES
