"""What a trainer will find in a dataset's folder, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import LeftOut, LeftOutCode
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.duplicates import about_duplicates
from lorapod.datasets.looks.image_look import ImageLook
from lorapod.datasets.looks.look import look_into
from lorapod.datasets.pairs import about_partners
from lorapod.datasets.sentences import about_left_out, shortened, some
from lorapod.errors import InvalidInput
from lorapod.wire.dataset import FixedFile

#: Errors that one answer lists, file by file.
_ERRORS_MAX = 100

#: With fewer images a LoRA memorises them.
FEW_IMAGES = 5

#: Shorter side, in pixels, below which an image must be enlarged to be trained on.
TINY_SIDE = 256


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """What a dataset's folder holds; `path` is absolute, names are relative to it."""

    path: Path
    #: What the trainer trains on.
    images: int
    videos: int
    #: Images, videos and sounds.
    items: int
    #: Captions that the trainer reads.
    captions: int
    images_without_caption: Sequence[str]
    total_bytes: int
    #: What the caller should know, a sentence each.
    warnings: Sequence[str]
    #: What prevents a training: `{"field": file's name, "error": sentence}` each.
    errors: Sequence[dict[str, str]] = ()
    #: Images that were converted when they were fetched.
    fixed: Sequence[FixedFile] = ()
    #: Files that the trainer does not learn from.
    left_out: Sequence[LeftOut] = ()

    def refuse_errors(self, shown: str) -> None:
        """Refuse a dataset that no training can use.

        Raises:
            InvalidInput: it has errors, or nothing to train on; each error is in `details`.
        """
        if self.errors:
            first, more = self.errors[0], len(self.errors) - 1
            raise InvalidInput(
                f"The dataset {shown[:80]!r} cannot be trained on: {first['error']}"
                + (f" Other problems: {more}." if more else ""),
                hint="Replace or remove these files, then try again.",
                details=self.errors[:_ERRORS_MAX],
            )
        if not self.items:
            raise no_items(shown, self.left_out)


def no_items(shown: str, left_out: Sequence[LeftOut]) -> InvalidInput:
    """Return the error for a dataset that has nothing to train on."""
    why = f" {left_out[0].sentence}" if left_out else ""
    return InvalidInput(
        f"The dataset {shown[:80]!r} has no images.{why}",
        hint="Trainers read JPEG, PNG and WebP.",
        details=[{"field": file.name, "error": file.sentence} for file in left_out[:_ERRORS_MAX]],
    )


def inspect(entry: DatasetEntry, *, open_files: bool = True, root: Path | None = None) -> DatasetSummary:
    """Count what the trainer will read of an entry's folder, and look into it.

    An image is not decoded: its header is read, and its end looked for. Uploads are decoded when they arrive, and a
    folder of a thousand images that was copied here is checked in a second.

    Args:
        entry: the folder, and how it is read; if the folder does not exist, all counts are 0.
        open_files: whether to read the files; if not, errors and warnings are about names alone.
        root: links that lead out of this folder are refused; None: links are followed.

    Raises:
        OSError: a folder cannot be read now.
    """
    reading = DatasetReader(root).read(entry)
    bare = [item.name for item in reading.images if not item.has_caption]
    warnings = [*about_partners(reading), *about_left_out(reading.left_out), *_shared_captions(reading)]
    errors = [
        {"field": file.name, "error": file.sentence}
        for file in reading.left_out
        if file.code is LeftOutCode.LINK_OUTSIDE
    ]
    if open_files:
        look = look_into(reading)
        errors += look.errors
        warnings = [
            *_summary_warnings(reading, bare),
            *_tiny(look.looks),
            *about_duplicates(item.file for item in reading.images),
            *look.warnings,
            *warnings,
        ]
    return DatasetSummary(
        path=entry.folder,
        images=len(reading.images),
        videos=len(reading.videos),
        items=len(reading.items),
        captions=len(reading.caption_files),
        images_without_caption=bare,
        total_bytes=reading.total_bytes,
        warnings=shortened(warnings),
        errors=errors,
        left_out=reading.left_out,
    )


def _shared_captions(reading: DatasetReading) -> Iterator[str]:
    counts = Counter(item.caption_name for item in reading.images if item.caption_name is not None)
    for name, count in counts.items():
        if count > 1:
            yield f"{name}: {count} images share one caption."


def _summary_warnings(reading: DatasetReading, bare: Sequence[str]) -> Iterator[str]:
    images = len(reading.images)
    if 0 < images < FEW_IMAGES and not reading.videos and not reading.entry.is_reg:
        yield f"There {'are' if images > 1 else 'is'} only {images} image{'s' if images > 1 else ''}: a LoRA needs about 10 to 50, or it memorises them."
    if reading.entry.default_caption or reading.entry.is_reg:
        return
    if bare and len(bare) < images:
        yield f"{len(bare)} of {images} images have no caption: {some(bare)}."
    elif bare:
        yield "No image has a caption: the LoRA will respond to the trigger word alone, if there is one."


def _tiny(images: Mapping[str, ImageLook]) -> Iterator[str]:
    small = [name for name, look in images.items() if min(look.width, look.height) < TINY_SIDE]
    if small and len(small) < len(images):
        yield f"{len(small)} of {len(images)} images have a side below {TINY_SIDE} pixels: {some(small)}."
    elif small:
        yield f"All images have a side below {TINY_SIDE} pixels; what a LoRA learns from them is blurred."
