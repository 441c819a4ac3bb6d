"""Images and captions on disk, and the order in which they are trained. No torch here."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.errors import InvalidInput, NotFound, TooLarge
from lorapod.safety.images import verify
from lorapod.trainers.builtin.config import DatasetSection, ValidationSection
from lorapod.trainers.builtin.console import say


@dataclass(frozen=True, kw_only=True)
class TrainingImage:
    """One image at one resolution."""

    path: Path
    caption: str
    #: Side of the square that it is cropped to, in pixels.
    side: int
    mirrored: bool
    caption_dropout_rate: float
    repeats: int


def find_images(
    datasets: Sequence[DatasetSection],
    trigger_word: str | None,
    validation: ValidationSection | None = None,
) -> list[TrainingImage]:
    """Return every image of every dataset with its caption; skip damaged ones with a line on stdout.

    Raises:
        NotFound: a folder is missing.
        InvalidInput: a folder has no readable image, or a caption is not UTF-8.
    """
    held_back = {item.image_path for item in validation.validation_items} if validation is not None else set()
    found: list[TrainingImage] = []
    for dataset in datasets:
        folder = Path(dataset.folder_path)
        say(f"Dataset: {folder}")
        if not folder.is_dir():
            raise NotFound(f"[Errno 2] No such file or directory: '{folder}'")
        readable = [
            item
            for item in DatasetReader(names_only=True).read(_entry(dataset)).images
            if str(item.path) not in held_back and _is_readable(item.path)
        ]
        if not readable:
            raise InvalidInput(f"no images found in {folder}")
        say(f"  -  Found {len(readable)} images")
        found += [
            TrainingImage(
                path=item.path,
                caption=with_trigger(_caption(item), trigger_word, prepend=True),
                side=side,
                mirrored=mirrored,
                caption_dropout_rate=dataset.caption_dropout_rate,
                repeats=dataset.num_repeats,
            )
            for item in readable
            for side in dataset.resolution
            for mirrored in ((False, True) if dataset.flip_x else (False,))
        ]
    return found


def held_back_images(validation: ValidationSection, trigger_word: str | None) -> list[TrainingImage]:
    """Return the images whose loss is only looked at."""
    return [
        TrainingImage(
            path=Path(item.image_path),
            caption=with_trigger(item.prompt, trigger_word, prepend=True),
            side=validation.resolution,
            mirrored=False,
            caption_dropout_rate=0.0,
            repeats=1,
        )
        for item in validation.validation_items
    ]


class Batches:
    """The order of the data: which images are in which batch, decided by the seed alone.

    A batch holds images of one resolution. Every epoch has each image `repeats` times, in its own order.
    """

    def __init__(self, images: Sequence[TrainingImage], *, batch_size: int, seed: int) -> None:
        """Plan batches of indexes into `images`."""
        self._batch_size = batch_size
        self._seed = seed
        self._by_side: dict[int, list[int]] = {}
        for index, image in enumerate(images):
            self._by_side.setdefault(image.side, []).extend([index] * image.repeats)
        self._epoch = -1
        self._plan: list[list[int]] = []
        self.per_epoch = sum(-(-len(indexes) // batch_size) for indexes in self._by_side.values())

    def __getitem__(self, number: int) -> list[int]:
        """Return a batch by its number, which counts from 0 over all epochs."""
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._plan_of(epoch)
        return self._plan[place]

    def _plan_of(self, epoch: int) -> list[list[int]]:
        order = random.Random(f"{self._seed}/{epoch}")  # noqa: S311 - a data order, not a secret
        plan: list[list[int]] = []
        for indexes in self._by_side.values():
            shuffled = order.sample(indexes, len(indexes))
            plan += [shuffled[at : at + self._batch_size] for at in range(0, len(shuffled), self._batch_size)]
        order.shuffle(plan)
        return plan


def with_trigger(text: str, trigger_word: str | None, *, prepend: bool) -> str:
    """Replace `[trigger]` by the trigger word; with `prepend`, put the word in front of a text without it."""
    word = (trigger_word or "").strip()
    replaced = text.replace("[trigger]", word)
    if prepend and word and word not in replaced:
        return f"{word} {replaced}".strip()
    return replaced.strip()


def _entry(dataset: DatasetSection) -> DatasetEntry:
    return DatasetEntry(
        folder=Path(dataset.folder_path),
        caption_ext=f".{dataset.caption_ext.removeprefix('.')}",
        default_caption=dataset.default_caption or None,
        num_frames=1,
    )


def _is_readable(path: Path) -> bool:
    try:
        verify(path)
    except (InvalidInput, TooLarge, OSError) as error:
        say(f"  -  Skipping {path.name}: {error}")
        return False
    return True


def _caption(item: DatasetItem) -> str:
    """Return the caption on one line.

    Raises:
        InvalidInput: it is not UTF-8.
    """
    try:
        return " ".join(item.read_caption().split())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{item.caption_name} is not UTF-8 text (byte {error.start}).") from error
