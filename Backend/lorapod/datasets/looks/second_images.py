"""A look into second images: control images, masks and the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lorapod.dataset_reader.entry import PartnerKind
from lorapod.dataset_reader.item import DatasetItem, Partner
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.looks.facts import ImageFacts
from lorapod.datasets.looks.image_look import ImageLook
from lorapod.datasets.sentences import some

#: These are scaled and cropped by their image's numbers, so they have to have its shape.
_SAME_SHAPE = frozenset({PartnerKind.MASK, PartnerKind.INPAINT, PartnerKind.UNCONDITIONAL})

#: Difference of the two shapes, as a part of one, that is not worth a word.
_SHAPE_TOLERANCE = 0.03


@dataclass(frozen=True, kw_only=True)
class SecondImagesLook:
    """What the content of second images says."""

    #: Each item with one of its second images.
    pairs: Sequence[tuple[DatasetItem, Partner, ImageFacts]]

    @property
    def errors(self) -> Iterator[dict[str, str]]:
        """The files that no trainer can read, each once."""
        found = {partner.name: facts.error for _, partner, facts in self.pairs if facts.error}
        yield from ({"field": name, "error": error} for name, error in found.items())

    def warnings(self, looks: Mapping[str, ImageLook]) -> Iterator[str]:
        """Yield what a person should know, given the looks of the items by name."""
        opaque = [
            partner.name
            for _, partner, facts in self.pairs
            if partner.folder.kind is PartnerKind.INPAINT
            and facts.look is not None
            and facts.look.transparent is False
        ]
        if opaque:
            yield f"{some(opaque)}: the trainer passes over inpaint images without an alpha channel."
        crooked = [
            f"{partner.name} ({facts.look.width} x {facts.look.height}, its image {look.width} x {look.height})"
            for item, partner, facts in self.pairs
            if partner.folder.kind in _SAME_SHAPE
            and facts.look is not None
            and (look := looks.get(item.name)) is not None
            and _differ(facts.look, look)
        ]
        if crooked:
            yield f"Second images of another shape than their image, which the trainer distorts or passes over: {some(crooked)}."


def pairs_of(reading: DatasetReading) -> Sequence[tuple[DatasetItem, Partner]]:
    """Return each item with each second image that is there."""
    return [
        (item, partner) for item in reading.items for partner in item.partners if partner.file is not None
    ]


def _differ(one: ImageLook, other: ImageLook) -> bool:
    return abs(one.width * other.height / (one.height * other.width) - 1) > _SHAPE_TOLERANCE
