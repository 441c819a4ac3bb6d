from __future__ import annotations

import dataclasses

import pytest
from tests.unit.actions.desk import Desk

from lorapod.actions.starting import TrainingStarts
from lorapod.errors import InvalidInput
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers import presets
from lorapod.trainers.port import TrainerStatus
from lorapod.trainers.registry import TrainerRegistry


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
