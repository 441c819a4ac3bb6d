"""Typed keywords of the client's methods: training. Made by `make docs`: change the source, not this file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

from lorapod.client.options.knobs import VariantOptions


class SupabaseFolderOptions(TypedDict, total=False):
    """A folder in Supabase Storage."""

    bucket_name: Required[str]
    folder_path: Required[str]


class S3PrefixOptions(TypedDict, total=False):
    """Objects in an S3 bucket."""

    bucket: str | None
    """Else the endpoint's `BUCKET_NAME`."""
    prefix: str | None
    """What their keys begin with."""


class HuggingFaceDatasetOptions(TypedDict, total=False):
    """A dataset repository on the HuggingFace Hub."""

    repo_id: Required[str]
    revision: str | None
    """Branch, tag or commit; if left out, the main branch."""


class DatasetOptions(TypedDict, total=False):
    """Where the images are: exactly one source."""

    training_name: str | None
    """A dataset that `upload_training_data` made."""
    path: str | None
    """A folder of the workspace."""
    urls: list[str] | None
    """URLs of images, captions, zips."""
    supabase: SupabaseFolderOptions | None
    s3: S3PrefixOptions | None
    huggingface: HuggingFaceDatasetOptions | None
    trigger_word: str | None
    """Put in front of each fetched caption that holds neither the word nor `[trigger]`, and written as the
    caption of each fetched image without one; not for `training_name` and `path`."""
    fix: bool
    """Convert fetched images that trainers see differently from a person: transparency, grey of 16 bits,
    animation, CMYK, colour profiles; not for `training_name` and `path`."""


class TrainingLimitsOptions(TypedDict, total=False):
    """A training that reaches a limit writes a checkpoint and ends `cancelled`, with `reason: "limit"`."""

    duration_s: float | None
    """Seconds that its trainer may run, all runs since your last `train` or `resume` together; loading the model
    counts, because it costs the same; waiting for a GPU and fetching the dataset do not. A limit that is reached
    before the first step leaves no checkpoint."""
    until: str | None
    """The moment at which it ends, also while it waits; RFC 3339, e.g. `2026-01-31T23:00:00+01:00`."""


class StopWhenOptions(TypedDict, total=False):
    """End a training, with a checkpoint, once a measure has not improved for some looks in a row."""

    no_better: Literal["validation_loss", "likeness"]
    """The measure. `validation_loss`: the loss of images that are held back, so `validation` must be set too.
    `likeness`: how like the dataset the training's own samples are, as `compare` scores it; each set of samples
    is a look."""
    patience: int
    """Looks in a row that may be no better than the best."""
    min_improvement: float
    """Share of the best value by which a look must be better to count, e.g. 0.01."""
    from_step: int
    """Looks before this step do not count."""
    embedding_model: str | None
    """For `likeness`: the model that compares images, a HuggingFace id or a folder in the workspace; without it
    the one that EMBEDDING_MODEL names, or facebook/dinov2-base if it is on the worker."""


class StartFromOptions(TypedDict, total=False):
    """An earlier LoRA, whose weights a training begins with instead of fresh ones."""

    process_id: str | None
    """The training that made it."""
    step: int | None
    """Its checkpoint of this step; without it, its final weights, or its newest checkpoint."""
    path: str | None
    """A LoRA file of the workspace, or its name in `models/loras`."""


class HuggingFaceRepoOptions(TypedDict, total=False):
    """A model repository on the HuggingFace Hub; created if it does not exist."""

    repo_id: Required[str]
    private: bool
    """Whether a repository that is created now is private."""


class LocalFolderOptions(TypedDict, total=False):
    """A folder of the workspace."""

    path: Required[str]


class UploadTargetsOptions(TypedDict, total=False):
    """Where artifacts go; several may stand together."""

    s3: S3PrefixOptions | None
    supabase: SupabaseFolderOptions | None
    huggingface: HuggingFaceRepoOptions | None
    local: LocalFolderOptions | None


class TrainOptions(VariantOptions, total=False):
    """Keywords of `train`."""

    dataset: DatasetOptions | None
    """Where the images are; without it the config's own `folder_path`s count."""
    name: str | None
    """Name of the model, if the config has none. Default: the dataset's name; with `upload` the process id, so
    that two trainings never share a folder."""
    trainer: str | None
    """`ai-toolkit`, `builtin`, or `auto`: the first that is installed."""
    wait: bool | None
    """Keep the RunPod job open until the end; the default on a serverless worker."""
    idempotency_key: str | None
    """Two requests with the same key start one process."""
    job_id: str | None
    """Your own id of the job, returned in answers and events."""
    limits: TrainingLimitsOptions | None
    """Ends it by itself, with a checkpoint, after a time or at a moment."""
    stop_when: StopWhenOptions | None
    """Ends it by itself, with a checkpoint, once it no longer gets better: by the loss of images that are held
    back, or by the likeness of its samples to the dataset."""
    start_from: StartFromOptions | None
    """A LoRA whose weights the training begins with; it must have the config's rank, alpha and architecture."""
    strict: bool | None
    """Refuse keys and names in the config that this worker does not know; `false` lets them pass with a warning,
    for an AI Toolkit that is newer than the worker."""
    callback_url: str | None
    """URL to which the events of this process are POSTed, one JSON object each."""
    callback_token: str | None
    """Sent to `callback_url` as a bearer token. It is stored only encrypted."""
    force: bool | None
    """Start it even if it needs more GPU memory than there is, or days without a GPU, by rule of thumb."""
    upload: UploadTargetsOptions | None
    """Where checkpoints, samples and logs are uploaded while they are made; default: the endpoint's
    UPLOAD_TARGETS."""
    config: str | dict[str, Any] | None
    """AI Toolkit config, as YAML text or as an object; or give a `preset`."""
    preset: str | None
    """Config to start from, e.g. `sdxl`; the other fields change it."""
    variants: Sequence[VariantOptions] | None
    """A sweep: one training for each entry, which has the fields that are special to it, e.g. `[{"rank": 8},
    {"rank": 16}]`; with a preset."""


class ResumeOptions(TypedDict, total=False):
    """Keywords of `resume`."""

    wait: bool | None
    """Keep the RunPod job open until the training ends; the default on a serverless worker."""
    limits: TrainingLimitsOptions | None
    """New limits; without them the old ones apply, and the time of `duration_s` starts again from zero."""
    callback_url: str | None
    """URL for events from now on; default: where they went before."""
    callback_token: str | None
    """The bearer token for `callback_url`; give both."""
