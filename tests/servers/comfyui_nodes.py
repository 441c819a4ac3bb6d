"""The few nodes of the ComfyUI stand-in: none needs a model, each answers as the real one of its name does."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

#: How long one `ImageSharpen` takes.
SHARPEN_S = 0.25
#: What every node gets beside its inputs.
EXTRA_PNGINFO = "extra_pnginfo"
_LISTS: dict[str, list[str]] = {
    "ckpt_name": [],
    "unet_name": [
        "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors",
    ],
    "clip_name": ["umt5_xxl_fp8_e4m3fn_scaled.safetensors"],
    "vae_name": ["wan_2.1_vae.safetensors"],
}
#: Folders of models whose files are listed too.
_MODEL_FOLDERS = {
    "ckpt_name": "checkpoints",
    "unet_name": "diffusion_models",
    "vae_name": "vae",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "lora_name": "loras",
}
_LISTED = frozenset({*_LISTS, *_MODEL_FOLDERS})


@dataclass(frozen=True)
class Shade:
    """A batch of pictures of one colour each."""

    width: int
    height: int
    count: int
    colour: int
    #: Those of further pictures.
    then: tuple[int, ...] = ()

    def save(self, path: Path, kind: str | None = None, **more: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._frames()[0].save(path, format=kind, **more)

    def save_animated(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        first, *rest = self._frames()
        first.save(path, save_all=True, append_images=rest)

    def _frames(self) -> list[Image.Image]:
        colours = ((each >> 16 & 255, each >> 8 & 255, each & 255) for each in (self.colour, *self.then))
        return [Image.new("RGB", (self.width, self.height), rgb) for rgb in colours]


@dataclass(frozen=True)
class Folders:
    """Where the server reads and writes."""

    root: Path
    #: Nothing more can be written to the output folder.
    full: bool = False

    def of(self, kind: str) -> Path | None:
        return self.root / kind if kind in {"input", "output", "temp"} else None

    def next_file(self, prefix: str, suffix: str) -> tuple[Path, dict[str, str]]:
        """A free name in the output folder, and how results name it."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/output")
        subfolder, _, stem = prefix.rpartition("/")
        folder = self.root / "output" / subfolder
        number = 1
        while (path := folder / f"{stem}_{number:05d}_{suffix}").exists():
            number += 1
        return path, {"filename": path.name, "subfolder": subfolder, "type": "output"}


@dataclass(frozen=True)
class NodeClass:
    """What the server knows of a class: its required inputs (with the least value of numbers), and what it does."""

    required: Mapping[str, float | None]
    run: Callable[[dict[str, Any], Folders], tuple[tuple[Any, ...], dict[str, Any] | None]]
    output_node: bool = False


def _save(suffix: str, extra: dict[str, Any] | None = None, key: str = "images") -> Any:
    def run(inputs: dict[str, Any], folders: Folders) -> tuple[tuple[Any, ...], dict[str, Any]]:
        path, shown = folders.next_file(inputs["filename_prefix"], suffix)
        source = next((value for value in inputs.values() if isinstance(value, Shade)), None)
        if suffix == ".webp" and source is not None:
            source.save(path)
        elif suffix == ".png" and source is not None:
            metadata = PngImagePlugin.PngInfo()
            for name, value in (inputs.get(EXTRA_PNGINFO) or {}).items():
                metadata.add_text(name, json.dumps(value))
            source.save(path, pnginfo=metadata)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\0" * 64)
        return (), {key: [shown], **(extra or {})}

    return run


def _save_animated(suffix: str, key: str = "images") -> Any:
    """Under `images` with a mark, as stills are."""

    def run(inputs: dict[str, Any], folders: Folders) -> tuple[tuple[Any, ...], dict[str, Any]]:
        path, shown = folders.next_file(inputs["filename_prefix"], suffix)
        inputs["images"].save_animated(path)
        return (), {key: [shown], "animated": [True]}

    return run


def _batch(inputs: dict[str, Any], _folders: Folders) -> tuple[tuple[Any, ...], None]:
    first, second = inputs["image1"], inputs["image2"]
    then = (*first.then, second.colour, *second.then)
    return (Shade(first.width, first.height, first.count + second.count, first.colour, then),), None


