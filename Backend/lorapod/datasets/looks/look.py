"""A look into every file that a trainer reads of one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lorapod.dataset_reader.buckets import BucketRule
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem, FoundFile, LeftOutCode
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.looks.clips import ClipsLook, look_at_clips
from lorapod.datasets.looks.facts import CaptionFacts, ImageFacts
from lorapod.datasets.looks.findings import look_findings
from lorapod.datasets.looks.gathering import caption_facts, image_facts
from lorapod.datasets.looks.image_look import ImageLook
from lorapod.datasets.looks.second_images import SecondImagesLook, pairs_of
from lorapod.datasets.sentences import some


@dataclass(frozen=True, kw_only=True)
class DatasetLook:
    """What the content of a dataset's files says."""

    entry: DatasetEntry
    images: Sequence[tuple[DatasetItem, ImageFacts]]
    captions: Sequence[tuple[FoundFile, CaptionFacts]]
    clips: ClipsLook
    second_images: SecondImagesLook

    @property
    def looks(self) -> Mapping[str, ImageLook]:
        """The images that trainers can read, by name."""
        return {item.name: facts.look for item, facts in self.images if facts.look is not None}

    @property
    def errors(self) -> Iterator[dict[str, str]]:
        """The files that no trainer can read."""
        for item, facts in self.images:
            if facts.error:
                yield {"field": item.name, "error": facts.error}
        for file, read in self.captions:
            if read.error:
                yield {"field": file.name, "error": read.error}
        for name, fault in self.clips.faults.items():
            yield {"field": name, "error": fault}
        yield from self.second_images.errors

    @property
    def warnings(self) -> Iterator[str]:
        """What a person should know about single files, a sentence for each kind."""
        rules = [
            BucketRule(resolution=side, step=self.entry.bucket_step, square=self.entry.square)
            for side in self.entry.resolution
        ]
        looks = self.looks
        if self.entry.alpha_mask:
            # The trainer takes the alpha channel as a mask, and keeps the colours.
            looks = {name: replace(look, transparent=False) for name, look in looks.items()}
        yield from (finding.message for finding in look_findings(looks, rules))
        if any(look.fixable for look in looks.values()):
            yield "Send these images again with `fix` to have copies of them converted."
        yield from self.second_images.warnings(self.looks)
        yield from self._caption_warnings
        yield from self.clips.warnings

    @property
    def _caption_warnings(self) -> Iterator[str]:
        empty = [file.name for file, facts in self.captions if facts.empty]
        if empty:
            yield f"{some(empty)} {'are' if len(empty) > 1 else 'is'} empty."
        marked = [file.name for file, facts in self.captions if facts.marked]
        if marked:
            yield f"{some(marked)}: the trainer reads the byte order mark at the beginning as part of the caption; save without it."
        if self.captions and self.entry.caption_ext.lower() == ".json":
            yield f"The trainer takes captions in .json as plain text, with braces and quotes, for example {self.captions[0][0].name}; write the text alone into files of another suffix."


def look_into(reading: DatasetReading) -> DatasetLook:
    """Open every image and caption of a reading, and the second pictures."""
    images, captions = reading.images, reading.caption_files
    pairs = pairs_of(reading)
    second = [replace(partner.file, name=partner.name) for _, partner in pairs if partner.file is not None]
    seen = image_facts(second, decode_alpha=False)
    return DatasetLook(
        entry=reading.entry,
        images=list(zip(images, image_facts([item.file for item in images]), strict=True)),
        captions=list(zip(captions, caption_facts(captions), strict=True)),
        second_images=SecondImagesLook(
            pairs=[(item, partner, facts) for (item, partner), facts in zip(pairs, seen, strict=True)]
        ),
        clips=look_at_clips(reading.entry, _clips(reading)),
    )


def _clips(reading: DatasetReading) -> Sequence[str]:
    """Return the names of all clips, those too that the config leaves out."""
    left_out = [file.name for file in reading.left_out if file.code is LeftOutCode.CLIP]
    return left_out or [item.name for item in reading.videos]
