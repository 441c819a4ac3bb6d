"""The facts about many files at once: what is known is taken, the rest is read, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lorapod.dataset_reader.item import FoundFile
from lorapod.datasets.looks.facts import CaptionFacts, FileFacts, ImageFacts, facts_of_caption, facts_of_image
from lorapod.datasets.looks.kept_facts import KeptFacts

#: Files that are read at the same time: a network volume answers several as fast as one.
_READS_AT_A_TIME = 16
#: Files that one thread reads before it takes others: to hand out each file alone costs more than to read it.
_BATCH_FILES = 16

#: Alpha channels that one look goes through, in pixels: that decodes the image. Later looks go on where it ended.
_DECODED_PIXELS_MAX = 64_000_000
#: A dataset of more images is large: of it fewer are decoded, since a look costs little more than to open each file.
_LARGE_FILES = 500
_LARGE_DECODED_PIXELS_MAX = 4_000_000
#: A decoded image takes four bytes a pixel, so few are decoded at the same time.
_DECODES_AT_A_TIME = 2

#: Of the worker, for all datasets.
_IMAGES: KeptFacts[ImageFacts] = KeptFacts()
_CAPTIONS: KeptFacts[CaptionFacts] = KeptFacts()

_Facts = TypeVar("_Facts", bound=FileFacts)


def image_facts(files: Sequence[FoundFile], *, decode_alpha: bool = True) -> Sequence[ImageFacts]:
    """Look into images, in their order.

    Args:
        files: the images.
        decode_alpha: go through alpha channels, as far as one look does; if False, `transparent` may be None.
    """
    found = list(_gathered(files, _IMAGES, _read_image))
    if decode_alpha:
        places = list(_decoded_now(found))
        with ThreadPoolExecutor(_DECODES_AT_A_TIME) as pool:
            decoded = list(pool.map(_decode, [files[place] for place in places]))
        for place, facts in zip(places, decoded, strict=True):
            _IMAGES.keep(files[place], facts)
            found[place] = facts
    return found


def caption_facts(files: Sequence[FoundFile]) -> Sequence[CaptionFacts]:
    """Look into captions, in their order."""
    return list(_gathered(files, _CAPTIONS, _read_caption))


def _gathered(
    files: Sequence[FoundFile], kept: KeptFacts[_Facts], look: Callable[[FoundFile], _Facts]
) -> Iterator[_Facts]:
    known = [kept.known(file) for file in files]
    unknown = [file for file, facts in zip(files, known, strict=True) if facts is None]
    batches = [unknown[at : at + _BATCH_FILES] for at in range(0, len(unknown), _BATCH_FILES)]
    fresh: list[_Facts] = []
    if batches:
        with ThreadPoolExecutor(_READS_AT_A_TIME) as pool:
            for batch in pool.map(lambda files: [look(file) for file in files], batches):
                fresh += batch
    for file, facts in zip(unknown, fresh, strict=True):
        kept.keep(file, facts)
    remaining = iter(fresh)
    for before in known:
        yield before if before is not None else next(remaining)


def _decoded_now(found: Sequence[ImageFacts]) -> Iterator[int]:
    """Yield the places of images whose alpha channel is to be gone through in this look; at least one, if there is one."""
    most = _DECODED_PIXELS_MAX if len(found) <= _LARGE_FILES else _LARGE_DECODED_PIXELS_MAX
    pixels = 0
    for place, facts in enumerate(found):
        if facts.look is not None and facts.look.transparent is None and pixels < most:
            pixels += facts.look.width * facts.look.height
            yield place


def _decode(file: FoundFile) -> ImageFacts:
    return _read_image(file, decode_alpha=True)


def _read_image(file: FoundFile, *, decode_alpha: bool = False) -> ImageFacts:
    try:
        return facts_of_image(file.path, file.name, decode_alpha=decode_alpha)
    except OSError as error:
        return ImageFacts(look=None, error=_unreadable(file, error), lasting=False)


def _read_caption(file: FoundFile) -> CaptionFacts:
    try:
        return facts_of_caption(file.path, file.name)
    except OSError as error:
        return CaptionFacts(error=_unreadable(file, error), lasting=False)


def _unreadable(file: FoundFile, error: OSError) -> str:
    return f"{file.name} cannot be read: {error.strerror}."
