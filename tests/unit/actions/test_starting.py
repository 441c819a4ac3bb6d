from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from tests.servers.hub import Repo, running_hub
from tests.unit.actions.desk import Desk

from lorapod.actions.starting import TrainingStarts
from lorapod.errors import InvalidInput
from lorapod.telemetry import Telemetry
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers import presets
from lorapod.trainers.port import HeldOut, TrainerStatus, TrainingPlan, TrainingRequest
from lorapod.trainers.registry import TrainerRegistry
from lorapod.wire.validation import problems_found


class Named(ScriptTrainer):
    """A trainer with a name, there or not."""

    def __init__(self, name: str, missing: str = "") -> None:
        self.name = name
        self._missing = missing

    def probe(self) -> TrainerStatus:
        return TrainerStatus(available=not self._missing, detail=self._missing)


def starts(desk: Desk, *trainers: Named) -> TrainingStarts:
    return dataclasses.replace(desk.worker.services.starts, trainers=TrainerRegistry(trainers))


class TestPresetsAndTrainers:
    def test_a_preset_of_a_trainer_that_is_missing_says_so(self, desk: Desk) -> None:
        here = starts(desk, Named("ai-toolkit", missing="AI Toolkit is not at /app"), Named("builtin"))

        with pytest.raises(InvalidInput, match="'flux-dev' needs the trainer ai-toolkit") as caught:
            here.check_preset(presets.get("flux-dev"), "auto")

        assert "AI Toolkit is not at /app" in caught.value.hint

    def test_a_preset_of_a_trainer_that_was_not_asked_for_says_which_to_ask_for(self, desk: Desk) -> None:
        here = starts(desk, Named("ai-toolkit"), Named("builtin"))

        with pytest.raises(InvalidInput) as caught:
            here.check_preset(presets.get("flux-dev"), "builtin")

        assert caught.value.hint == "Set `trainer` to ai-toolkit."

    def test_a_preset_of_the_trainer_that_runs_is_fine(self, desk: Desk) -> None:
        starts(desk, Named("builtin")).check_preset(presets.get("sdxl"), "auto")
        starts(desk, Named("script")).check_preset(presets.get("flux-dev"), "auto")


class Fitting(Named):
    """A trainer of AI Toolkit's configs that takes every config as it is."""

    needs_gpu = False

    def __init__(self, name: str = "ai-toolkit") -> None:
        super().__init__(name)

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        plan = super().prepare(dataclasses.replace(request, config={"name": "cat", "steps": 1, "step_s": 0}))
        return dataclasses.replace(plan, config=request.config)


@pytest.fixture(scope="module")
def fitting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with asyncio.Runner() as runner:
        desk = Desk(tmp_path_factory.mktemp("fitting"), runner, Fitting(), hf_hub_offline=True)
        yield desk
        desk.worker.close()


