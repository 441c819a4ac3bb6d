"""Datasets as `datasets` and `dataset` show them."""

from __future__ import annotations

from pydantic import Field

from lorapod.wire.model import Moment, RelativePath, WireModel


class DatasetListView(WireModel):
    """One dataset in a list."""

    training_name: str = Field(description="Its name, as `train` takes it.")
    path: RelativePath = Field(description="Relative to the workspace.")
    images: int = Field(description="Images that a trainer reads.")
    videos: int = Field(description="Clips that a trainer reads if the config names `num_frames`.")
    captions: int = Field(description="Captions that a trainer reads.")
    total_bytes: int = Field(description="Size of all its files.")
    modified_at: Moment = Field(description="When a file of it was added, replaced or removed last.")
    used_by: list[str] = Field(
        description="Processes that train or trained on it, the newest first, 20 at most."
    )


class DatasetItemView(WireModel):
    """One image or clip, and what is odd about it."""

    name: str = Field(description="Relative to the dataset.")
    path: RelativePath = Field(description="Relative to the workspace.")
    kind: str = Field(description="`image`, `video` or `audio`.")
    width: int | None = Field(
        default=None, description="Pixels after rotation; left out if it cannot be read."
    )
    height: int | None = Field(
        default=None, description="Pixels after rotation; left out if it cannot be read."
    )
    duration_s: float | None = Field(
        default=None, description="Length of a clip in seconds, if it was opened."
    )
    size_bytes: int = Field(description="Size of the file.")
    caption: str = Field(description="The text that the trainer reads; empty if there is none.")
    caption_name: str | None = Field(default=None, description="Name of the file with its caption.")
    thumbnail: str | None = Field(default=None, repr=False, description="A small WebP image, as a data URI.")
    flags: list[str] = Field(
        description="`no_caption`, `empty_caption`, `caption_not_read`, `duplicate_of:<name>`, "
        "`near_duplicate_of:<name>`, `blurred`, `small`, `transparent`, `animated`, `high_bit_depth`, `rotated`, "
        "`cropped_by_bucket`, `cmyk`, `colour_profile`."
    )


class DatasetProblemView(WireModel):
    """One kind of oddity of the whole dataset."""

    code: str = Field(description="Its kind, e.g. `caption_not_read`, `near_duplicate`, `transparent`.")
    message: str = Field(description="A sentence about it.")
    names: list[str] = Field(description="The files that it is about, 1000 at most.")


class BucketView(WireModel):
    """One size at which images are trained."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    count: int = Field(description="Images that are scaled and cropped to it.")


class CaptionTokensView(WireModel):
    """Lengths of the captions in tokens of the model that will be trained, with those that begin and end a text."""

    tokenizer: str = Field(description="The model and the folder in it whose tokenizer has counted.")
    limit: int | None = Field(
        default=None,
        description="Tokens that the trainer reads at most; left out if that is not known for the architecture.",
    )
    min: int = Field(description="Tokens of the shortest.")
    median: float = Field(description="Tokens of the one in the middle.")
    max: int = Field(description="Tokens of the longest.")
    cut_count: int = Field(description="Captions that are longer than `limit`: what is beyond is not learnt.")
    cut: list[str] = Field(description="Images with such a caption, 100 at most.")


class CaptionStatisticsView(WireModel):
    """What the captions have in common."""

    count: int = Field(description="Captions that the trainer reads.")
    words_min: int = Field(description="Words of the shortest.")
    words_median: float = Field(description="Words of the one in the middle.")
    words_max: int = Field(description="Words of the longest.")
    common_words: list[str] = Field(
        description="Words that are in every caption: what all images share is learnt as one with them."
    )
    without_trigger_word: list[str] = Field(
        default=[],
        description="Images whose caption has neither the trigger word nor `[trigger]`, 100 at most.",
    )
    tokens: CaptionTokensView | None = Field(
        default=None,
        description="Lengths in tokens, if the request names the model and its tokenizer is on this worker.",
    )
    no_tokens: str | None = Field(
        default=None, description="Why lengths are in words alone; left out if the request names no model."
    )
