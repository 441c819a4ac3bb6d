"""Typed keywords of the client's methods: generation. Made by `make docs`: change the source, not this file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict


class LoraOptions(TypedDict, total=False):
    """A LoRA to generate with: a file of the workspace, or what a training has made."""

    path: str | None
    """Relative to the workspace, or absolute under it."""
    process_id: str | None
    """A training: its final weights, or its newest checkpoint."""
    weight: float
    """How strongly it acts."""


class NamedImageOptions(TypedDict, total=False):
    """An image under the name that a workflow gives it."""

    name: Required[str]
    """Name of a file, as a LoadImage node of the workflow has it."""
    image: Required[str | os.PathLike[str] | None]
    """Its content: base64, a data URI, an https URL, or the path of a file in the workspace."""


class NamedVideoOptions(TypedDict, total=False):
    """A video under the name that a workflow gives it."""

    name: Required[str]
    """Name of a file, as a LoadVideo node of the workflow has it."""
    video: Required[str | os.PathLike[str] | None]
    """Its content: base64, a data URI, an https URL, or the path of a file in the workspace."""


class NamedAudioOptions(TypedDict, total=False):
    """A sound under the name that a workflow gives it."""

    name: Required[str]
    """Name of a file, as a LoadAudio node of the workflow has it."""
    audio: Required[str | os.PathLike[str] | None]
    """Its content: base64, a data URI, an https URL, or the path of a file in the workspace."""


class GenerateOptions(TypedDict, total=False):
    """Keywords of `generate`."""

    negative_prompt: str | None
    """What not to show."""
    width: int | None
    """In pixels; if left out, the model's own."""
    height: int | None
    """In pixels; if left out, the model's own."""
    steps: int | None
    """Denoising steps of each image."""
    guidance_scale: float | None
    """How closely the prompt is followed."""
    seed: int | None
    """Seed of the first image; the next images have the next numbers. If left out or -1, one is chosen and
    answered."""
    num_images: int | None
    """Number of images."""
    loras: Sequence[LoraOptions] | None
    """LoRAs, all of them at once."""
    model: str | None
    """Base model. Default: the one that the training of the first LoRA used (`diffusers`), or the engine's own
    choice."""
    engine: str | None
    """`diffusers`, `comfyui`, `swarmui`, `ai-toolkit` or `auto`; if left out, by what the request holds, then by
    the setting ENGINE."""
    config: str | dict[str, Any] | None
    """AI Toolkit config of `job: generate`, as YAML text or as an object."""
    workflow: dict[str, Any] | None
    """ComfyUI workflow in its API form."""
    comfyui_workflow_name: str | None
    """One of the worker's workflow templates."""
    image: str | os.PathLike[str] | None
    """Input image: base64, a data URI, an https URL, or the path of a file in the workspace."""
    mask: str | os.PathLike[str] | None
    """What to change of the input image: white is changed, black is kept; base64, a data URI, an https URL, or
    the path of a file in the workspace."""
    video: str | os.PathLike[str] | None
    """Input video: base64, a data URI, an https URL, or the path of a file in the workspace."""
    audio: str | os.PathLike[str] | None
    """Input sound: base64, a data URI, an https URL, or the path of a file in the workspace."""
    images: Sequence[os.PathLike[str] | NamedImageOptions] | None
    """Input images by the names that the workflow has."""
    videos: Sequence[os.PathLike[str] | NamedVideoOptions] | None
    """Input videos by the names that the workflow has."""
    audios: Sequence[os.PathLike[str] | NamedAudioOptions] | None
    """Input sounds by the names that the workflow has."""
    strength: float | None
    """How much of the input image is changed: 0 nothing, 1 everything."""
    length: int | None
    """Frames of a video."""
    params: dict[str, Any] | None
    """The engine's own parameters, passed on as they are."""
    comfy_org_api_key: str | None
    """Key for ComfyUI's API nodes; passed on, never kept."""
    delivery: Literal["base64", "url", "path", "bucket"] | None
    """`base64` in the answer, `url` of the object store, or `path` in the workspace; if left out, base64 as long
    as it fits the answer. `bucket`: if the endpoint has an S3 bucket (`BUCKET_…`), a URL there for a week, under
    `<month>-<year>/<job id>/`."""
    if_busy: Literal["wait", "refuse"] | None
    """Wait for the GPU, or refuse with the time it would take."""
    idempotency_key: str | None
    """Two requests with the same key start one process."""
    job_id: str | None
    """Your own id of the job, returned in answers and events."""
