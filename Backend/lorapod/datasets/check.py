"""What is in a dataset's folder, as a trainer will find it, and what is wrong with it."""

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
from lorapod.safety import images

#: Warnings that are worth reading; the rest is counted.
_WARNINGS_MAX = 20
#: Errors that one answer tells, file by file.
_ERRORS_MAX = 100

#: With fewer pictures a LoRA learns these very pictures by heart.
FEW_IMAGES = 5

#: Shorter side, in pixels, below which a picture must be blown up to be trained on.
TINY_SIDE = 256

#: Files that are read at a time: a network volume answers several as fast as one.
_READS_AT_A_TIME = 16

#: What is compared of pictures of one size before the whole.
_HEAD_BYTES = 1 << 16

#: AI Toolkit passes over pictures in a folder of this name: they are control pictures.
_CONTROLS_FOLDER = "_controls"

_LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_TEXT_SUFFIXES = CAPTION_SUFFIXES | {".json"}
_UNREAD_PICTURES = frozenset({".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"})


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """A folder of pictures, counted; `path` is absolute, names are relative to it."""

    path: Path
    images: int
    videos: int
    #: Text files beside a picture, or still waiting for theirs.
    captions: int
    images_without_caption: Sequence[str]
    total_bytes: int
    #: What a person should know, a sentence each.
    warnings: Sequence[str]
    #: What no training should begin with: `{"field": file's name, "error": sentence}` each.
    errors: Sequence[dict[str, str]] = ()

    def refuse_errors(self, shown: str) -> None:
        """Let a dataset without errors pass.

        Raises:
            InvalidInput: it has some, or nothing to train on; each error is in `details`.
        """
        if self.errors:
            first, more = self.errors[0], len(self.errors) - 1
            raise InvalidInput(
                f"The dataset {shown[:80]!r} cannot be trained on: {first['error']}"
                + (f" And {more} problems more." if more else ""),
                hint="Replace or remove these files, then try again.",
                details=self.errors[:_ERRORS_MAX],
            )
        if not self.images and not self.videos:
            raise InvalidInput(
                f"The dataset {shown[:80]!r} has no pictures.", hint="Trainers read JPEG, PNG and WebP."
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
class _Look:
    """What one file's own content told."""

    file: _File
    #: Shorter side of a picture, in pixels.
    side: int = 0
    error: str = ""
    warning: str = ""


def inspect(folder: Path, *, open_files: bool = True) -> DatasetSummary:
    """Count what a trainer would read: all folders below but hidden ones and caches; links are not followed.

    A picture is judged by its header and by whether its end is there, not decoded: that was done when it arrived, and
    a folder of a thousand that came another way is looked through in a second.

    Args:
        folder: the dataset; where it does not exist, all counts are 0.
        open_files: whether to look into the files; else there are no errors, and only warnings about names.
    """
    files = sorted(_files(folder, ""), key=lambda file: file.name)
    pictures = [file for file in files if suffix_of(file.name) in images.SUFFIXES]
    stems = Counter(file.stem for file in pictures)
    texts = [file for file in files if suffix_of(file.name) in _TEXT_SUFFIXES]
    captions = {file.stem for file in texts if file.stem in stems or suffix_of(file.name) in CAPTION_SUFFIXES}
    videos = [file for file in files if suffix_of(file.name) in VIDEO_SUFFIXES]
    bare = [file.name for file in pictures if file.stem not in captions]
    warnings = _oddities(files)
    warnings += [f"{stem}: {count} pictures share one caption." for stem, count in stems.items() if count > 1]
    lonely = captions - stems.keys() - {file.stem for file in videos}
    warnings += [f"The caption {stem} has no picture." for stem in sorted(lonely)]
    errors: list[dict[str, str]] = []
    if open_files:
        with ThreadPoolExecutor(_READS_AT_A_TIME) as pool:
            looks = [*pool.map(_look_at_picture, pictures), *pool.map(_look_at_caption, texts)]
        errors = [{"field": look.file.name, "error": look.error} for look in looks if look.error]
        warnings = [
            *_on_the_whole(len(pictures), len(videos), bare),
            *_tiny([look for look in looks if look.side]),
            *_duplicates(pictures),
            *(look.warning for look in looks if look.warning),
            *warnings,
        ]
    return DatasetSummary(
        path=folder,
        images=len(pictures),
        videos=len(videos),
        captions=len(captions),
        images_without_caption=bare,
        total_bytes=sum(file.size_bytes for file in files),
        warnings=_shortened(warnings),
        errors=errors,
    )


def image_paths(folder: Path) -> Sequence[Path]:
    """The pictures of a dataset, by name."""
    return [Path(file.path) for file in sorted(_files(folder, ""), key=lambda file: file.name)
            if suffix_of(file.name) in images.SUFFIXES]  # fmt: skip


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
                # A file may go while the folder is read: another upload replaces it.
                with contextlib.suppress(FileNotFoundError):
                    size_bytes = entry.stat(follow_symlinks=False).st_size
                    yield _File(path=entry.path, name=prefix + entry.name, size_bytes=size_bytes)


def _oddities(files: Sequence[_File]) -> list[str]:
    return [
        f"{file.name} is not read by trainers; send JPEG, PNG or WebP."
        for file in files
        if suffix_of(file.name) in _UNREAD_PICTURES
    ]


def _look_at_picture(file: _File) -> _Look:
    path = Path(file.path)
    try:
        if images.is_cut_off(path):
            return _Look(file=file, error=f"{file.name} is cut off: its end is missing.")
        picture = images.measure(path)
    except WorkerError as error:
        return _Look(file=file, error=error.message)
    except OSError as error:
        return _Look(file=file, error=f"{file.name} cannot be read: {error.strerror}.")
    return _Look(file=file, side=min(picture.width, picture.height))


def _look_at_caption(file: _File) -> _Look:
    try:
        text = read_caption(Path(file.path), name=file.name)
    except WorkerError as error:
        return _Look(file=file, error=error.message)
    except OSError as error:
        return _Look(file=file, error=f"{file.name} cannot be read: {error.strerror}.")
    return _Look(file=file, warning="" if text.strip() else f"{file.name} is empty.")


def _on_the_whole(pictures: int, videos: int, bare: Sequence[str]) -> Iterator[str]:
    if 0 < pictures < FEW_IMAGES and not videos:
        yield f"{pictures} picture{'s are' if pictures > 1 else ' is'} few: a LoRA needs about 10 to 50 to learn more than these very pictures."
    if bare and len(bare) < pictures:
        yield f"{len(bare)} of {pictures} pictures have no caption: {_some(bare)}."
    elif bare:
        yield "No picture has a caption: the LoRA answers to the trigger word alone, if there is one."


def _tiny(looks: Sequence[_Look]) -> Iterator[str]:
    small = [look.file.name for look in looks if look.side < TINY_SIDE]
    if small and len(small) < len(looks):
        yield f"{len(small)} of {len(looks)} pictures are below {TINY_SIDE} pixels: {_some(small)}."
    elif small:
        yield f"All pictures are below {TINY_SIDE} pixels; what is learnt from them is blurred."


def _duplicates(pictures: Iterable[_File]) -> Iterator[str]:
    """Pictures of one content: those of one size are compared by their beginning, then as a whole."""
    alike: dict[tuple[int, bytes], list[_File]] = defaultdict(list)
    for same in _grouped(pictures, lambda file: file.size_bytes):
        for file in same:
            alike[file.size_bytes, _digest(file, _HEAD_BYTES)].append(file)
    for group in alike.values():
        if len(group) > 1:
            for same in _grouped(group, _digest):
                yield f"{_some([file.name for file in same])} are the same picture."


def _grouped(files: Iterable[_File], key: Callable[[_File], object]) -> Iterator[list[_File]]:
    """Those that share a key with another."""
    groups: dict[object, list[_File]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return (group for group in groups.values() if len(group) > 1)


def _digest(file: _File, most_bytes: int | None = None) -> bytes:
    """Of the beginning, or of the whole."""
    with contextlib.suppress(OSError), Path(file.path).open("rb") as opened:
        if most_bytes is not None:
            return hashlib.blake2b(opened.read(most_bytes)).digest()
        return hashlib.file_digest(opened, "blake2b").digest()
    return file.name.encode()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _shortened(warnings: list[str]) -> list[str]:
    more = len(warnings) - _WARNINGS_MAX
    return [*warnings[:_WARNINGS_MAX], f"And {more} warnings more."] if more > 0 else warnings