def _save_of_an_extension(inputs: dict[str, Any], folders: Folders) -> Any:
    """As several extensions do it: whoever sends no workflow meets an exception."""
    nodes = inputs[EXTRA_PNGINFO].get("workflow")["nodes"]
    assert [node["id"] for node in nodes]
    return _save(f".{inputs.get('extension', 'png')}")(inputs, folders)


def _preview(inputs: dict[str, Any], folders: Folders) -> tuple[tuple[Any, ...], dict[str, Any]]:
    name = f"ComfyUI_temp_abcde_{time.monotonic_ns()}_.png"
    inputs["images"].save(folders.root / "temp" / name)
    return (), {"images": [{"filename": name, "subfolder": "", "type": "temp"}]}


def _sharpen(inputs: dict[str, Any], _folders: Folders) -> tuple[tuple[Any, ...], None]:
    time.sleep(SHARPEN_S)
    return (inputs["image"],), None


def _invert(inputs: dict[str, Any], _folders: Folders) -> tuple[tuple[Any, ...], None]:
    image = inputs["image"]
    return (Shade(image.width, image.height, image.count, image.colour ^ 0xFFFFFF),), None


def _load(inputs: dict[str, Any], folders: Folders) -> tuple[tuple[Any, ...], None]:
    """The picture, and as its mask where it is transparent."""
    name = inputs.get("image") or inputs["video"]
    with Image.open(folders.root / "input" / name) as opened:
        red, green, blue, alpha = opened.convert("RGBA").getpixel((0, 0))  # type: ignore[misc] # RGBA has four
        picture = Shade(*opened.size, 1, red << 16 | green << 8 | blue)
        return (picture, Shade(*opened.size, 1, (255 - alpha) * 0x010101)), None


def _load_file(name: str) -> Any:
    def run(inputs: dict[str, Any], folders: Folders) -> tuple[tuple[Any, ...], None]:
        path = folders.root / "input" / inputs[name]
        assert path.stat().st_size
        return (path.name,), None

    return run


def _empty(inputs: dict[str, Any], _folders: Folders) -> tuple[tuple[Any, ...], None]:
    return (Shade(inputs["width"], inputs["height"], inputs["batch_size"], inputs.get("color", 0)),), None


def _regex(inputs: dict[str, Any], _folders: Folders) -> tuple[tuple[Any, ...], None]:
    return (re.sub(inputs["regex_pattern"], inputs["replace"], str(inputs["string"])),), None


def _through(name: str) -> Any:
    return lambda inputs, _folders: ((inputs[name], inputs[name], inputs[name]), None)


def _wan(inputs: dict[str, Any], _folders: Folders) -> tuple[tuple[Any, ...], None]:
    """The canvas has the size that is asked for, and the input picture's colour."""
    canvas = Shade(inputs["width"], inputs["height"], inputs["length"], inputs["start_image"].colour)
    return (inputs["positive"], inputs["negative"], canvas), None


