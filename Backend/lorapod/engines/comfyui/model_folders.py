"""The folders in which ComfyUI's loaders look for their models."""

from __future__ import annotations

import re

_MODEL = re.compile(r"\.(safetensors|sft|ckpt|pt|pth|bin|gguf|onnx)$", re.IGNORECASE)

#: By class and input, where the input alone does not say it.
_BY_CLASS = {
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
    ("LatentUpscaleModelLoader", "model_name"): "latent_upscale_models",
    ("ModelPatchLoader", "name"): "model_patches",
    ("SAMLoader", "model_name"): "sams",
    ("UltralyticsDetectorProvider", "model_name"): "ultralytics",
    ("ADE_LoadAnimateDiffModel", "model_name"): "animatediff_models",
    ("ADE_AnimateDiffLoaderWithContext", "model_name"): "animatediff_models",
    ("IPAdapterModelLoader", "ipadapter_file"): "ipadapter",
}
_BY_INPUT = {
    "ckpt_name": "checkpoints",
    "unet_name": "diffusion_models",
    "vae_name": "vae",
    "lora_name": "loras",
    "control_net_name": "controlnet",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker",
    "audio_encoder_name": "audio_encoders",
}
_CLIP = re.compile(r"clip_name\d?")


def model_folder(class_type: str, name: str, value: object) -> str | None:
    """Return the folder below ComfyUI's where a model belongs that an input names; None if it names no model we know."""
    if not isinstance(value, str) or not _MODEL.search(value):
        return None
    folder = _BY_CLASS.get((class_type, name)) or _BY_INPUT.get(name)
    if folder is None and _CLIP.fullmatch(name):
        folder = "text_encoders"
    return None if folder is None else f"models/{folder}"