class TestFit:
    @pytest.fixture
    def ask(self, fitting: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Asks a worker with a GPU of this size for a training."""

        def send(gpu: int | None, **fields: Any) -> dict[str, Any]:
            monkeypatch.setattr(Telemetry, "gpu_memory_bytes", lambda _self: gpu)
            return fitting.ask(type="train", name="cat", **fields)

        return send

    def test_a_training_that_does_not_fit_is_refused_before_its_start(self, ask: Any, fitting: Desk) -> None:
        answer = ask(25_000_000_000, preset="flux-dev", tier="48gb")
        assert answer["code"] == "insufficient_memory"
        assert "about 40 GB of GPU memory, and this worker's GPU has 25 GB" in answer["error"]
        assert "`tier: 24gb`" in answer["hint"]
        assert fitting.ask(type="processes")["count"] == 0

    def test_a_rehearsal_says_so(self, ask: Any) -> None:
        answer = ask(25_000_000_000, preset="flux-dev", tier="48gb", dry_run=True)
        assert answer["accepted"] is False
        [refused] = answer["refused"]
        assert (refused["field"], refused["error"]) == ("tier", "24gb would fit")
        assert "about 40 GB of GPU memory, and this worker's GPU has 25 GB" in refused["message"]
        assert "`tier: 24gb`" in refused["hint"]

    def test_a_rehearsal_on_a_processor_says_what_to_do(self, ask: Any) -> None:
        [refused] = ask(None, preset="sdxl", dry_run=True)["refused"]
        assert refused["field"] == "steps"
        assert "steps would take about" in refused["message"]
        assert "`force: true` starts it anyway" in refused["hint"]

    def test_a_rehearsal_names_a_dataset_that_is_not_there(self, ask: Any) -> None:
        [refused] = ask(None, preset="sd15", dataset={"training_name": "nosuch"}, dry_run=True)["refused"]
        assert refused["field"] == "dataset.training_name"
        assert "`upload_training_data`" in refused["hint"]

    def test_force_starts_it_anyway_and_warns(self, ask: Any) -> None:
        answer = ask(25_000_000_000, preset="flux-dev", tier="48gb", dry_run=True, force=True)
        assert answer["accepted"] is True
        assert any("needs about 40 GB" in warning for warning in answer["warnings"])

    def test_the_tier_follows_the_gpu(self, ask: Any) -> None:
        answer = ask(25_000_000_000, preset="flux-dev", dry_run=True)
        assert answer["accepted"] is True
        assert answer["config"]["config"]["process"][0]["model"]["quantize"] is True
        answer = ask(50_000_000_000, preset="flux-dev", dry_run=True)
        assert answer["config"]["config"]["process"][0]["model"]["quantize"] is False

    def test_days_without_a_gpu_are_refused(self, ask: Any) -> None:
        answer = ask(None, preset="sdxl", steps=1500)
        assert answer["code"] == "gpu_unavailable"
        assert "1500 steps would take about" in answer["error"]
        assert ask(None, preset="sdxl", steps=1500, dry_run=True, force=True)["accepted"] is True


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("gated")
    with running_hub() as hub, asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(folder / "hf"))
        patch.delenv("HF_TOKEN", raising=False)
        patch.setattr(Telemetry, "gpu_memory_bytes", lambda _self: 25_000_000_000)
        hub.repos["black-forest-labs/FLUX.1-dev"] = Repo(private=False, gated=True)
        desk = Desk(folder, runner, Fitting(), hf_endpoint=hub.url)
        yield desk
        desk.worker.close()


class TestKnobs:
    @pytest.fixture
    def ask(self, fitting: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Asks a worker with a large GPU for a rehearsal."""
        monkeypatch.setattr(Telemetry, "gpu_memory_bytes", lambda _self: 80_000_000_000)
        return lambda **fields: fitting.ask(**{"type": "train", "name": "cat", "dry_run": True, **fields})

    def test_a_dataset_stands_alone_or_among_several(self, ask: Any) -> None:
        both = {"dataset": {"training_name": "cat"}, "datasets": [{"training_name": "dog"}]}
        answer = ask(preset="sdxl", **both)
        assert answer["code"] == "invalid_input"
        assert "not both" in answer["error"]

    def test_knobs_go_with_a_preset(self, ask: Any) -> None:
        answer = ask(config="job: extension", ema=True, validation=True)
        assert answer["code"] == "invalid_input"
        assert [detail["field"] for detail in answer["details"]] == ["ema", "validation"]

    def test_what_the_trainer_refuses_is_named_by_the_knob(
        self, ask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_self: Fitting, _request: TrainingRequest) -> TrainingPlan:
            details = [
                {"field": "config.process[0].train.lr_scheduler", "error": "must be 'constant'"},
                {"field": "config.process[0].train.lr", "error": "is too large"},
            ]
            raise problems_found(details)

        monkeypatch.setattr(Fitting, "prepare", refuse)
        refused = ask(preset="sdxl", scheduler="cosine")["refused"]
        assert [problem["field"] for problem in refused] == ["scheduler", "config.process[0].train.lr"]
        answer = ask(preset="sdxl", scheduler="cosine", dry_run=False)
        assert answer["error"].startswith("scheduler: must be 'constant'")

    def test_what_is_held_back_is_in_the_order(self, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[TrainingRequest] = []
        prepare = Fitting.prepare

        def note(self: Fitting, request: TrainingRequest) -> TrainingPlan:
            asked.append(request)
            return prepare(self, request)

        monkeypatch.setattr(Fitting, "prepare", note)
        ask(preset="sdxl", validation=True)
        ask(preset="sdxl", validation={"share": 0.25, "every": 10})
        ask(preset="sdxl", validation=False)
        assert {request.held_out for request in asked} == {
            HeldOut(share=0.1, every=50),
            HeldOut(share=0.25, every=10),
            None,
        }


class TestHub:
    """What the Hub says of a preset's model; `tests/unit/trainers/test_hub_models.py` has the rest."""

    def test_a_gated_model_is_refused_before_the_start(self, gated: Desk) -> None:
        answer = gated.ask(type="train", preset="flux-dev", name="cat")
        assert answer["code"] == "invalid_input"
        assert "https://huggingface.co/black-forest-labs/FLUX.1-dev" in answer["hint"]
        assert gated.ask(type="processes")["count"] == 0

    def test_a_rehearsal_lists_all_that_is_wrong(self, gated: Desk) -> None:
        answer = gated.ask(type="train", preset="flux-dev", tier="48gb", dry_run=True)
        assert [problem["field"] for problem in answer["refused"]] == [
            "tier",
            "config.process[0].model.name_or_path",
        ]