_LORA: dict[str, float | None] = {"model": None, "lora_name": None, "strength_model": -100}
_SAMPLER: dict[str, float | None] = {
    **dict.fromkeys(("model", "positive", "negative", "latent_image", "sampler_name", "scheduler")),
    "noise_seed": 0,
    "steps": 1,
    "cfg": 0,
    "start_at_step": 0,
    "end_at_step": 0,
}
_KSAMPLER: dict[str, float | None] = {
    **dict.fromkeys(("model", "positive", "negative", "latent_image", "sampler_name", "scheduler")),
    "seed": 0,
    "steps": 1,
    "cfg": 0,
    "denoise": 0,
}
_AUDIO = {"audio": None, "filename_prefix": None}
_PICTURES = {"images": None, "filename_prefix": None}
NODES: dict[str, NodeClass] = {
    "EmptyImage": NodeClass({"width": 1, "height": 1, "batch_size": 1, "color": 0}, _empty),
    "EmptyLatentImage": NodeClass({"width": 16, "height": 16, "batch_size": 1}, _empty),
    "EmptyAudio": NodeClass({"duration": 0}, _through("duration")),
    "LoadImage": NodeClass({"image": None}, _load),
    "LoadImageMask": NodeClass({"image": None, "channel": None}, _load),
    "MaskToImage": NodeClass({"mask": None}, _through("mask")),
    "LoadAudio": NodeClass({"audio": None}, _load_file("audio")),
    "LoadVideo": NodeClass({"file": None}, _load_file("file")),
    "VHS_LoadVideo": NodeClass({"video": None}, _load),
    "VHS_LoadVideoPath": NodeClass({"video": None}, _load),
    "PrimitiveInt": NodeClass({"value": -(1 << 63)}, _through("value")),
    "PrimitiveString": NodeClass({"value": None}, _through("value")),
    "ImageBatch": NodeClass({"image1": None, "image2": None}, _batch),
    "ImageInvert": NodeClass({"image": None}, _invert),
    "ImageSharpen": NodeClass({"image": None, "sharpen_radius": 1, "sigma": 0.1, "alpha": 0}, _sharpen),
    "ImageAddNoise": NodeClass({"image": None, "seed": 0, "strength": 0}, _through("image")),
    "RegexReplace": NodeClass({"string": None, "regex_pattern": None, "replace": None}, _regex),
    "CheckpointLoaderSimple": NodeClass({"ckpt_name": None}, _through("ckpt_name")),
    "UNETLoader": NodeClass({"unet_name": None, "weight_dtype": None}, _through("unet_name")),
    "CLIPLoader": NodeClass({"clip_name": None, "type": None}, _through("clip_name")),
    "VAELoader": NodeClass({"vae_name": None}, _through("vae_name")),
    "LoraLoaderModelOnly": NodeClass(_LORA, _through("model")),
    "ModelSamplingSD3": NodeClass({"model": None, "shift": 0}, _through("model")),
    "CLIPTextEncode": NodeClass({"text": None, "clip": None}, _through("text")),
    "WanImageToVideo": NodeClass(
        {
            "positive": None,
            "negative": None,
            "vae": None,
            "width": 16,
            "height": 16,
            "length": 1,
            "batch_size": 1,
        },
        _wan,
    ),
    "KSamplerAdvanced": NodeClass(_SAMPLER, _through("latent_image")),
    "KSampler": NodeClass(_KSAMPLER, _through("latent_image")),
    "EmptySD3LatentImage": NodeClass({"width": 16, "height": 16, "batch_size": 1}, _empty),
    "FluxGuidance": NodeClass({"conditioning": None, "guidance": 0}, _through("conditioning")),
    "DualCLIPLoader": NodeClass({"clip_name1": None, "clip_name2": None, "type": None}, _through("type")),
    "RandomNoise": NodeClass({"noise_seed": 0}, _through("noise_seed")),
    "KSamplerSelect": NodeClass({"sampler_name": None}, _through("sampler_name")),
    "BasicScheduler": NodeClass(
        {"model": None, "scheduler": None, "steps": 1, "denoise": 0}, _through("steps")
    ),
    "BasicGuider": NodeClass({"model": None, "conditioning": None}, _through("model")),
    "SamplerCustomAdvanced": NodeClass(
        dict.fromkeys(("noise", "guider", "sampler", "sigmas", "latent_image")), _through("latent_image")
    ),
    "VAEDecode": NodeClass({"samples": None, "vae": None}, _through("samples")),
    "PreviewImage": NodeClass({"images": None}, _preview, output_node=True),
    "PreviewAny": NodeClass(
        {"source": None}, lambda inputs, _: ((), {"text": [str(inputs["source"])]}), output_node=True
    ),
    "ShowAny": NodeClass(
        {"source": None}, lambda inputs, _: ((), {"text": [str(inputs["source"])]}), output_node=True
    ),
    "CreateVideo": NodeClass({"images": None, "fps": 1}, _through("images")),
    "SaveImage": NodeClass(_PICTURES, _save(".png"), output_node=True),
    "Image Save": NodeClass(_PICTURES, _save_of_an_extension, output_node=True),
    "SaveVideo": NodeClass(
        {"video": None, "filename_prefix": None, "format": None, "codec": None},
        _save(".mp4", {"animated": [True]}),
        output_node=True,
    ),
    "SaveAnimatedWEBP": NodeClass(
        {**_PICTURES, **dict.fromkeys(("fps", "lossless", "quality", "method"))},
        _save_animated(".webp"),
        output_node=True,
    ),
    "SaveAnimatedPNG": NodeClass(
        {**_PICTURES, "fps": None, "compress_level": None}, _save_animated(".png"), output_node=True
    ),
    "SaveGIF": NodeClass(_PICTURES, _save_animated(".gif", key="gifs"), output_node=True),
    "SaveAudio": NodeClass(_AUDIO, _save(".flac", key="audio"), output_node=True),
    "SaveLatent": NodeClass(
        {"samples": None, "filename_prefix": None}, _save(".latent", key="latents"), output_node=True
    ),
    "VHS_VideoCombine": NodeClass(_PICTURES, _save(".mp4", key="gifs"), output_node=True),
}


