"""What each preset needs of an endpoint; a test holds it to the worker's presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PresetNeed:
    """What an endpoint must have to train a preset."""

    #: GPU memory of the preset's smallest tier, GB; a rule of thumb.
    gpu_gb: int
    #: Hub id of its base model.
    base_model: str
    #: Whether the Hub hands it out only to accounts that accepted its terms.
    gated: bool = False


#: Without a preset: enough for the smallest tier of all but a few presets.
DEFAULT_GPU_GB = 24

PRESET_NEEDS: Mapping[str, PresetNeed] = {
    "chroma": PresetNeed(gpu_gb=24, base_model="lodestones/Chroma1-Base"),
    "flex1": PresetNeed(gpu_gb=24, base_model="ostris/Flex.1-alpha"),
    "flex2": PresetNeed(gpu_gb=24, base_model="ostris/Flex.2-preview"),
    "flux-dev": PresetNeed(gpu_gb=24, base_model="black-forest-labs/FLUX.1-dev", gated=True),
    "flux-kontext": PresetNeed(gpu_gb=24, base_model="black-forest-labs/FLUX.1-Kontext-dev", gated=True),
    "flux-schnell": PresetNeed(gpu_gb=24, base_model="black-forest-labs/FLUX.1-schnell", gated=True),
    "flux2-dev": PresetNeed(gpu_gb=24, base_model="black-forest-labs/FLUX.2-dev", gated=True),
    "flux2-klein-4b": PresetNeed(gpu_gb=24, base_model="black-forest-labs/FLUX.2-klein-base-4B"),
    "flux2-klein-9b": PresetNeed(gpu_gb=24, base_model="black-forest-labs/FLUX.2-klein-base-9B", gated=True),
    "hidream": PresetNeed(gpu_gb=24, base_model="HiDream-ai/HiDream-I1-Full"),
    "krea2": PresetNeed(gpu_gb=24, base_model="krea/Krea-2-Raw", gated=True),
    "krea2-turbo": PresetNeed(gpu_gb=24, base_model="krea/Krea-2-Turbo", gated=True),
    "ltx2": PresetNeed(gpu_gb=24, base_model="Lightricks/LTX-2"),
    "ltx23": PresetNeed(gpu_gb=24, base_model="Lightricks/LTX-2.3/ltx-2.3-22b-dev.safetensors"),
    "ltx25": PresetNeed(gpu_gb=24, base_model="Lightricks/LTX-2.5", gated=True),
    "lumina2": PresetNeed(gpu_gb=24, base_model="Alpha-VLLM/Lumina-Image-2.0"),
    "omnigen2": PresetNeed(gpu_gb=24, base_model="OmniGen2/OmniGen2"),
    "qwen-image": PresetNeed(gpu_gb=24, base_model="Qwen/Qwen-Image"),
    "qwen-image-2512": PresetNeed(gpu_gb=24, base_model="Qwen/Qwen-Image-2512"),
    "qwen-image-edit-2509": PresetNeed(gpu_gb=24, base_model="Qwen/Qwen-Image-Edit-2509"),
    "qwen-image-edit-2511": PresetNeed(gpu_gb=24, base_model="Qwen/Qwen-Image-Edit-2511"),
    "sd15": PresetNeed(gpu_gb=8, base_model="stable-diffusion-v1-5/stable-diffusion-v1-5"),
    "sd35-large": PresetNeed(gpu_gb=24, base_model="stabilityai/stable-diffusion-3.5-large", gated=True),
    "sdxl": PresetNeed(gpu_gb=12, base_model="stabilityai/stable-diffusion-xl-base-1.0"),
    "wan21": PresetNeed(gpu_gb=24, base_model="Wan-AI/Wan2.1-T2V-14B-Diffusers"),
    "wan21-1b": PresetNeed(gpu_gb=24, base_model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers"),
    "wan21-i2v-480p": PresetNeed(gpu_gb=24, base_model="Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"),
    "wan21-i2v-720p": PresetNeed(gpu_gb=24, base_model="Wan-AI/Wan2.1-I2V-14B-720P-Diffusers"),
    "wan22": PresetNeed(gpu_gb=24, base_model="ai-toolkit/Wan2.2-T2V-A14B-Diffusers-bf16"),
    "wan22-5b": PresetNeed(gpu_gb=24, base_model="Wan-AI/Wan2.2-TI2V-5B-Diffusers"),
    "wan22-i2v": PresetNeed(gpu_gb=24, base_model="ai-toolkit/Wan2.2-I2V-A14B-Diffusers-bf16"),
    "zimage": PresetNeed(gpu_gb=24, base_model="Tongyi-MAI/Z-Image"),
    "zimage-deturbo": PresetNeed(gpu_gb=24, base_model="ostris/Z-Image-De-Turbo"),
    "zimage-turbo": PresetNeed(gpu_gb=24, base_model="Tongyi-MAI/Z-Image-Turbo"),
}
