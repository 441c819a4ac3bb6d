"""A look into every file that a trainer reads of one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from lorapod.datasets.entry import DatasetEntry, PartnerKind
from lorapod.datasets.item import DatasetItem, FoundFile, LeftOutCode, Partner
from lorapod.datasets.looks.buckets import BucketRule
from lorapod.datasets.looks.clips import ClipsLook, look_at_clips
from lorapod.datasets.looks.facts import CaptionFacts, ImageFacts, facts_of_caption, facts_of_image
from lorapod.datasets.looks.findings import look_findings
from lorapod.datasets.looks.image_look import ImageLook
from lorapod.datasets.looks.kept_facts import KeptFacts
from lorapod.datasets.reading import DatasetReading
from lorapod.datasets.sentences import some

#: Files that are read at the same time: a network volume answers several as fast as one.
_READS_AT_A_TIME = 16

#: Alpha channels that one look decodes, which reads every pixel; what a look has found is kept.
_DECODED_IMAGES_MAX = 200

#: Of the worker, for all datasets.
_IMAGES: KeptFacts[ImageFacts] = KeptFacts()
_CAPTIONS: KeptFacts[CaptionFacts] = KeptFacts()


@dataclass(frozen=True, kw_only=True)
class DatasetLook:
    """What the content of a dataset's files says."""

    entry: DatasetEntry
    images: Sequence[tuple[DatasetItem, ImageFacts]]
    captions: Sequence[tuple[FoundFile, CaptionFacts]]
    clips: ClipsLook
    #: Second pictures that are used, each once.
    partners: Sequence[tuple[Partner, ImageFacts]]

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
        for partner, facts in self.partners:
            if facts.error:
                yield {"field": partner.name, "error": facts.error}

    @property
    def warnings(self) -> Iterator[str]:
        """What a person should know about single files, a sentence for each kind."""
        rules = [
            BucketRule(resolution=side, step=self.entry.bucket_step, square=self.entry.square)
            for side in self.entry.resolution
        ]
        yield from (finding.message for finding in look_findings(self.looks, rules))
        if any(look.fixable for look in self.looks.values()):
            yield "Send these images again with `fix` to have copies of them converted."
        opaque = [
            partner.name
            for partner, facts in self.partners
            if partner.folder.kind is PartnerKind.INPAINT
            and facts.look is not None
            and facts.look.transparent is False
        ]
        if opaque:
            yield f"{some(opaque)}: the trainer passes over inpaint images without an alpha channel."
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
    partners = list(
        {
            partner.name: partner for item in reading.items for partner in item.partners if partner.file
        }.values()
    )
    with ThreadPoolExecutor(_READS_AT_A_TIME) as pool:
        second = list(pool.map(_partner, partners))
        seen = list(pool.map(partial(_image, decode_alpha=False), [item.file for item in images]))
        read = list(pool.map(_caption, captions))
        unknown = [place for place, facts in enumerate(seen) if not _is_complete(facts)][:_DECODED_IMAGES_MAX]
        decoded = pool.map(partial(_image, decode_alpha=True), [images[place].file for place in unknown])
        for place, facts in zip(unknown, decoded, strict=True):
            seen[place] = facts
    return DatasetLook(
        entry=reading.entry,
        images=list(zip(images, seen, strict=True)),
        captions=list(zip(captions, read, strict=True)),
        partners=list(zip(partners, second, strict=True)),
        clips=look_at_clips(reading.entry, _clips(reading)),
    )


def _clips(reading: DatasetReading) -> Sequence[str]:
    """Return the names of all clips, those too that the config leaves out."""
    left_out = [file.name for file in reading.left_out if file.code is LeftOutCode.CLIP]
    return left_out or [item.name for item in reading.videos]


def _image(file: FoundFile, *, decode_alpha: bool) -> ImageFacts:
    def look(file: FoundFile) -> ImageFacts:
        try:
            return facts_of_image(file.path, file.name, decode_alpha=decode_alpha)
        except OSError as error:
            return ImageFacts(look=None, error=_unreadable(file, error), lasting=False)

    return _IMAGES.get(file, look, suffices=_is_complete if decode_alpha else lambda _: True)


def _is_complete(facts: ImageFacts) -> bool:
    return facts.look is None or facts.look.transparent is not None


def _partner(partner: Partner) -> ImageFacts:
    assert partner.file is not None, "only second pictures that are there are looked into"
    return _image(replace(partner.file, name=partner.name), decode_alpha=False)


def _caption(file: FoundFile) -> CaptionFacts:
    return _CAPTIONS.get(file, _read_caption)


def _read_caption(file: FoundFile) -> CaptionFacts:
    try:
        return facts_of_caption(file.path, file.name)
    except OSError as error:
        return CaptionFacts(error=_unreadable(file, error), lasting=False)


def _unreadable(file: FoundFile, error: OSError) -> str:
    return f"{file.name} cannot be read: {error.strerror}."
