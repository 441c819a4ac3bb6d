"""Presets as `list_presets` shows them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lorapod.wire.model import WireModel

#: The names of all presets, for the shell's completion, which must not wake a worker.
PRESET_NAMES = (
    "chroma",
    "flex1",
    "flex2",
    "flux-dev",
    "flux-kontext",
    "flux-schnell",
    "flux2-dev",
    "flux2-klein-4b",
    "flux2-klein-9b",
    "hidream",
    "krea2",
    "krea2-turbo",
    "ltx2",
    "ltx23",
    "ltx25",
    "lumina2",
    "omnigen2",
    "qwen-image",
    "qwen-image-2512",
    "qwen-image-edit-2509",
    "qwen-image-edit-2511",
    "sd15",
    "sd35-large",
    "sdxl",
    "wan21",
    "wan21-1b",
    "wan21-i2v-480p",
    "wan21-i2v-720p",
    "wan22",
    "wan22-5b",
    "wan22-i2v",
    "zimage",
    "zimage-deturbo",
    "zimage-turbo",
)


class Learns(StrEnum):
    """What a preset learns from."""

    IMAGES = "images"
    VIDEOS = "videos"
    #: Images with a control image each: before and after.
    PAIRS = "pairs"


class TierView(WireModel):
    """A preset's settings for GPUs of one size."""

    name: str = Field(description="As `tier` of `train` takes it.")
    gpu_memory_bytes: int = Field(description="GPU memory that it needs; a rule of thumb.")


class PresetView(WireModel):
    """A config to begin a training with."""

    name: str = Field(description="As `preset` of `train` takes it.")
    description: str = Field(description="What it trains.")
    base_model: str = Field(description="Hub id of the model that it trains.")
    gated: bool = Field(
        description="Whether the Hub gives the base model only to accounts that accepted its terms."
    )
    licence: str = Field(description="Licence of the base model.")
    learns: list[Learns] = Field(description="What a dataset for it holds.")
    tiers: list[TierView] = Field(description="Its settings by GPU memory, the smallest first.")
    trainers: list[str] = Field(description="The trainers that can run it.")
    available: bool = Field(
        description="Whether it can be trained here, or on the GPU that the request describes."
    )
    reason: str | None = Field(default=None, description="Why it is not available.")
