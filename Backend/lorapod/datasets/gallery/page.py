"""One page of a dataset: its items as a person sees them, and what is odd about them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lorapod.dataset_reader.buckets import BucketRule
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem, FoundFile, ItemKind
from lorapod.dataset_reader.kept_thumbnails import FOLDER
from lorapod.dataset_reader.oddities import DatasetProblem
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.dataset_reader.usual_captions import read_usual_captions
from lorapod.datasets.gallery.captions import CaptionStatistics, caption_statistics
from lorapod.datasets.gallery.flags import FlagBook, caption_texts
from lorapod.datasets.gallery.index import GalleryIndex
from lorapod.datasets.gallery.tokenizer import CaptionTokenizer
from lorapod.datasets.gallery.traits import decode
from lorapod.datasets.looks.facts import ImageFacts
from lorapod.datasets.looks.look import look_into
from lorapod.datasets.looks.video_look import VideoLook, VideoProbe
from lorapod.errors import WorkerError
from lorapod.workspace import Workspace

#: Images that are decoded at the same time; each takes a few megabytes.
_DECODES_AT_A_TIME = 4


@dataclass(frozen=True, kw_only=True)
class PageQuery:
    """Which page of a dataset, and how it is shown."""

    #: Side of the square that thumbnails fit, in pixels; 0 for no thumbnails.
    thumbnail_px: int
    #: Sides of the squares that buckets are made for.
    resolutions: Sequence[int]
    #: Suffix of captions; None: what most captions have.
    caption_ext: str | None
    trigger_word: str | None
    #: Of the model that will be trained; None: lengths in words alone.
    tokenizer: CaptionTokenizer | None = None
    limit: int
    #: The name of the last item of the page before.
    after: str | None
    #: Most bytes of thumbnails and captions on the page.
    max_bytes: int


@dataclass(frozen=True, kw_only=True)
class GalleryItem:
    """One item as a person sees it."""

    item: DatasetItem
    #: After rotation, in pixels; 0 if it could not be read.
    width: int
    height: int
    duration_s: float | None
    caption: str
    #: WebP; None without a thumbnail.
    thumbnail: bytes | None
    flags: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class DatasetPage:
    """One page."""

    reading: DatasetReading
    items: Sequence[GalleryItem]
    problems: Sequence[DatasetProblem]
    #: Width, height and how many images are trained at this size.
    buckets: Sequence[tuple[int, int, int]]
    statistics: CaptionStatistics | None
    #: The name to go on after; None on the last page.
    next_after: str | None


class Gallery:
    """Shows datasets; every method blocks on the disk."""

    def __init__(self, workspace: Workspace, probe: VideoProbe | None = None) -> None:
        """Look into videos with `probe`; without one, nothing is known of them."""
        self._workspace = workspace
        self._probe = probe

    def page(self, folder: Path, query: PageQuery) -> DatasetPage:
        """Return one page of the dataset in a folder, which exists.

        Every image's header is read once, and each image of the page is decoded once; both are kept by content.

        Raises:
            OSError: the folder cannot be read.
        """
        reading = self._read(folder, query.caption_ext)
        index = GalleryIndex(self._index_folder(folder))
        facts = {item.name: found for item, found in look_into(reading).images}
        captions = caption_texts(reading.items)
        page = _page_items(reading.items, query)
        thumbnails = _decoded(page, index, query.thumbnail_px)
        videos = self._videos(page, index)
        rules = [BucketRule(resolution=side) for side in query.resolutions]
        known = index.traits
        traits = {item.name: known[item.name] for item in reading.images if item.name in known}
        book = FlagBook(reading=reading, captions=captions, facts=facts, traits=traits, rules=rules)
        flags = book.flags()
        shown: list[GalleryItem] = []
        page_bytes = 0
        for item in page:
            thumbnail = thumbnails.get(item.name)
            page_bytes += len(thumbnail or b"") * 4 // 3 + _json_bytes(captions.get(item.name, "")) + 500
            if shown and page_bytes > query.max_bytes:
                break
            width, height, duration_s = _measures(facts.get(item.name), videos.get(item.name))
            shown.append(
                GalleryItem(
                    item=item,
                    width=width,
                    height=height,
                    duration_s=duration_s,
                    caption=captions.get(item.name, ""),
                    thumbnail=thumbnail,
                    flags=flags.get(item.name, ()),
                )
            )
        index.save(item.file for item in reading.items)
        last = bool(shown) and bool(reading.items) and shown[-1].item.name == reading.items[-1].name
        return DatasetPage(
            reading=reading,
            items=shown,
            problems=list(book.problems()),
            buckets=_buckets(facts, rules),
            statistics=caption_statistics(captions, query.trigger_word, query.tokenizer),
            next_after=None if last or not shown else shown[-1].item.name,
        )

    def _read(self, folder: Path, caption_ext: str | None) -> DatasetReading:
        reader = DatasetReader(self._workspace.root)
        return read_usual_captions(reader, DatasetEntry(folder=folder), caption_ext)

    def _index_folder(self, folder: Path) -> Path:
        top = self._workspace.training_data
        name = folder.name if folder.parent == top else sha256(str(folder).encode()).hexdigest()[:16]
        return top / FOLDER / name

    def _videos(self, page: Sequence[DatasetItem], index: GalleryIndex) -> Mapping[str, VideoLook]:
        files = [item.file for item in page if item.kind is ItemKind.VIDEO]
        new = [file for file in files if index.of(file).video is None]
        if self._probe is not None and new:
            found = self._probe.look([file.path for file in new])
            for file in new:
                if (look := found.get(file.path)) is not None:
                    index.learn(file, video=look)
        return {file.name: look for file in files if (look := index.of(file).video) is not None}


def _json_bytes(text: str) -> int:
    """Return the size of a text in JSON, where a character of most alphabets takes six bytes."""
    return len(json.dumps(text))


def _page_items(items: Sequence[DatasetItem], query: PageQuery) -> Sequence[DatasetItem]:
    rest = [item for item in items if query.after is None or item.name > query.after]
    return rest[: query.limit]


def _decoded(page: Sequence[DatasetItem], index: GalleryIndex, px: int) -> Mapping[str, bytes]:
    """Return the thumbnails of a page, and learn the traits of its images."""

    def thumbnail(file: FoundFile) -> bytes:
        with suppress(WorkerError, OSError):
            known = index.of(file)
            kept = index.thumbnail(known, px) if px else b""
            if kept is not None and known.traits is not None:
                return kept
            data, traits = decode(file.path, px)
            index.learn(file, traits=traits)
            if px:
                index.keep_thumbnail(known, px, data)
            return data
        return b""  # it cannot be decoded: its facts say why

    files = [item.file for item in page if item.kind is ItemKind.IMAGE]
    with ThreadPoolExecutor(_DECODES_AT_A_TIME) as pool:
        made = dict(zip((file.name for file in files), pool.map(thumbnail, files), strict=True))
    return {name: data for name, data in made.items() if data}


def _measures(facts: ImageFacts | None, video: VideoLook | None) -> tuple[int, int, float | None]:
    if video is not None:
        return video.width, video.height, video.duration_s
    look = facts.look if facts is not None else None
    return (look.width, look.height, None) if look is not None else (0, 0, None)


def _buckets(facts: Mapping[str, ImageFacts], rules: Sequence[BucketRule]) -> Sequence[tuple[int, int, int]]:
    sizes = [(each.look.width, each.look.height) for each in facts.values() if each.look is not None]
    counts = Counter(rule.bucket(*size) for rule in rules for size in sizes)
    return [(width, height, count) for (width, height), count in counts.most_common()]
