"""What a trainer will find in a dataset's folder, and what is wrong with it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lorapod.datasets.captions import read_caption
from lorapod.errors import InvalidInput, WorkerError
from lorapod.kinds import CAPTION_SUFFIXES, VIDEO_SUFFIXES, is_hidden, suffix_of
from lorapod.safety.images import SUFFIXES as IMAGE_SUFFIXES
from lorapod.safety.images import is_cut_off, measure

#: Warnings that are listed; the rest is counted.
_WARNINGS_MAX = 20
#: Errors that one answer lists, file by file.
_ERRORS_MAX = 100

#: With fewer images a LoRA memorises them.
FEW_IMAGES = 5

#: Shorter side, in pixels, below which an image must be enlarged to be trained on.
TINY_SIDE = 256

#: Files that are read at the same time: a network volume answers several as fast as one.
_READS_AT_A_TIME = 16

#: Images of one size are compared by so many bytes first, then as a whole.
_HEAD_BYTES = 1 << 16

#: AI Toolkit does not train on images in a folder of this name: they are control images.
_CONTROLS_FOLDER = "_controls"

_LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_TEXT_SUFFIXES = CAPTION_SUFFIXES | {".json"}
_UNREAD_IMAGES = frozenset({".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"})


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """What a dataset's folder holds; `path` is absolute, names are relative to it."""

    path: Path
    images: int
    videos: int
    #: Text files, with an image of their name or without.
    captions: int
    images_without_caption: Sequence[str]
    total_bytes: int
    #: What the caller should know, a sentence each.
    warnings: Sequence[str]
    #: What prevents a training: `{"field": file's name, "error": sentence}` each.
    errors: Sequence[dict[str, str]] = ()

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
        if not self.images and not self.videos:
            raise InvalidInput(
                f"The dataset {shown[:80]!r} has no images.", hint="Trainers read JPEG, PNG and WebP."
            )


@dataclass(frozen=True, kw_only=True)
class _File:
    path: str
    name: str
    size_bytes: int

    @property
    def stem(self) -> str:
        return self.name[: -len(suffix)] if (suffix := suffix_of(self.name)) else self.name


@dataclass(frozen=True, kw_only=True)
class _FileReport:
    """What one file's content says."""

    file: _File
    #: Shorter side of an image, in pixels.
    side: int = 0
    error: str = ""
    warning: str = ""


def inspect(folder: Path, *, open_files: bool = True) -> DatasetSummary:
    """Count what a trainer would read, in all folders below except hidden ones and caches; links are not followed.

    An image is not decoded: its header is read, and its end looked for. Uploads are decoded when they arrive, and a
    folder of a thousand images that was copied here is checked in a second.

    Args:
        folder: the dataset; if it does not exist, all counts are 0.
        open_files: whether to read the files; if not, there are no errors, and only warnings about names.
    """
    files = sorted(_files(folder, ""), key=lambda file: file.name)
    images = [file for file in files if suffix_of(file.name) in IMAGE_SUFFIXES]
    stems = Counter(file.stem for file in images)
    texts = [file for file in files if suffix_of(file.name) in _TEXT_SUFFIXES]
    captions = {file.stem for file in texts if file.stem in stems or suffix_of(file.name) in CAPTION_SUFFIXES}
    videos = [file for file in files if suffix_of(file.name) in VIDEO_SUFFIXES]
    bare = [file.name for file in images if file.stem not in captions]
    warnings = _unread_formats(files)
    warnings += [f"{stem}: {count} images share one caption." for stem, count in stems.items() if count > 1]
    lonely = captions - stems.keys() - {file.stem for file in videos}
    warnings += [f"The caption {stem} has no image." for stem in sorted(lonely)]
    errors: list[dict[str, str]] = []
    if open_files:
        with ThreadPoolExecutor(_READS_AT_A_TIME) as pool:
            reports = [*pool.map(_report_on_image, images), *pool.map(_report_on_caption, texts)]
        errors = [{"field": report.file.name, "error": report.error} for report in reports if report.error]
        warnings = [
            *_summary_warnings(len(images), len(videos), bare),
            *_tiny([report for report in reports if report.side]),
            *_duplicates(images),
            *(report.warning for report in reports if report.warning),
            *warnings,
        ]
    return DatasetSummary(
        path=folder,
        images=len(images),
        videos=len(videos),
        captions=len(captions),
        images_without_caption=bare,
        total_bytes=sum(file.size_bytes for file in files),
        warnings=_shortened(warnings),
        errors=errors,
    )


