from __future__ import annotations

from typing import Any

import pytest

from lorapod.trainers.fit import memory_need, size_of
from lorapod.trainers.fit.memory import FIXED_BYTES, MemoryNeed, bits_of


def need(**sections: Any) -> MemoryNeed:
    """What a FLUX training needs, with these sections changed."""
    process: dict[str, Any] = {
        "network": {"type": "lora", "linear": 16},
        "train": {"dtype": "bf16", "optimizer": "adamw8bit", "batch_size": 1},
        "model": {"name_or_path": "black-forest-labs/FLUX.1-dev", "arch": "flux"},
        "datasets": [{"resolution": [512, 1024]}],
    }
    for name, changes in sections.items():
        process[name] = changes if isinstance(changes, list) else {**process[name], **changes}
    found = memory_need(process)
    assert found is not None
    return found


def test_it_is_parameters_by_bytes_and_pixels_by_a_factor() -> None:
    plain = need()
    assert plain.weights == pytest.approx(2 * 11.9e9)
    assert plain.text_encoders == pytest.approx(2 * 4.89e9)
    assert plain.activations == pytest.approx(1024**2 * 2810)
    parts = plain.weights + plain.text_encoders + plain.lora + plain.activations
    assert plain.total == round(parts + FIXED_BYTES)
    assert plain.explained().startswith("weights 23.8 GB, text encoders 9.8 GB, LoRA and optimizer")


def test_quantised_weights_take_the_bits_of_their_format() -> None:
    assert need(model={"quantize": True}).weights == pytest.approx(1.05 * 11.9e9)
    # AI Toolkit then quantises the text encoders as well, unless told otherwise.
    assert need(model={"quantize": True}).text_encoders == pytest.approx(1.05 * 4.89e9)
    assert need(model={"quantize": True, "quantize_te": False}).text_encoders == pytest.approx(2 * 4.89e9)
    assert need(model={"quantize": True, "qtype": "uint4|a/b"}).weights == pytest.approx(1.05 * 11.9e9 / 2)
    assert need(train={"dtype": "fp32"}).weights == pytest.approx(4 * 11.9e9)


@pytest.mark.parametrize(
    ("qtype", "bits"),
    [
        ("qfloat8", 8),
        ("float8", 8),
        ("convrot8", 8),
        ("int8", 8),
        ("uint3|ostris/accuracy_recovery_adapters/qwen_image_2512_torchao_uint3.safetensors", 3),
        ("uint7", 7),
        ("convrotint5", 5),
        ("nvfp4", 4.5),
        ("convrot4", 4.5),
        ("convrotbitnet", 2),
        ("something", 8),
    ],
)
def test_the_bits_of_a_format(qtype: str, bits: float) -> None:
    assert bits_of(qtype) == bits


def test_more_pixels_in_a_step_need_more() -> None:
    one = need().activations
    assert need(train={"batch_size": 3}).activations == pytest.approx(3 * one)
    assert need(datasets=[{"resolution": 512}]).activations == pytest.approx(one / 4)
    assert need(datasets=[{"resolution": 512}, {"resolution": 1024}]).activations == pytest.approx(one)
    paired = [{"resolution": 1024, "control_path": ["a", "b"]}]
    assert need(datasets=paired).activations == pytest.approx(3 * one)
    assert need(train={"gradient_checkpointing": False}).activations > 5 * one


def test_a_video_counts_its_latent_frames() -> None:
    wan = {"arch": "wan21", "name_or_path": "x"}
    image = need(model=wan, datasets=[{"resolution": 512, "num_frames": 1}]).activations
    video = need(model=wan, datasets=[{"resolution": 512, "num_frames": 41}]).activations
    assert video == pytest.approx(11 * image)


def test_what_is_not_on_the_gpu_does_not_count() -> None:
    kept = need(model={"quantize": True})
    # The text encoders are on the GPU before the training; then they leave it.
    freed = need(model={"quantize": True, "low_vram": True}, train={"cache_text_embeddings": True})
    assert freed.text_encoders == 0
    assert freed.total < kept.total - 4e9
    half = need(
        model={"quantize": True, "layer_offloading": True, "layer_offloading_transformer_percent": 0.5}
    )
    assert half.weights == pytest.approx(kept.weights / 2 + 1e9)
    experts = {"arch": "wan22_14b", "name_or_path": "x", "quantize": True}
    assert need(model=experts).weights == pytest.approx(2 * need(model={**experts, "low_vram": True}).weights)


def test_text_encoders_that_are_larger_than_the_model_count_while_they_encode() -> None:
    hidream = {"arch": "hidream", "name_or_path": "x", "quantize": True, "qtype": "uint3", "low_vram": True}
    cached = need(model=hidream, train={"cache_text_embeddings": True})
    assert cached.total == pytest.approx(1.05 * 13.6e9 + FIXED_BYTES)


def test_what_is_trained_needs_gradients_and_the_optimizer() -> None:
    assert need(network={"linear": 32}).lora == pytest.approx(2 * need().lora)
    assert need(train={"optimizer": "adamw"}).lora > need().lora > need(train={"optimizer": "adafactor"}).lora
    assert need(train={"ema_config": {"use_ema": True}}).lora > need().lora
    assert need(network={"type": "lokr", "linear": 1024}).lora < need(network={"linear": 1024}).lora


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ({}, 860),
        ({"arch": "sd15"}, 860),
        ({"is_xl": True}, 2567),
        ({"is_flux": True}, 11900),
        ({"arch": "zimage:turbo"}, 6150),
        ({"arch": "wan21", "name_or_path": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"}, 1420),
        ({"arch": "sd3", "name_or_path": "stabilityai/stable-diffusion-3.5-medium"}, 2470),
    ],
)
def test_the_size_follows_the_architecture_and_the_model(model: dict[str, Any], parameters: float) -> None:
    size = size_of(model)
    assert size is not None
    assert size.parameters == parameters


@pytest.mark.parametrize("arch", ["ace_step_15", "tomorrow", 3, ["flux"]])
def test_nothing_is_said_of_a_model_of_unknown_size(arch: object) -> None:
    assert memory_need({"model": {"arch": arch}}) is None


@pytest.mark.parametrize("junk", [None, [], {"resolution": "big"}, {"resolution": None, "num_frames": "4"}])
def test_a_broken_config_raises_nothing(junk: Any) -> None:
    process = {"model": {"arch": "flux"}, "train": junk, "network": junk, "datasets": [junk]}
    assert memory_need(process) is not None
