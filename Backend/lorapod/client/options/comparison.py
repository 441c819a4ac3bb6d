"""Typed keywords of the client's methods: comparison. Made by `make docs`: change the source, not this file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict


class ComparedSourceOptions(TypedDict, total=False):
    """A training, or a LoRA of the workspace."""

    process_id: str | None
    """A training: its checkpoints; or a sweep: the checkpoints of all its trainings."""
    path: str | None
    """A LoRA file, relative to the workspace or absolute under it."""
    steps: str | Sequence[int] | None
    """Which checkpoints of this training: `all`, `last:4` (the newest four), or a list of steps."""


class CompareOptions(TypedDict, total=False):
    """Keywords of `compare`."""

    sweep_id: str | None
    """A sweep: all its trainings that have weights."""
    loras: Sequence[ComparedSourceOptions] | None
    """Trainings or LoRA files; may be given beside the others."""
    steps: str | Sequence[int] | None
    """Which checkpoints of each training: `all`, `last:4` (the newest four), or a list of steps."""
    prompts: list[str] | None
    """If left out, the sample prompts of the first training, with its trigger word."""
    weights: Sequence[float] | None
    """How strongly each LoRA acts; 0 draws the base model alone."""
    seeds: Sequence[int] | None
    """If left out, the seed of the training's samples, or 42 if it has none."""
    model: str | None
    """Base model; if left out, the one that each LoRA was trained on."""
    engine: str | None
    """If left out, `diffusers`, which loads the base model once; without it, as for `generate`."""
    negative_prompt: str | None
    """What not to show; if left out, as in the training's samples."""
    width: int | None
    """In pixels; if left out, as the training's samples."""
    height: int | None
    """In pixels; if left out, as the training's samples."""
    sample_steps: int | None
    """Denoising steps of each image; if left out, as the training's samples."""
    guidance_scale: float | None
    """How closely the prompt is followed; if left out, as the training's samples."""
    params: dict[str, Any] | None
    """The engine's own parameters, passed on as they are."""
    score: bool | None
    """Score the cells; without an embedding model there is a warning instead."""
    embedding_model: str | None
    """Model that compares images, for the scores: a folder in the workspace, or a Hub id such as
    `facebook/dinov2-base`; if left out, EMBEDDING_MODEL."""
    text_image_model: str | None
    """Model that compares images with texts, for the scores: a folder in the workspace, or a Hub id such as
    `openai/clip-vit-large-patch14`; if left out, TEXT_IMAGE_MODEL."""
    idempotency_key: str | None
    """Two requests with the same key start one process."""
    job_id: str | None
    """Your own id of the job, returned in answers and events."""
    callback_url: str | None
    """URL to which the events of this process are POSTed, one JSON object each."""
    callback_token: str | None
    """Sent to `callback_url` as a bearer token. It is stored only encrypted."""
