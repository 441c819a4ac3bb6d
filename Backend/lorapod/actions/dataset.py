"""`dataset`: one page of a dataset with captions, thumbnails and what is odd about its images."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from lorapod.actions.action import Action, TimeLimit
from lorapod.datasets.gallery.captions import CaptionStatistics
from lorapod.datasets.gallery.page import DatasetPage, Gallery, GalleryItem, PageQuery
from lorapod.datasets.gallery.tokenizer import CaptionTokenizer, TokenizerUnusable
from lorapod.errors import NotFound
from lorapod.model_paths import ModelPaths
from lorapod.settings import Settings
from lorapod.thread_pools import FILES
from lorapod.trainers.caption_tokenizers import CaptionReader, find_caption_tokenizer
from lorapod.wire.dataset import TriggerWord
from lorapod.wire.gallery import (
    BucketView,
    CaptionStatisticsView,
    CaptionTokensView,
    DatasetItemView,
    DatasetProblemView,
)
from lorapod.wire.model import PathText, RelativePath, Request, Result
from lorapod.workspace import Workspace, safe_name

#: Part of the largest answer that thumbnails and captions may take.
_PAGE_PART = 0.8

Resolution = Annotated[int, Field(ge=64, le=8192)]


class DatasetRequest(Request):
    """Which dataset, and which page of it."""

    training_name: str | None = Field(default=None, description="The dataset; or give `path`.")
    path: PathText | None = Field(default=None, description="A folder of the workspace.")
    thumbnail_px: int = Field(
        default=192,
        ge=0,
        le=1024,
        description="Side of the square that thumbnails fit, in pixels; 0 for no thumbnails.",
    )
    caption_ext: Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9_]{1,16}$")] | None = Field(
        default=None,
        description="Suffix of the captions, as in the config; if left out, what the files have.",
    )
    resolution: Resolution | Annotated[list[Resolution], Field(min_length=1, max_length=100)] = Field(
        default=1024, description="`resolution` of the training, one or several, for the buckets."
    )
    trigger_word: TriggerWord | None = Field(
        default=None, description="Name the captions that do not have it."
    )
    preset: str | None = Field(
        default=None,
        max_length=100,
        description="Preset of the training: also give the captions' lengths in tokens of its model, and name those that the "
        "trainer cuts.",
    )
    base_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="The same for a model of your own: a HuggingFace id or a path, as `model.name_or_path` in the config. Its "
        "tokenizer must be on this worker; nothing is downloaded.",
    )
    arch: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Architecture of that model (`sdxl`, `flux`), which says how many tokens the trainer reads. Alone: the "
        "tokenizer of any model of that architecture.",
    )
    limit: int = Field(default=200, ge=1, le=1000, description="Most items of one page.")
    cursor: str | None = Field(
        default=None, max_length=4096, description="`next_cursor` of the previous page."
    )

    @model_validator(mode="after")
    def _one_folder(self) -> Self:
        if (self.training_name is None) == (self.path is None):
            raise ValueError("give training_name or path")
        if self.preset is not None and (self.base_model is not None or self.arch is not None):
            raise ValueError("give preset, or base_model and arch")
        return self


class DatasetResult(Result):
    """One page of a dataset, sorted by name; the totals are those of the whole dataset."""

    training_name: str = Field(description="Name of its folder.")
    path: RelativePath = Field(description="Relative to the workspace.")
    images: int = Field(description="Images that a trainer reads.")
    videos: int = Field(description="Clips that a trainer reads if the config names `num_frames`.")
    captions: int = Field(description="Captions that a trainer reads.")
    total_bytes: int = Field(description="Size of all its files.")
    caption_ext: str = Field(description="Suffix of the captions that were read, with its dot.")
    items: list[DatasetItemView] = Field(description="The page.")
    problems: list[DatasetProblemView] = Field(
        description="What is odd, for the whole dataset. Images that no page has shown yet are not compared for "
        "`near_duplicate` and `blurred`."
    )
    buckets: list[BucketView] = Field(
        description="Sizes at which the images are trained, the most common first."
    )
    caption_statistics: CaptionStatisticsView | None = Field(
        default=None, description="What the captions have in common; left out if there are none."
    )
    next_cursor: str | None = Field(
        default=None, description="Cursor of the next page; left out on the last."
    )


async def dataset(
    request: DatasetRequest, *, workspace: Workspace, settings: Settings, gallery: Gallery
) -> DatasetResult:
    """Decode the page's images in threads."""
    folder = dataset_folder(workspace, request.training_name, request.path)
    resolutions = request.resolution if isinstance(request.resolution, list) else [request.resolution]
    model = _caption_reader(request)
    tokenizer, no_tokens = (
        await FILES.run(_tokenizer, model, workspace, settings) if model is not None else (None, None)
    )
    query = PageQuery(
        thumbnail_px=request.thumbnail_px,
        resolutions=resolutions,
        caption_ext=request.caption_ext,
        trigger_word=request.trigger_word,
        tokenizer=tokenizer,
        limit=request.limit,
        after=request.cursor,
        max_bytes=int(settings.max_reply_bytes * _PAGE_PART),
    )
    page = await FILES.run(gallery.page, folder, query)
    return _result(page, folder, workspace, no_tokens)


