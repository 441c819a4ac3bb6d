from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.models.model_files import put_model

from lorapod.errors import GpuUnavailable, InsufficientMemory
from lorapod.trainers import presets
from lorapod.trainers.fit import (
    WayOut,
    check_cpu_time,
    check_gpu_memory,
    cpu_duration_s,
    memory_need,
    savings_of,
)
from lorapod.wire.knobs import TrainKnobs


def process_of(preset: str, **knobs: Any) -> dict[str, Any]:
    process: dict[str, Any] = presets.build_config(preset, TrainKnobs(**knobs))["config"]["process"][0]
    return process


def tiers_of(preset: str, **knobs: Any) -> list[WayOut]:
    found = [
        (tier.name, process_of(preset, **{**knobs, "tier": tier.name})) for tier in presets.get(preset).tiers
    ]
    return [
        WayOut(field="tier", value=name, process=process, explanation=savings_of(process))
        for name, process in found
    ]


def refusal(preset: str, gpu_gb: float, *, tiers: bool = True, **knobs: Any) -> InsufficientMemory:
    with pytest.raises(InsufficientMemory) as caught:
        check_gpu_memory(
            process_of(preset, **knobs),
            round(gpu_gb * 1e9),
            tiers=tiers_of(preset, **knobs) if tiers else (),
        )
    return caught.value


def test_a_training_that_fits_passes() -> None:
    check_gpu_memory(process_of("flux-dev"), 24_000_000_000)
    check_gpu_memory({"model": {"arch": "tomorrow"}}, 1)


def test_the_way_out_is_the_largest_tier_that_fits() -> None:
    error = refusal("flux2-dev", 25.7, tier="80gb")
    assert error.message == "This training needs about 72 GB of GPU memory, and this worker's GPU has 26 GB."
    assert error.hint.startswith(
        "Set `tier: 24gb` (weights in 4 bits, low_vram, layer_offloading, cache_text_embeddings)"
    )
    assert "rule of thumb" in error.hint
    assert "weights 33.8 GB" in error.hint
    assert "`force: true`" in error.hint
    assert error.details == ({"field": "tier", "error": "24gb would fit"},)
    assert "`tier: 48gb`" in refusal("flux2-dev", 50, tier="80gb").hint


def test_knobs_that_made_it_too_large_are_named() -> None:
    error = refusal("flux-dev", 25.7, batch_size=4)
    assert [each["field"] for each in error.details] == ["batch_size", "resolution"]


def test_a_config_of_ones_own_is_answered_with_its_keys() -> None:
    process = process_of("flux-dev", tier="48gb")
    del process["model"]["quantize_te"]
    with pytest.raises(InsufficientMemory) as caught:
        check_gpu_memory(process, 25_700_000_000)
    assert [each["field"] for each in caught.value.details] == [
        "config.process[0].model.quantize",
        "config.process[0].model.qtype",
    ]


def test_several_changes_are_named_together_if_no_single_one_is_enough() -> None:
    error = refusal("flux-dev", 17, tiers=False, tier="48gb", batch_size=2)
    (way,) = error.details
    assert way["field"] == "config.process[0].train.batch_size"
    assert (
        "with config.process[0].datasets[].resolution: 512, config.process[0].model.quantize: true"
        in error.hint
    )


def test_what_fits_no_way_says_how_large_a_gpu_it_takes() -> None:
    error = refusal("flux2-dev", 4)
    assert error.hint.startswith("Take a larger GPU.")
    assert error.details == ({"field": "config.process[0].model", "error": "needs a GPU with about 20 GB"},)


def test_no_weights_in_fewer_bits_where_the_trainer_has_none() -> None:
    fields = [each["field"] for each in refusal("sdxl", 11, tiers=False).details]
    assert fields == ["config.process[0].datasets[].resolution"]
    with pytest.raises(InsufficientMemory) as caught:
        check_gpu_memory(process_of("flux-dev", tier="48gb"), 30_000_000_000, can_quantise=False)
    assert all("model" not in each["field"] or "needs" in each["error"] for each in caught.value.details)


def test_near_misses_show_a_decimal() -> None:
    assert (
        "about 23.9 GB of GPU memory, and this worker's GPU has 23.8 GB" in refusal("flux-dev", 23.8).message
    )


class TestWithoutAGpu:
    def test_days_on_a_laptop_are_refused_with_the_time(self) -> None:
        with pytest.raises(GpuUnavailable) as caught:
            check_cpu_time(process_of("sdxl", steps=1500), 8)
        assert caught.value.message == (
            "This worker has no GPU: 1500 steps would take about 3 days on its 8 processor cores."
        )
        assert "`force: true`" in caught.value.hint
        assert caught.value.details[0]["field"] == "config.process[0].train.steps"

    def test_hours_pass(self) -> None:
        check_cpu_time(process_of("sdxl", steps=50), 8)
        check_cpu_time(process_of("sd15", steps=1500), 8)

    def test_the_time_follows_steps_pixels_and_cores(self) -> None:
        def time(cores: int = 8, **knobs: Any) -> float:
            return cpu_duration_s(process_of("sd15", **knobs), cores) or 0.0

        assert time(steps=200) == pytest.approx(2 * time(steps=100))
        assert time(batch_size=2) == pytest.approx(2 * time())
        assert time(resolution=256) == pytest.approx(time() / 4)
        assert time(cores=4) == pytest.approx(2 * time())

    def test_a_small_model_is_counted_by_its_file(self, tmp_path: Path) -> None:
        put_model(tmp_path / "tiny" / "unet" / "model.safetensors")
        process = process_of("sdxl", model=str(tmp_path / "tiny"))
        check_cpu_time(process, 1)
        need = memory_need(process)
        assert need is not None
        assert need.weights < 1e6
