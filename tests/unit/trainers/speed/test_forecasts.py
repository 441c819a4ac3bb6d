from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorapod.records.forecast import Basis
from lorapod.telemetry import Telemetry
from lorapod.telemetry.gpu import Gpu, GpuProbe, GpuReport
from lorapod.trainers.speed import Forecasts, SpeedBook
from lorapod.trainers.speed.forecasts import of_measurements
from lorapod.trainers.speed.measurement import Measurement
from lorapod.trainers.speed.rule_of_thumb import teraflops_of
from lorapod.trainers.speed.workload import Workload, workload_of
from lorapod.workspace import Workspace

GPU = "NVIDIA GeForce RTX 4090"
SDXL = Workload(trainer="ai-toolkit", arch="sdxl", parameters=2567, resolutions=(1024,), images=1)


def measured(speed: float, workload: Workload = SDXL, **changes: Any) -> Measurement:
    plain = Measurement(
        device=GPU,
        workload=workload,
        steps=100,
        steps_per_s=speed,
        start_s=30.0,
        other_s_per_step=0.1,
    )
    return replace(plain, **changes)


def config(**sections: Any) -> dict[str, Any]:
    process = {
        "model": {"arch": "sdxl", "name_or_path": "stabilityai/stable-diffusion-xl-base-1.0"},
        "train": {"steps": 1000, "batch_size": 1, "dtype": "bf16"},
        "datasets": [{"resolution": [1024]}],
        **sections,
    }
    return {"config": {"process": [process]}}


class OneGpu(GpuProbe):
    """A machine with one GPU, or with none."""

    def __init__(self, name: str | None) -> None:
        self._name = name

    def report(self, *, wait_s: float | None = None) -> GpuReport:
        del wait_s
        return GpuReport(gpus=() if self._name is None else (Gpu(index=0, uuid="GPU-1", name=self._name),))


def forecasts(root: Path, gpu: str | None = GPU) -> Forecasts:
    telemetry = Telemetry(gpu_probe=OneGpu(gpu))
    return Forecasts(telemetry=telemetry, book=SpeedBook(Workspace.create(root)))


def test_equal_workloads_count_by_the_median_of_the_last_five() -> None:
    speeds = (2.0, 2.2, 0.1, 2.1, 9.0, 50.0, 60.0)
    found = of_measurements(SDXL, [measured(speed) for speed in speeds], GPU)
    assert found is not None
    assert (found.basis, found.steps_per_s, found.start_s) == (Basis.HERE, 2.1, 30.0)
    assert found.explanation == f"Median of 5 trainings of sdxl on {GPU} with these settings."
    assert found.estimate(1000).duration_s == pytest.approx(30 + 1000 / 2.1 + 100, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "share"),
    [({"images": 4}, 1 / 4), ({"resolutions": (512,)}, 4), ({"accumulation": 2}, 1 / 2)],
)
def test_other_workloads_count_scaled_by_pixels_and_batch(changes: dict[str, Any], share: float) -> None:
    found = of_measurements(replace(SDXL, **changes), [measured(2.0)], GPU)
    assert found is not None
    assert found.basis is Basis.GPU
    assert found.steps_per_s == pytest.approx(2.0 * share)


def test_of_other_workloads_the_most_similar_counts() -> None:
    wanted = replace(SDXL, images=2)
    found = [
        measured(7.0, replace(SDXL, images=3, quantized="qfloat8")),
        measured(2.0),
        measured(5.0, replace(SDXL, resolutions=(512,))),
        measured(2.2),
    ]
    expected = of_measurements(wanted, found, GPU)
    assert expected is not None
    assert expected.basis is Basis.GPU
    assert expected.steps_per_s == pytest.approx(2.1 / 2)


def test_several_resolutions_count_by_their_mean() -> None:
    both = workload_of("ai-toolkit", config(datasets=[{"resolution": [512, 1024]}, {"resolution": 512}]))
    assert both is not None
    assert both.resolutions == (512, 1024)
    assert both.pixels == (512**2 + 1024**2) / 2


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"config": {"process": []}},
        config(model={"arch": 3}),
        config(train={"batch_size": "many"}),
        config(train={"batch_size": 0}),
    ],
)
def test_a_config_that_does_not_say_what_it_trains_has_no_figure(tmp_path: Path, odd: dict[str, Any]) -> None:
    found = forecasts(tmp_path).forecast("ai-toolkit", odd)
    assert (found.steps_per_s, found.basis, found.estimate(100).duration_s) == (None, None, None)
    assert found.explanation


@pytest.mark.parametrize(
    "odd", [[{"resolution": 0}], [{"resolution": "big"}], ["no"], None, [{"resolution": True}]]
)
def test_odd_resolutions_count_as_the_usual_one(odd: Any) -> None:
    found = workload_of("ai-toolkit", config(datasets=odd))
    assert found is not None
    assert found.resolutions == (512,)


def test_what_was_never_measured_has_a_rule_of_thumb_for_known_gpus_only(tmp_path: Path) -> None:
    known = forecasts(tmp_path).forecast("ai-toolkit", config())
    assert known.basis is Basis.RULE_OF_THUMB
    # People report 1 to 2 steps a second for SDXL at 1024 pixels on this GPU.
    assert known.steps_per_s is not None
    assert 0.5 < known.steps_per_s < 4
    assert known.gpu_memory_bytes is not None
    unknown = forecasts(tmp_path, "NVIDIA Mystery 1").forecast("ai-toolkit", config())
    assert (unknown.steps_per_s, unknown.basis) == (None, None)
    assert unknown.explanation == "No training of sdxl was measured on NVIDIA Mystery 1 yet."
    processor = forecasts(tmp_path, None).forecast("builtin", config())
    assert processor.basis is Basis.RULE_OF_THUMB
    assert processor.steps_per_s is not None
    assert processor.steps_per_s < 1


@pytest.mark.parametrize("odd", [config(), {"config": {}}], ids=["known", "unknown"])
def test_a_forecast_names_its_gpu_and_no_processor(tmp_path: Path, odd: dict[str, Any]) -> None:
    assert forecasts(tmp_path).forecast("ai-toolkit", odd).gpu == GPU
    assert forecasts(tmp_path).forecast("ai-toolkit", odd, gpu_name="NVIDIA A40").gpu == "NVIDIA A40"
    assert forecasts(tmp_path, None).forecast("ai-toolkit", odd).gpu is None


def test_the_gpu_that_it_gets_counts_not_the_first_one(tmp_path: Path) -> None:
    found = forecasts(tmp_path)
    workload = workload_of("ai-toolkit", config())
    assert workload is not None
    found.book.keep("train_000000000001", measured(3.0, workload, device="NVIDIA L4"))
    assert found.forecast("ai-toolkit", config()).basis is Basis.RULE_OF_THUMB
    assert found.forecast("ai-toolkit", config(), gpu_name="NVIDIA L4").steps_per_s == 3.0


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA RTX A4000", 77),
        ("NVIDIA A40", 150),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", None),
        ("NVIDIA L400", None),
    ],
)
def test_a_gpu_is_known_by_whole_words_of_its_name(name: str, teraflops: float | None) -> None:
    assert teraflops_of(name) == teraflops