_FILES: list[Any] = [["example.png"], {"image_upload": True}]
#: What `/object_info` says of inputs that hold a text; both forms of lists.
_TYPES: dict[tuple[str, str], list[Any]] = {
    ("LoadImage", "image"): _FILES,
    ("LoadImageMask", "image"): _FILES,
    ("LoadAudio", "audio"): [["example.wav"], {"audio_upload": True}],
    ("LoadVideo", "file"): ["COMBO", {"options": ["example.mp4"], "video_upload": True}],
    ("LoadImageMask", "channel"): ["COMBO", {"options": ["alpha", "red", "green", "blue"]}],
    ("VHS_LoadVideo", "video"): [["clip.mp4"]],
    ("VHS_LoadVideoPath", "video"): ["STRING", {"placeholder": "X://insert/path/here.mp4"}],
    ("PrimitiveString", "value"): ["STRING", {}],
}


def object_info(class_type: str, folders: Folders) -> dict[str, Any]:
    """What the server tells of a class; nothing of one that it does not know."""
    if class_type not in NODES:
        return {}
    required = {
        name: _TYPES.get((class_type, name))
        or (
            [_listed(name, folders), {}]
            if name in _LISTED
            else ["*", {}]
            if least is None
            else ["INT", {"min": least}]
        )
        for name, least in NODES[class_type].required.items()
    }
    return {class_type: {"input": {"required": required}, "output_node": NODES[class_type].output_node}}


def problem_with(name: str, value: Any, least: float | None, folders: Folders) -> dict[str, Any] | None:
    """What is wrong with an input's value, as the real server says it."""
    info = {"input_name": name, "received_value": value}
    if name in _LISTED and value not in _listed(name, folders):
        return _not_listed(name, value, _listed(name, folders))
    if (
        name in {"image", "video"}
        and isinstance(value, str)
        and not (folders.root / "input" / value).is_file()
    ):
        message = "Custom validation failed for node"
        return _problem("custom_validation_failed", message, f"{name} - Invalid image file: {value}", info)
    if least is not None and not isinstance(value, int | float):
        message = "Failed to convert an input value to a INT value"
        return _problem("invalid_input_type", message, f"{name}, {value}, invalid literal", info)
    if least is not None and value < least:
        info["input_config"] = ["INT", {"min": least, "max": 16384}]
        return _problem("value_smaller_than_min", f"Value {value} smaller than min of {least}", name, info)
    return None


def _listed(name: str, folders: Folders) -> list[str]:
    models = folders.root / "models" / _MODEL_FOLDERS.get(name, name)
    there = [path.relative_to(models).as_posix() for path in models.rglob("*") if path.is_file()]
    return [*_LISTS.get(name, ()), *there]


def _not_listed(name: str, value: Any, listed: list[str]) -> dict[str, Any]:
    """Long lists are left out."""
    long = len(listed) > 20
    info = {"input_name": name, "received_value": value, "input_config": None if long else [listed, {}]}
    shown = f"(list of length {len(listed)})" if long else listed
    return _problem("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {shown}", info)


def raised(details: str) -> dict[str, Any]:
    """The problem of an output whose check raised an exception."""
    info = {"exception_type": "KeyError", "traceback": ["secret.py"]}
    return _problem("exception_during_validation", "Exception when validating node", details, info)


def missing(name: str) -> dict[str, Any]:
    """The problem of an input that is not there."""
    return _problem("required_input_missing", "Required input is missing", name, {"input_name": name})


def _problem(kind: str, message: str, details: str, info: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": info}
