"""How much GPU memory a training needs, from its config.

The sum of: parameters x bytes of their number format (weights that are not on the GPU while it trains left out), the
LoRA with its gradients and the optimizer's state, activations (pixels x batch x a factor of the model), and a fixed part
for CUDA and the VAE. It is meant to be right within a fifth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lorapod.trainers.fit.sizes import ModelSize, size_of

#: CUDA's context, the VAE, buffers, and what the allocator cannot use.
FIXED_BYTES: Final = 2.0e9

#: Scales of quantised weights, and the layers that stay as they are.
_QUANTISED: Final = 1.05

#: Layers whose weights are fetched from the main memory: some of them are on the GPU at any time.
_OFFLOAD_BUFFER_BYTES: Final = 1.0e9

#: Activations without gradient checkpointing, compared to those with it: about 12 tensors for each layer instead of one.
_WITHOUT_CHECKPOINTING: Final = 8.0

#: The parameters of a LoRA of rank 1 are the model's parameters divided by this: 2 / width, for each matrix.
_PARAMETERS_PER_RANK: Final = 2000.0

#: Bytes for each parameter that is trained, beside its own four and its gradient's four.
_OPTIMIZER_BYTES: Final = {
    "adafactor": 0.1,
    "adagrad": 4.0,
    "adam8": 2.0,
    "adam8bit": 2.0,
    "ademamix8bit": 3.0,
    "adamw8": 2.0,
    "adamw8bit": 2.0,
    "automagic": 2.0,
    "automagic2": 2.0,
    "automagic3": 2.0,
    "lion": 4.0,
    "lion8bit": 1.0,
    "prodigy": 16.0,
    "prodigy8bit": 6.0,
}
_ADAM_BYTES: Final = 8.0

_FOUR_BYTES: Final = frozenset({"fp32", "float32", "float"})


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """GPU memory that a training needs, in bytes, by what needs it."""

    weights: float
    text_encoders: float
    lora: float
    activations: float

    @property
    def total(self) -> int:
        """Return the sum, with the fixed part."""
        return round(self.weights + self.text_encoders + self.lora + self.activations + FIXED_BYTES)

    def explained(self) -> str:
        """Return the parts as a person reads them."""
        parts = {
            "weights": self.weights,
            "text encoders": self.text_encoders,
            "LoRA and optimizer": self.lora,
            "activations": self.activations,
            "CUDA and VAE": FIXED_BYTES,
        }
        return ", ".join(f"{name} {part / 1e9:.1f} GB" for name, part in parts.items() if part >= 5e7)


def memory_need(process: Mapping[str, Any]) -> MemoryNeed | None:
    """Return what a config's process needs; None if the size of its model is not known."""
    model, train = _section(process, "model"), _section(process, "train")
    size = size_of(model)
    if size is None:
        return None
    weights = _weights(model, train, size)
    encoders = _text_encoders(model, train, size)
    lora = _lora(process, train, size)
    activations = _activations(process, train, size)
    if _unloads_text_encoders(process, train):
        # The prompts are encoded once, before the training; what is then on the GPU may be more than what trains.
        beside = 0.0 if model.get("low_vram") else weights
        peak = encoders + beside - (weights + lora + activations)
        encoders = max(0.0, peak)
    return MemoryNeed(weights=weights, text_encoders=encoders, lora=lora, activations=activations)


def _weights(model: Mapping[str, Any], train: Mapping[str, Any], size: ModelSize) -> float:
    at_once = 1 if model.get("low_vram") else size.experts
    held = size.parameters * 1e6 * at_once * _bytes_each(model, train, "quantize", "qtype")
    return _offloaded(held, model, "layer_offloading_transformer_percent")


def _text_encoders(model: Mapping[str, Any], train: Mapping[str, Any], size: ModelSize) -> float:
    quantised = {**model, "quantize_te": model.get("quantize_te", model.get("quantize"))}
    held = size.text_encoders * 1e6 * _bytes_each(quantised, train, "quantize_te", "qtype_te")
    return _offloaded(held, model, "layer_offloading_text_encoder_percent")