def image_paths(folder: Path) -> Sequence[Path]:
    """Return the images of a dataset, sorted by name."""
    return [Path(file.path) for file in sorted(_files(folder, ""), key=lambda file: file.name)
            if suffix_of(file.name) in IMAGE_SUFFIXES]  # fmt: skip


def _files(folder: Path | str, prefix: str) -> Iterator[_File]:
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if is_hidden(entry.name) or entry.name.lower() in _LITTER or entry.is_symlink():
                continue
            if entry.is_dir():
                if entry.name != _CONTROLS_FOLDER:
                    yield from _files(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                # Another upload may replace a file while the folder is read.
                with contextlib.suppress(FileNotFoundError):
                    size_bytes = entry.stat(follow_symlinks=False).st_size
                    yield _File(path=entry.path, name=prefix + entry.name, size_bytes=size_bytes)


def _unread_formats(files: Sequence[_File]) -> list[str]:
    return [
        f"{file.name} is not read by trainers: send it as JPEG, PNG or WebP."
        for file in files
        if suffix_of(file.name) in _UNREAD_IMAGES
    ]


def _report_on_image(file: _File) -> _FileReport:
    path = Path(file.path)
    try:
        if is_cut_off(path):
            return _FileReport(file=file, error=f"{file.name} is cut off: its end is missing.")
        image = measure(path)
    except WorkerError as error:
        return _FileReport(file=file, error=error.message)
    except OSError as error:
        return _FileReport(file=file, error=f"{file.name} cannot be read: {error.strerror}.")
    return _FileReport(file=file, side=min(image.width, image.height))


def _report_on_caption(file: _File) -> _FileReport:
    try:
        text = read_caption(Path(file.path), name=file.name)
    except WorkerError as error:
        return _FileReport(file=file, error=error.message)
    except OSError as error:
        return _FileReport(file=file, error=f"{file.name} cannot be read: {error.strerror}.")
    return _FileReport(file=file, warning="" if text.strip() else f"{file.name} is empty.")


def _summary_warnings(images: int, videos: int, bare: Sequence[str]) -> Iterator[str]:
    if 0 < images < FEW_IMAGES and not videos:
        yield f"There {'are' if images > 1 else 'is'} only {images} image{'s' if images > 1 else ''}: a LoRA needs about 10 to 50, or it memorises them."
    if bare and len(bare) < images:
        yield f"{len(bare)} of {images} images have no caption: {_some(bare)}."
    elif bare:
        yield "No image has a caption: the LoRA will respond to the trigger word alone, if there is one."


def _tiny(reports: Sequence[_FileReport]) -> Iterator[str]:
    small = [report.file.name for report in reports if report.side < TINY_SIDE]
    if small and len(small) < len(reports):
        yield f"{len(small)} of {len(reports)} images have a side below {TINY_SIDE} pixels: {_some(small)}."
    elif small:
        yield f"All images have a side below {TINY_SIDE} pixels; what a LoRA learns from them is blurred."


def _duplicates(images: Iterable[_File]) -> Iterator[str]:
    """Report images with the same content: those of one size are compared by their beginning, then as a whole."""
    alike: dict[tuple[int, bytes], list[_File]] = defaultdict(list)
    for same in _grouped(images, lambda file: file.size_bytes):
        for file in same:
            alike[file.size_bytes, _digest(file, _HEAD_BYTES)].append(file)
    for group in alike.values():
        if len(group) > 1:
            for same in _grouped(group, _digest):
                yield f"{_some([file.name for file in same])} are the same image."


def _grouped(files: Iterable[_File], key: Callable[[_File], object]) -> Iterator[list[_File]]:
    """Return groups of files that share a key."""
    groups: dict[object, list[_File]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return (group for group in groups.values() if len(group) > 1)


def _digest(file: _File, most_bytes: int | None = None) -> bytes:
    """Return the digest of a file's beginning, or of the whole."""
    with contextlib.suppress(OSError), Path(file.path).open("rb") as opened:
        if most_bytes is not None:
            return hashlib.blake2b(opened.read(most_bytes)).digest()
        return hashlib.file_digest(opened, "blake2b").digest()
    return file.name.encode()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _shortened(warnings: list[str]) -> list[str]:
    more = len(warnings) - _WARNINGS_MAX
    return [*warnings[:_WARNINGS_MAX], f"Other warnings: {more}."] if more > 0 else warnings
