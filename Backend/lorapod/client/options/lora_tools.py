"""Typed keywords of the client's methods: lora tools. Made by `make docs`: change the source, not this file."""

from __future__ import annotations

from typing import Literal, TypedDict


class MergeLorasOptions(TypedDict, total=False):
    """Keywords of `merge_loras`."""

    idempotency_key: str | None
    """Two requests with the same key start one process."""
    job_id: str | None
    """Your own id of the job, returned in answers and events."""
    method: Literal["cat", "svd", "linear", "ties", "dare"] | None
    """`cat`: exactly the effect of all of them loaded together; the ranks add up. `svd`: the same, brought to
    `rank`. `ties`: only the large changes of each whose sign most agree on; `dare`: random changes of each, made
    larger in turn; both brought to `rank`. `linear`: the matrices themselves are added up, which suits LoRAs of
    one training only."""
    rank: int | None
    """For `svd`, `ties` and `dare`; the default is the largest of the LoRAs."""
    density: float | None
    """Share of each LoRA's changes that `ties` and `dare` keep."""
    seed: int | None
    """Of the random choice of `dare`."""


class ResizeLoraOptions(TypedDict, total=False):
    """Keywords of `resize_lora`."""

    idempotency_key: str | None
    """Two requests with the same key start one process."""
    job_id: str | None
    """Your own id of the job, returned in answers and events."""
    path: str | None
    """Relative to the workspace, or absolute under it. Give it or `process_id`."""
    process_id: str | None
    """A training: its final weights, or its newest checkpoint."""
    rank: int | None
    """The new rank. Give it or `energy`."""
    energy: float | None
    """Share of each module's change that is kept at least, e.g. 0.95: each module gets the smallest rank that
    does."""


class ConvertLoraOptions(TypedDict, total=False):
    """Keywords of `convert_lora`."""

    idempotency_key: str | None
    """Two requests with the same key start one process."""
    job_id: str | None
    """Your own id of the job, returned in answers and events."""
    path: str | None
    """Relative to the workspace, or absolute under it. Give it or `process_id`."""
    process_id: str | None
    """A training: its final weights, or its newest checkpoint."""
    format: Literal["diffusers", "kohya", "comfyui"] | None
    """`diffusers`, `kohya` (also for AUTOMATIC1111, Forge and SwarmUI) or `comfyui`."""