def _caption_reader(request: DatasetRequest) -> CaptionReader | None:
    """Return the model that the captions are meant for, if the request names one.

    Raises:
        InvalidInput: there is no such preset.
    """
    if request.preset is not None:
        return CaptionReader.of_preset(request.preset)
    if request.base_model is None and request.arch is None:
        return None
    return CaptionReader(name=request.base_model, arch=request.arch)


def _tokenizer(
    model: CaptionReader, workspace: Workspace, settings: Settings
) -> tuple[CaptionTokenizer | None, str | None]:
    """Return the tokenizer, or a sentence that says why it is missing."""
    try:
        return find_caption_tokenizer(model, ModelPaths(workspace=workspace), settings.hub_cache), None
    except TokenizerUnusable as error:
        return None, f"Lengths are in words: {error}."


def dataset_folder(workspace: Workspace, training_name: str | None, path: str | None = None) -> Path:
    """Return the folder of a dataset, which exists.

    Raises:
        NotFound: it does not exist.
        InvalidInput: the name is not a plain one.
        UnsafePath: the path leads outside the workspace.
    """
    if training_name is not None:
        folder = workspace.training_data / safe_name(training_name, field="training_name")
    else:
        folder = workspace.safe_path(path or "")
    if not folder.is_dir():
        raise NotFound(f"There is no dataset {training_name or path!r}.", hint="`datasets` lists them.")
    return folder


def _result(page: DatasetPage, folder: Path, workspace: Workspace, no_tokens: str | None) -> DatasetResult:
    reading = page.reading
    figures = page.statistics
    return DatasetResult(
        training_name=folder.name,
        path=workspace.relative(folder),
        images=len(reading.images),
        videos=len(reading.videos),
        captions=len(reading.caption_files),
        total_bytes=reading.total_bytes,
        caption_ext=reading.entry.caption_ext,
        items=[_item_view(item, workspace) for item in page.items],
        problems=[
            DatasetProblemView(code=one.code, message=one.message, names=list(one.names))
            for one in page.problems
        ],
        buckets=[
            BucketView(width=width, height=height, count=count) for width, height, count in page.buckets
        ],
        caption_statistics=None if figures is None else _statistics_view(figures, no_tokens),
        next_cursor=page.next_after,
    )


def _statistics_view(figures: CaptionStatistics, no_tokens: str | None) -> CaptionStatisticsView:
    tokens = figures.tokens
    return CaptionStatisticsView(
        count=figures.count,
        words_min=figures.words_min,
        words_median=figures.words_median,
        words_max=figures.words_max,
        common_words=list(figures.common_words),
        without_trigger_word=list(figures.without_trigger_word),
        tokens=None
        if tokens is None
        else CaptionTokensView(
            tokenizer=tokens.tokenizer,
            limit=tokens.limit,
            min=tokens.least,
            median=tokens.median,
            max=tokens.most,
            cut_count=tokens.cut_count,
            cut=list(tokens.cut),
        ),
        no_tokens=no_tokens,
    )


def _item_view(shown: GalleryItem, workspace: Workspace) -> DatasetItemView:
    item = shown.item
    thumbnail = None
    if shown.thumbnail is not None:
        thumbnail = f"data:image/webp;base64,{base64.b64encode(shown.thumbnail).decode()}"
    return DatasetItemView(
        name=item.name,
        path=workspace.relative(item.path),
        kind=item.kind,
        width=shown.width or None,
        height=shown.height or None,
        duration_s=shown.duration_s,
        size_bytes=item.file.size_bytes,
        caption=shown.caption,
        caption_name=item.caption_name,
        thumbnail=thumbnail,
        flags=list(shown.flags),
    )


ACTION = Action(
    type="dataset",
    summary="One page of a dataset: captions, thumbnails, and what is odd about its images.",
    request=DatasetRequest,
    result=DatasetResult,
    run=dataset,
    reads_datasets=True,
    time_limit=TimeLimit.FILE,
)