def _offloaded(held: float, model: Mapping[str, Any], share: str) -> float:
    percent = model.get(share, 1.0)
    if not model.get("layer_offloading") or not isinstance(percent, int | float) or percent <= 0:
        return held
    return held * (1 - min(percent, 1.0)) + min(held, _OFFLOAD_BUFFER_BYTES)


def _bytes_each(model: Mapping[str, Any], train: Mapping[str, Any], switch: str, kind: str) -> float:
    if model.get(switch):
        return bits_of(str(model.get(kind) or "qfloat8")) / 8 * _QUANTISED
    return 4.0 if train.get("dtype", "fp32") in _FOUR_BYTES else 2.0


def bits_of(qtype: str) -> float:
    """Return the bits of a weight in one of AI Toolkit's formats, with or without an accuracy recovery adapter."""
    name = qtype.partition("|")[0]
    if name in {"nvfp4", "convrot4"}:
        return 4.5
    if name == "convrotbitnet":
        return 2.0
    digits = "".join(character for character in name if character.isdigit())
    return float(digits) if digits and 2 <= int(digits) <= 16 else 8.0


def _lora(process: Mapping[str, Any], train: Mapping[str, Any], size: ModelSize) -> float:
    network = _section(process, "network")
    rank = network.get("linear", network.get("rank", 4))
    trained = size.parameters * 1e6 * size.experts * (rank if isinstance(rank, int) else 4)
    trained /= _PARAMETERS_PER_RANK
    if str(network.get("type", "lora")).lower() == "lokr":
        # Two small matrices in place of each large one.
        trained = min(trained, size.parameters * 1e6 * size.experts / 200)
    optimizer = _OPTIMIZER_BYTES.get(str(train.get("optimizer", "adamw")).lower(), _ADAM_BYTES)
    ema = 4.0 if _section(train, "ema_config").get("use_ema") else 0.0
    return trained * (4.0 + 4.0 + optimizer + ema)


def _activations(process: Mapping[str, Any], train: Mapping[str, Any], size: ModelSize) -> float:
    factor = 1.0 if train.get("gradient_checkpointing", True) else _WITHOUT_CHECKPOINTING
    return batch_pixels(process, train, size) * size.activations * factor


def batch_pixels(process: Mapping[str, Any], train: Mapping[str, Any], size: ModelSize) -> float:
    """Return the pixels of the largest batch, of all latent frames and control images."""
    batch = train.get("batch_size", 1)
    pixels = max((_pixels(dataset, size) for dataset in _datasets(process)), default=512.0**2)
    return pixels * (batch if isinstance(batch, int) else 1)


def _pixels(dataset: Mapping[str, Any], size: ModelSize) -> float:
    """Return the pixels of one item of a batch, control images included."""
    sides = dataset.get("resolution", 512)
    side = max((each for each in _as_list(sides) if isinstance(each, int | float)), default=512)
    frames = dataset.get("num_frames", 1)
    latent_frames = 1 + (frames - 1) // size.frames if isinstance(frames, int) and size.frames > 1 else 1
    controls = len([path for path in _as_list(dataset.get("control_path")) if path])
    return float(side) ** 2 * (latent_frames + controls)


def _unloads_text_encoders(process: Mapping[str, Any], train: Mapping[str, Any]) -> bool:
    return bool(
        train.get("unload_text_encoder")
        or train.get("cache_text_embeddings")
        or any(dataset.get("cache_text_embeddings") for dataset in _datasets(process))
    )


def _datasets(process: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [dataset for dataset in _as_list(process.get("datasets")) if isinstance(dataset, Mapping)]


def _section(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = mapping.get(key)
    return section if isinstance(section, Mapping) else {}


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
