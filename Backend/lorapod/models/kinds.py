"""The kinds of models, and the folder of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class ModelKind(StrEnum):
    """The kinds that callers can ask for."""

    CHECKPOINT = "checkpoint"
    DIFFUSION_MODEL = "diffusion_model"
    LORA = "lora"
    VAE = "vae"
    VAE_APPROX = "vae_approx"
    TEXT_ENCODER = "text_encoder"
    CLIP_VISION = "clip_vision"
    CONTROLNET = "controlnet"
    EMBEDDING = "embedding"
    UPSCALE = "upscale"
    STYLE = "style"
    MODEL_PATCH = "model_patch"
    AUDIO_ENCODER = "audio_encoder"
    GLIGEN = "gligen"
    HYPERNETWORK = "hypernetwork"
    PHOTOMAKER = "photomaker"
    #: Neither its folder nor its content shows its kind.
    OTHER = "other"


#: Folders below `models/`, as ComfyUI calls them; the first of each kind is where a new model goes.
FOLDERS: Mapping[ModelKind, tuple[str, ...]] = MappingProxyType(
    {
        ModelKind.CHECKPOINT: ("checkpoints", "diffusers"),
        ModelKind.DIFFUSION_MODEL: ("diffusion_models", "unet", "unet_gguf"),
        ModelKind.LORA: ("loras",),
        ModelKind.VAE: ("vae",),
        ModelKind.VAE_APPROX: ("vae_approx",),
        ModelKind.TEXT_ENCODER: ("text_encoders", "clip", "clip_gguf"),
        ModelKind.CLIP_VISION: ("clip_vision",),
        ModelKind.CONTROLNET: ("controlnet", "t2i_adapter"),
        ModelKind.EMBEDDING: ("embeddings",),
        ModelKind.UPSCALE: ("upscale_models",),
        ModelKind.STYLE: ("style_models",),
        ModelKind.MODEL_PATCH: ("model_patches",),
        ModelKind.AUDIO_ENCODER: ("audio_encoders",),
        ModelKind.GLIGEN: ("gligen",),
        ModelKind.HYPERNETWORK: ("hypernetworks",),
        ModelKind.PHOTOMAKER: ("photomaker",),
    }
)

#: Folders whose models ComfyUI's GGUF nodes look for in another folder.
GGUF_FOLDERS: Mapping[str, str] = MappingProxyType(
    {"unet_gguf": "diffusion_models", "clip_gguf": "text_encoders"}
)

#: SwarmUI's names for folders that ComfyUI calls otherwise.
SWARMUI_NAMES: Mapping[str, str] = MappingProxyType(
    {"Stable-Diffusion": "checkpoints", "Lora": "loras", "VAE": "vae", "Embeddings": "embeddings"}
)

_KIND_OF_FOLDER = {folder: kind for kind, folders in FOLDERS.items() for folder in folders}


def folder_of(kind: ModelKind) -> str:
    """Return the folder below `models/` where a new model of that kind goes."""
    return FOLDERS[kind][0] if kind in FOLDERS else kind.value


def kind_of_folder(name: str) -> ModelKind | None:
    """Return the kind of model in a folder of that name below `models/`; None if the name does not show it."""
    return _KIND_OF_FOLDER.get(SWARMUI_NAMES.get(name, name))
