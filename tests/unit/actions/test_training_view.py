"""What `process_status` shows of a training beside its progress."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from lorapod.actions.process_view import view
from lorapod.events import event_texts
from lorapod.records.forecast import Basis, Forecast
from lorapod.records.progress import StoredProgress
from lorapod.records.record import TaskDetails, TrainingDetails
from lorapod.records.stored_record import dump, load
from lorapod.testing.records import make_record
from lorapod.volume.process_view import summary
from lorapod.wire.estimate import EstimateView
from lorapod.workspace import Workspace


def test_a_training_shows_its_model_words_prompts_and_gpu(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    details = TrainingDetails(
        trainer="builtin", base_model="some/model", trigger_word="mycat", gpu="NVIDIA A40", warnings=("Odd.",)
    )
    training = replace(make_record(), training=details)
    path = training.config_path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "config: {process: [{train: {lr: 1e-4}, network: {linear: 4}, sample: {prompts: [a cat]}}]}", "utf-8"
    )

    shown = view(load(dump(training)), workspace)

    assert (shown.base_model, shown.trigger_word, shown.gpu) == ("some/model", "mycat", "NVIDIA A40")
    assert shown.settings is not None
    assert (shown.settings.learning_rate, shown.settings.rank) == (1e-4, 4)
    assert shown.sample_prompts == ["a cat"]
    assert shown.warnings == ["Odd."]


def test_a_training_whose_config_is_not_written_yet_is_shown_without_settings(tmp_path: Path) -> None:
    training = replace(make_record(), training=TrainingDetails(trainer="builtin"))

    shown = view(training, Workspace.create(tmp_path))

    assert (shown.settings, shown.sample_prompts, shown.gpu) == (None, [], None)


def test_a_training_shows_how_long_it_takes_in_answers_and_events(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    forecast = Forecast(steps_per_s=2.0, basis=Basis.GPU, start_s=20.0, gpu_memory_bytes=9)
    details = TrainingDetails(trainer="builtin", forecast=forecast)
    queued = replace(make_record(), progress=StoredProgress(total_steps=100), training=details)
    wanted = EstimateView(duration_s=70.0, steps_per_s=2.0, basis="measured on this GPU", gpu_memory_bytes=9)

    assert view(queued, workspace).estimate == wanted
    assert event_texts.started(queued, workspace).estimate == wanted
    assert event_texts.progress(queued).estimate == wanted
    assert json.loads(event_texts.progress(queued).model_dump_json())["estimate"]["duration_s"] == 70.0
    assert view(replace(queued, training=TrainingDetails(trainer="builtin")), workspace).estimate is None


def test_a_sweep_shows_how_long_its_trainings_take_together() -> None:
    kept = {"duration_s": 140.0, "basis": "measured here", "explanation": "Median of 2."}
    sweep = make_record(type="sweep", training=None, task=TaskDetails(outcome={"estimate": kept}))
    assert summary(sweep).estimate == EstimateView.model_validate(kept)
    assert summary(make_record(type="sweep", training=None)).estimate is None
