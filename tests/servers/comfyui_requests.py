"""Requests as callers of worker-comfyui send them: graphs of the same shape as its examples, with words of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.servers.comfyui_graphs import Graph, node

#: What the graphs load, by ComfyUI's folder; the stand-in lists what lies there.
MODELS = {
    "checkpoints": (
        "flux1-dev-fp8.safetensors",
        "sd3_medium_incl_clips_t5xxlfp8.safetensors",
        "sd_xl_turbo_1.0_fp16.safetensors",
        "v1-5-pruned-emaonly.safetensors",
    ),
    "diffusion_models": ("flux1-dev.safetensors", "flux1-schnell.safetensors"),
    "text_encoders": ("t5xxl_fp8_e4m3fn.safetensors", "clip_l.safetensors"),
    "vae": ("ae.safetensors",),
}


def put_models(comfyui: Path) -> None:
    """Give a stand-in the models of the graphs."""
    for folder, names in MODELS.items():
        (comfyui / "models" / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (comfyui / "models" / folder / name).touch()


def _text(text: str, clip: list[Any]) -> dict[str, Any]:
    return node("CLIPTextEncode", text=text, clip=clip)


def _sampler(seed: int, *, model: str, positive: str, negative: str, latent: str, **more: Any) -> Any:
    settings = {"steps": 4, "cfg": 1, "sampler_name": "euler", "scheduler": "simple", "denoise": 1, **more}
    places = {"model": [model, 0], "positive": [positive, 0], "negative": [negative, 0]}
    return node("KSampler", seed=seed, **settings, **places, latent_image=[latent, 0])


def flux_checkpoint() -> Graph:
    return {
        "6": _text("a lighthouse in the fog", ["30", 1]),
        "8": node("VAEDecode", samples=["31", 0], vae=["30", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
        "27": node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        "30": node("CheckpointLoaderSimple", ckpt_name="flux1-dev-fp8.safetensors"),
        "31": _sampler(150, model="30", positive="35", negative="33", latent="27"),
        "33": _text("", ["30", 1]),
        "35": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
    }


def flux_twice_saved() -> Graph:
    return {
        **flux_checkpoint(),
        "38": node("PreviewImage", images=["8", 0]),
        "40": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }


def flux_parts(unet: str) -> Graph:
    """Flux from its single files, sampled by the nodes for custom samplers."""
    places = {"noise": ["25", 0], "guider": ["22", 0], "sampler": ["16", 0], "sigmas": ["17", 0]}
    clips = {"clip_name1": "t5xxl_fp8_e4m3fn.safetensors", "clip_name2": "clip_l.safetensors"}
    return {
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": _text("a grey heron on a roof", ["11", 0]),
        "8": node("VAEDecode", samples=["13", 0], vae=["10", 0]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
        "10": node("VAELoader", vae_name="ae.safetensors"),
        "11": node("DualCLIPLoader", **clips, type="flux"),
        "12": node("UNETLoader", unet_name=unet, weight_dtype="fp8_e4m3fn"),
        "13": node("SamplerCustomAdvanced", **places, latent_image=["5", 0]),
        "16": node("KSamplerSelect", sampler_name="euler"),
        "17": node("BasicScheduler", scheduler="sgm_uniform", steps=4, denoise=1, model=["12", 0]),
        "22": node("BasicGuider", model=["12", 0], conditioning=["6", 0]),
        "25": node("RandomNoise", noise_seed=108_076_821_791_990),
    }


def sd3() -> Graph:
    checkpoint = "sd3_medium_incl_clips_t5xxlfp8.safetensors"
    sampling = {"sampler_name": "dpmpp_2m", "scheduler": "sgm_uniform", "cfg": 4.5}
    return {
        "6": _text("a drawing of a fox", ["252", 1]),
        "13": node("ModelSamplingSD3", shift=3, model=["252", 0]),
        "71": _text("blurry", ["252", 1]),
        "135": node("EmptySD3LatentImage", width=96, height=64, batch_size=1),
        "231": node("VAEDecode", samples=["271", 0], vae=["252", 2]),
        "252": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "271": _sampler(29, model="13", positive="6", negative="71", latent="135", **sampling),
        "273": node("SaveImage", filename_prefix="sd3/sd3", images=["231", 0]),
    }


def _stable_diffusion(checkpoint: str) -> Graph:
    return {
        "3": _sampler(457, model="4", positive="6", negative="7", latent="5", scheduler="normal"),
        "4": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": _text("a harbour, a photograph", ["4", 1]),
        "7": _text("text, watermark", ["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
    }


def sdxl_turbo() -> Graph:
    save = node("SaveImage", filename_prefix="images/rome", images=["8", 0])
    return {**_stable_diffusion("sd_xl_turbo_1.0_fp16.safetensors"), "9": save}


def webp_of_an_extension() -> Graph:
    """A save node of an extension, with its many switches as texts, and two previews."""
    switches = ("filename_number_start", "lossless_webp", "overwrite_mode", "show_history")
    off = dict.fromkeys((*switches, "show_history_by_prefix", "embed_workflow", "show_previews"), "false")
    names = {
        "output_path": "output_path",
        "filename_prefix": "filename_prefix",
        "filename_delimiter": "___",
        "filename_number_padding": 4,
    }
    return {
        **_stable_diffusion("v1-5-pruned-emaonly.safetensors"),
        "10": node("Image Save", **names, extension="webp", quality=10, **off, images=["8", 0]),
        "11": node("PreviewImage", images=["8", 0]),
        "12": node("PreviewImage", images=["8", 0]),
    }
