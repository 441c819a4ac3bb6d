from __future__ import annotations

from typing import Any

import pytest
from tests.unit.actions.desk import Desk

from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers import presets
from lorapod.trainers.port import TrainerStatus
from lorapod.trainers.registry import TrainerRegistry


class GpuTrainer(ScriptTrainer):
    """A trainer with a name that needs a GPU, there or not."""

    def __init__(self, name: str, *, missing: str = "", needs_gpu: bool = True) -> None:
        self.name = name
        self.needs_gpu = needs_gpu
        self._missing = missing

    def probe(self) -> TrainerStatus:
        return TrainerStatus(available=not self._missing, detail=self._missing)


BOTH = (GpuTrainer("ai-toolkit"), GpuTrainer("builtin", needs_gpu=False))


@pytest.fixture
def listed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lists the presets of a worker with these trainers and a GPU of this size."""

    def ask(*trainers: GpuTrainer, gpu: int | None = None, **fields: Any) -> dict[str, dict[str, Any]]:
        monkeypatch.setattr(type(desk.worker.services.telemetry), "gpu_memory_bytes", lambda _self: gpu)
        desk.use(monkeypatch, trainers=TrainerRegistry(trainers))
        answer = desk.ask(type="list_presets", **fields)
        assert "error" not in answer, answer
        return {preset["name"]: preset for preset in answer["presets"]}

    return ask


def test_every_preset_is_listed_with_what_a_person_chooses_by(listed: Any) -> None:
    found = listed(*BOTH, gpu=80_000_000_000)

    assert tuple(found) == presets.names()
    assert all(preset["available"] for preset in found.values())
    flux = found["flux-dev"]
    assert flux["base_model"] == "black-forest-labs/FLUX.1-dev"
    assert flux["gated"] is True
    assert "Non-Commercial" in flux["licence"]
    assert flux["learns"] == ["images"]
    assert flux["trainers"] == ["ai-toolkit"]
    assert flux["tiers"][0] == {"name": "24gb", "gpu_memory_bytes": 24_000_000_000}


def test_a_gpu_that_is_too_small_is_the_reason(listed: Any) -> None:
    found = listed(*BOTH, gpu=16_000_000_000)
    assert found["sdxl"]["available"]
    assert found["flux-dev"]["reason"] == "It needs a GPU with 24 GB of memory; this one has 16 GB."
    # The request's GPU counts instead of the worker's.
    assert listed(*BOTH, gpu=16_000_000_000, gpu_memory_bytes=25_000_000_000)["flux-dev"]["available"]


def test_a_worker_without_a_gpu_trains_only_what_builtin_can(listed: Any) -> None:
    found = listed(*BOTH)
    assert found["sd15"]["available"]
    assert found["flux-dev"]["reason"] == "This worker has no GPU."


def test_a_trainer_that_is_missing_is_the_reason(listed: Any) -> None:
    absent = GpuTrainer("ai-toolkit", missing="AI Toolkit is not at /app.")
    found = listed(absent, BOTH[1], gpu=80_000_000_000)
    assert found["flux-dev"]["reason"] == "AI Toolkit is not at /app."
    assert found["sdxl"]["available"]
    assert not listed(absent, BOTH[1], trainer="ai-toolkit", gpu=80_000_000_000)["sdxl"]["available"]


def test_only_the_presets_of_one_trainer_if_asked(listed: Any) -> None:
    assert set(listed(*BOTH, trainer="builtin")) == {"sd15", "sdxl"}


def test_an_unknown_trainer_is_answered_with_the_nearest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.use(monkeypatch, trainers=TrainerRegistry(BOTH))
    answer = desk.ask(type="list_presets", trainer="ai_toolkit")
    assert answer["code"] == "invalid_input"
    assert "did you mean 'ai-toolkit'" in answer["error"]
