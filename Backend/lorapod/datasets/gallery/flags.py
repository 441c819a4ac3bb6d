"""What is odd about the images of a dataset: for each image a flag, for the whole dataset a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lorapod.dataset_reader.buckets import BucketRule
from lorapod.dataset_reader.item import DatasetItem
from lorapod.dataset_reader.oddities import NAMES_MAX, DatasetProblem, caption_flags, left_out_problems
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.check import TINY_SIDE
from lorapod.datasets.duplicates import duplicate_groups
from lorapod.datasets.gallery.traits import HASH_BITS, ImageTraits
from lorapod.datasets.looks.facts import ImageFacts
from lorapod.datasets.looks.findings import CROPPED_PART_MAX, look_findings
from lorapod.datasets.looks.image_look import ImageLook
from lorapod.datasets.sentences import some

#: Bits of 64 that the hashes of two images differ in at most if they look nearly the same.
NEAR_BITS = 5

#: Images whose Laplacian varies less are flagged: a sharp photo of 480 pixels has fifty and more.
BLURRED_BELOW = 15.0


@dataclass(frozen=True, kw_only=True)
class FlagBook:
    """The flags of a whole dataset, from what is known of its files."""

    reading: DatasetReading
    #: The text that the trainer reads, of each item with a caption.
    captions: Mapping[str, str]
    #: Of every image, by name.
    facts: Mapping[str, ImageFacts]
    #: Of the images that were decoded so far, by name.
    traits: Mapping[str, ImageTraits]
    rules: Sequence[BucketRule]

    def flags(self) -> Mapping[str, Sequence[str]]:
        """Return the flags of each item that has some, as answers show them."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, flag in self._all():
            found[name].append(flag)
        return found

    def problems(self) -> Iterator[DatasetProblem]:
        """Yield what a person should know of the dataset as a whole, one of each kind."""
        yield from left_out_problems(self.reading)
        broken = {name: facts.error for name, facts in self.facts.items() if facts.error}
        if broken:
            yield DatasetProblem(
                code="unreadable", message=" ".join(list(broken.values())[:3]), names=list(broken)
            )
        for finding in look_findings(self._looks, self.rules):
            yield DatasetProblem(
                code=finding.code, message=finding.message, names=list(finding.names)[:NAMES_MAX]
            )
        yield from self._grouped_problems()

    @property
    def _looks(self) -> Mapping[str, ImageLook]:
        return {name: facts.look for name, facts in self.facts.items() if facts.look is not None}

    def _all(self) -> Iterator[tuple[str, str]]:
        yield from caption_flags(self.reading, self.captions)
        yield from ((name, f"duplicate_of:{first}") for name, first in self._duplicates())
        yield from ((name, f"near_duplicate_of:{first}") for name, first, _ in self._near_duplicates())
        for name, traits in self.traits.items():
            if traits.sharpness < BLURRED_BELOW:
                yield name, "blurred"
        for name, look in self._looks.items():
            yield from ((name, flag) for flag in _look_flags(look, self.rules))

    def _duplicates(self) -> Iterator[tuple[str, str]]:
        """Yield each image with the name of the first one that has the same content."""
        for group in duplicate_groups(item.file for item in self.reading.images):
            first, *others = sorted(file.name for file in group)
            yield from ((name, first) for name in others)

    def _near_duplicates(self) -> Iterator[tuple[str, str, int]]:
        """Yield each image with the first one that looks nearly the same, and how many bits of the hashes differ."""
        same = dict(self._duplicates())
        names = [name for name in sorted(self.traits) if name not in same]
        for place, name in enumerate(names):
            hashed = self.traits[name]
            for first in names[:place]:
                if (distance := hashed.distance(self.traits[first])) <= NEAR_BITS:
                    yield name, first, distance
                    break

    def _grouped_problems(self) -> Iterator[DatasetProblem]:
        same = list(self._duplicates())
        if same:
            pairs = some([f"{name} and {first}" for name, first in same])
            yield DatasetProblem(
                code="duplicate", message=f"The same image twice: {pairs}.", names=_names(same)
            )
        near = list(self._near_duplicates())
        if near:
            pairs = some(
                [f"{name} and {first} ({bits} of {HASH_BITS} bits differ)" for name, first, bits in near]
            )
            yield DatasetProblem(
                code="near_duplicate", message=f"Nearly the same image: {pairs}.", names=_names(near)
            )
        blurred = [name for name, traits in self.traits.items() if traits.sharpness < BLURRED_BELOW]
        if blurred:
            yield DatasetProblem(
                code="blurred",
                message=f"Blurred, or with hardly any detail: {some(blurred)}.",
                names=blurred[:NAMES_MAX],
            )


def _names(pairs: Iterable[tuple[object, ...]]) -> list[str]:
    return [str(pair[0]) for pair in pairs][:NAMES_MAX]


def _look_flags(look: ImageLook, rules: Sequence[BucketRule]) -> Iterator[str]:
    if min(look.width, look.height) < TINY_SIDE:
        yield "small"
    if look.transparent is not False:
        yield "transparent"
    if look.animated:
        yield "animated"
    if look.high_bit_depth:
        yield "high_bit_depth"
    if look.rotated:
        yield "rotated"
    if look.cmyk:
        yield "cmyk"
    if look.profile is not None:
        yield "colour_profile"
    if any(rule.cropped_part(look.width, look.height) > CROPPED_PART_MAX for rule in rules):
        yield "cropped_by_bucket"


def caption_texts(items: Iterable[DatasetItem]) -> Mapping[str, str]:
    """Return the text that the trainer reads for each item with a caption; an unreadable one is left out."""
    texts = {}
    for item in items:
        if item.has_caption:
            try:
                texts[item.name] = item.read_caption()
            except (OSError, UnicodeDecodeError):
                continue
    return texts
