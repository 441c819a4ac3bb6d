"""The machine as `health` shows it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lorapod.wire.model import Moment, RelativePath, WireModel


class HealthStatus(StrEnum):
    """Whether the worker is fit for its work."""

    OK = "ok"
    DEGRADED = "degraded"


class CheckView(WireModel):
    """One check."""

    name: str = Field(
        description="`workspace`, `disk`, `memory`, `gpu`, `trainer:<name>`, `engine:<name>`, `events:<name>`, `volume`, or "
        "`extension:<name>` for an extension of ComfyUI that could not be installed."
    )
    ok: bool = Field(description="Whether it is as the worker needs it.")
    detail: str = Field(description="What was found, in one sentence.")


class GpuView(WireModel):
    """One GPU that this worker may use; figures that the driver does not report are left out."""

    index: int = Field(description="Number in PCI order, from 0.")
    name: str = Field(description="The product's name, as the driver reports it.")
    memory_total_bytes: int | None = Field(default=None, description="Its memory.")
    memory_used_bytes: int | None = Field(default=None, description="Memory that all programs together use.")
    utilization_percent: int | None = Field(
        default=None, description="Share of the last second in which it was busy."
    )
    temperature_c: int | None = Field(
        default=None, description="Temperature of the chip, in degrees Celsius."
    )


class MemoryView(WireModel):
    """The container's memory."""

    total_bytes: int = Field(description="The container's limit, or the machine's memory if that is less.")
    used_bytes: int = Field(description="In use; file cache that can be dropped at once is not counted.")
    available_bytes: int = Field(description="What is left.")
    limited_by: str = Field(description="`container` or `host`: what sets the limit.")


class DiskView(WireModel):
    """The file system that holds the workspace."""

    total_bytes: int = Field(description="Its size; a network volume may show its whole cluster.")
    used_bytes: int = Field(description="In use.")
    free_bytes: int = Field(description="What the worker may still write.")


class EngineView(WireModel):
    """One engine."""

    name: str = Field(description="As `generate` names it.")
    available: bool = Field(description="Whether it can be used on this worker.")
    version: str | None = Field(default=None, description="Its version, if it is known.")
    detail: str = Field(default="", description="Where it was found, or what is missing.")
    resident: bool = Field(default=False, description="Whether it is loaded, and so uses memory of the GPU.")
    model: str | None = Field(default=None, description="The model that it has loaded, if it reports it.")


class BaseModelView(WireModel):
    """A HuggingFace model that is here."""

    model: str = Field(description="Its HuggingFace id.")
    place: str = Field(
        description="`runpod_cache`: on the host, where RunPod keeps it ready, unbilled; `volume`: in the volume's HuggingFace cache."
    )


class CaptionerView(WireModel):
    """One captioner."""

    name: str = Field(description="As `caption_dataset` names it.")
    available: bool = Field(description="Whether it can be used on this worker.")
    version: str | None = Field(default=None, description="Its version, if it is known.")
    detail: str = Field(default="", description="What is installed, or what is missing.")
    resident: bool = Field(
        default=False, description="Whether its model is loaded, and so uses memory of the GPU."
    )


class TrainerView(WireModel):
    """One trainer."""

    name: str = Field(description="As `train` names it.")
    available: bool = Field(description="Whether it can be used on this worker.")
    version: str | None = Field(default=None, description="Its version, if it is known.")
    detail: str = Field(default="", description="Where it was found, or what is missing.")


class VolumePartView(WireModel):
    """One kind of files on the volume."""

    name: str = Field(
        description="`datasets`, `outputs`, `models`, `archives`, `caches`, `environments`, `programs`, `logs`, "
        "`records`, `trash` or `other`."
    )
    size_bytes: int = Field(description="Size of all its files.")
    files: int = Field(description="How many files there are.")


class VolumeEntryView(WireModel):
    """One folder or file on the volume."""

    path: RelativePath = Field(description="Relative to the workspace.")
    size_bytes: int = Field(description="Size of all files in it.")


class DiskUsageView(WireModel):
    """What takes the space of the workspace."""

    measured_at: Moment = Field(description="When it was measured.")
    complete: bool = Field(description="False: the measurement ended after a minute, so there is more.")
    parts: list[VolumePartView] = Field(description="The largest first.")
