"""What a person should know about second pictures: which are missing, and which belong to no image."""

from __future__ import annotations

from collections.abc import Iterator

from lorapod.dataset_reader.entry import PartnerKind
from lorapod.dataset_reader.item import base_name
from lorapod.dataset_reader.partners import PartnerFiles, stem_of
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.sentences import some

_WORDS = {
    PartnerKind.CONTROL: ("a", "control image"),
    PartnerKind.MASK: ("a", "mask"),
    PartnerKind.INPAINT: ("an", "inpaint image"),
    PartnerKind.UNCONDITIONAL: ("an", "unconditional image"),
    PartnerKind.CLIP_IMAGE: ("a", "CLIP image"),
}


def about_partners(reading: DatasetReading) -> Iterator[str]:
    """Yield what is missing or too much in each folder of second pictures that the entry names."""
    for number, files in enumerate(reading.partners):
        yield from _about_folder(reading, number, files)


def _about_folder(reading: DatasetReading, number: int, files: PartnerFiles) -> Iterator[str]:
    (article, word), where = _WORDS[files.folder.kind], files.folder.path.name
    missing = [item.name for item in reading.items if item.partners[number].file is None]
    if missing and len(missing) == len(reading.items):
        suffixes = " ".join(files.suffixes)
        yield (
            f"No image has {article} {word} in {where}: it has the name of its image and ends in {suffixes}, "
            f"for example {base_name(stem_of(missing[0]))}{files.suffixes[0]}."
        )
    elif missing:
        yield f"{len(missing)} of {len(reading.items)} images have no {word} in {where}: {some(missing)}."
    used = frozenset(file.name for item in reading.items if (file := item.partners[number].file) is not None)
    unused = [f"{where}/{file.name}" for file in files.unused(used)]
    if unused:
        yield f"{some(unused)} in the folder of {files.folder.key} {_belong(len(unused))} to no image: the trainer looks for the image's own stem, in the same letters, directly in that folder."
    if files.folder.path != reading.entry.folder and files.folder.path.is_relative_to(reading.entry.folder):
        learnt = [item.name for item in reading.items if item.path.is_relative_to(files.folder.path)]
        if learnt:
            yield (
                f"The folder {where} of {files.folder.key} lies in the dataset's own folder, so its {len(learnt)} "
                f"images are trained on as well: move it out, or name it _controls."
            )


def _belong(count: int) -> str:
    return "belong" if count > 1 else "belongs"
