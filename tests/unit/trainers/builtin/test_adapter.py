from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lorapod.errors import InvalidInput
from lorapod.records.status import Phase
from lorapod.settings import Settings
from lorapod.testing.pictures import draw_dataset
from lorapod.trainers.builtin.adapter import BuiltinTrainer
from lorapod.trainers.control_table import ControlTable
from lorapod.trainers.port import TrainingPlan, TrainingRequest
from lorapod.workspace import Workspace

PROCESS_ID = "train_0123456789ab"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "workspace")
    draw_dataset(workspace.training_data / "cats", count=1)
    (workspace.models / "tiny").mkdir()
    return workspace


@pytest.fixture
def trainer() -> BuiltinTrainer:
    trainer = BuiltinTrainer(settings=Settings())
    if not trainer.probe().available:
        pytest.skip("needs the `builtin` extra")
    return trainer


def request(workspace: Workspace, **process: Any) -> TrainingRequest:
    fields = {"type": "sd_trainer", "model": {"name_or_path": "tiny"}, "train": {"steps": 7}, **process}
    return TrainingRequest(
        process_id=PROCESS_ID,
        config={"job": "extension", "config": {"name": "mine", "process": [fields]}},
        dataset=workspace.training_data / "cats",
        training_folder=workspace.output / PROCESS_ID,
        scratch=workspace.root.parent / "scratch",
        workspace=workspace.root,
    )


def process_of(plan: TrainingPlan) -> dict[str, Any]:
    process: dict[str, Any] = plan.config["config"]["process"][0]
    return process


def problems(trainer: BuiltinTrainer, wish: TrainingRequest) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        trainer.prepare(wish)
    return {problem["field"]: problem["error"] for problem in caught.value.details}


class TestPrepare:
    def test_folders_are_set_and_paths_made_real(self, trainer: BuiltinTrainer, workspace: Workspace) -> None:
        wish = request(workspace, trigger_word="zoe", training_folder="elsewhere")
        plan = trainer.prepare(wish)
        process = process_of(plan)
        assert process["training_folder"] == str(workspace.output / PROCESS_ID)
        assert process["sqlite_db_path"] == str(plan.control_path)
        assert process["datasets"] == [{"folder_path": str(workspace.training_data / "cats")}]
        assert process["model"]["name_or_path"] == str(workspace.models / "tiny")
        assert process["logging"] == {"use_ui_logger": True}
        assert plan.run_folder == workspace.output / PROCESS_ID / "mine"
        assert (plan.name, plan.total_steps, plan.trigger_word) == ("mine", 7, "zoe")
        assert not plan.run_folder.exists()

    def test_a_new_total_replaces_the_steps_of_the_config(
        self, trainer: BuiltinTrainer, workspace: Workspace
    ) -> None:
        plan = trainer.prepare(dataclasses.replace(request(workspace), steps=30))
        assert (plan.total_steps, process_of(plan)["train"]["steps"]) == (30, 30)

    def test_flags_of_prompts(self, trainer: BuiltinTrainer, workspace: Workspace) -> None:
        sample = {"prompts": ["a cat --w 64 --seed 7", "a dog --ctrl_img cats/1.png"]}
        (warning,) = trainer.prepare(request(workspace, sample=sample)).warnings
        assert "--ctrl_img" in warning
        wrong = {"prompts": ["a cat", "a cat --w wide"]}
        assert (
            "--w"
            in problems(trainer, request(workspace, sample=wrong))["config.process[0].sample.prompts[1]"]
        )

    def test_the_request_is_left_as_it_was(self, trainer: BuiltinTrainer, workspace: Workspace) -> None:
        wish = request(workspace)
        trainer.prepare(wish)
        assert wish.config["config"]["process"][0]["model"] == {"name_or_path": "tiny"}

    def test_a_dataset_with_repeats_is_an_entry_for_each_folder(
        self, trainer: BuiltinTrainer, workspace: Workspace
    ) -> None:
        kohya = workspace.training_data / "kohya"
        for name in ("10_cat", "2_dog"):
            draw_dataset(kohya / name, count=1)
        wish = dataclasses.replace(request(workspace, datasets=[{"resolution": 64}]), dataset=kohya)
        assert process_of(trainer.prepare(wish))["datasets"] == [
            {"folder_path": str(kohya / "10_cat"), "num_repeats": 10, "resolution": 64},
            {"folder_path": str(kohya / "2_dog"), "num_repeats": 2, "resolution": 64},
        ]

    def test_the_first_dataset_keeps_its_settings(
        self, trainer: BuiltinTrainer, workspace: Workspace
    ) -> None:
        draw_dataset(workspace.training_data / "dogs", count=1)
        datasets = [
            {"folder_path": "/path/to/images", "resolution": 64},
            {"folder_path": "/path/to/images", "resolution": 128},
            {"folder_path": "training_data/dogs"},
        ]
        process = process_of(trainer.prepare(request(workspace, datasets=datasets)))
        cats, dogs = str(workspace.training_data / "cats"), str(workspace.training_data / "dogs")
        assert [dataset["folder_path"] for dataset in process["datasets"]] == [cats, cats, dogs]

    def test_a_name_is_found_where_the_config_has_none(
        self, trainer: BuiltinTrainer, workspace: Workspace
    ) -> None:
        wish = request(workspace)
        del wish.config["config"]["name"]
        assert trainer.prepare(wish).name == PROCESS_ID
        assert trainer.prepare(dataclasses.replace(wish, name="zoe v1")).name == "zoe v1"

    def test_everything_wrong_is_told_at_once(self, trainer: BuiltinTrainer, workspace: Workspace) -> None:
        (workspace.training_data / "empty").mkdir()
        wish = request(
            workspace,
            model={"name_or_path": "/etc"},
            train={"ema_config": {"use_ema": True}},
            datasets=[
                {"folder_path": "x"},
                {"folder_path": "/etc"},
                {"folder_path": "training_data/none"},
                {"folder_path": "training_data/empty"},
            ],
        )
        assert set(problems(trainer, wish)) == {
            "config.process[0].model.name_or_path",
            "config.process[0].train.ema_config",
            "config.process[0].datasets[1].folder_path",
            "config.process[0].datasets[2].folder_path",
            "config.process[0].datasets[3].folder_path",
        }

    @pytest.mark.parametrize("name", ["../up", "-rf", "a\nb", "", 7])
    def test_a_name_must_be_a_plain_one(
        self, trainer: BuiltinTrainer, workspace: Workspace, name: Any
    ) -> None:
        wish = request(workspace)
        wish.config["config"]["name"] = name
        assert "config.name" in problems(trainer, wish)

    @pytest.mark.parametrize(
        "model", ["/etc/passwd", "../../etc", "~/model", "a b", "\0", "a/b/c", "models/none", "output/none"]
    )
    def test_a_model_is_in_the_workspace_or_on_the_hub(
        self, trainer: BuiltinTrainer, workspace: Workspace, model: str
    ) -> None:
        wish = request(workspace, model={"name_or_path": model})
        assert set(problems(trainer, wish)) == {"config.process[0].model.name_or_path"}

    def test_a_hub_id_stays_as_it_is(self, trainer: BuiltinTrainer, workspace: Workspace) -> None:
        plan = trainer.prepare(request(workspace, model={"name_or_path": "owner/model-1.5"}))
        assert plan.base_model == "owner/model-1.5"

    def test_models_may_lie_where_the_operator_keeps_them(
        self, trainer: BuiltinTrainer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "shelf" / "big").mkdir(parents=True)
        monkeypatch.setenv("MODELS_PATH", str(tmp_path / "shelf"))
        for name in ("big", str(tmp_path / "shelf" / "big")):
            plan = trainer.prepare(request(workspace, model={"name_or_path": name}))
            assert plan.base_model == str(tmp_path / "shelf" / "big")

    @pytest.mark.parametrize(
        "config", [{}, {"config": 3}, {"config": {"process": []}}, {"config": {"process": [1]}}]
    )
    def test_what_has_no_shape_is_refused(
        self, trainer: BuiltinTrainer, workspace: Workspace, config: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidInput):
            trainer.prepare(dataclasses.replace(request(workspace), config=config))


def test_launch_makes_the_control_table(
    trainer: BuiltinTrainer, workspace: Workspace, tmp_path: Path
) -> None:
    plan = trainer.prepare(request(workspace))
    spec = trainer.launch(plan, tmp_path / "config.yaml")
    assert spec.argv == (sys.executable, "-m", "lorapod.trainers.builtin", str(tmp_path / "config.yaml"))
    assert spec.environment == {"AITK_JOB_ID": PROCESS_ID}
    row = ControlTable(plan.control_path, PROCESS_ID).read()
    assert row is not None
    assert (row.status, row.stop) == ("queued", False)


def test_the_reader_reads_lines(trainer: BuiltinTrainer, workspace: Workspace) -> None:
    reader = trainer.reader(trainer.prepare(request(workspace)))
    seen = reader.line("mine:  29%|██▊       | 2/7 [00:00<00:01,  4.00it/s, lr: 1.0e-04 loss: 1.187e+00]")
    assert seen is not None
    assert (seen.step, seen.total_steps, seen.loss, seen.phase) == (2, 7, 1.187, Phase.TRAINING)
    assert seen.repaint
    other = reader.line("Caching latents:  50%|█████     | 3/6 [00:00<00:00, 80.00it/s]")
    assert other is not None
    assert other.repaint
    assert other.step is None
    resumed = reader.line("Found step 50 in metadata, starting from there")
    assert resumed is not None
    assert resumed.resumed_from_step == 50
    saving = reader.line("Saving at step 10")
    assert saving is not None
    assert saving.phase is Phase.SAVING
    assert reader.line("something else") is None


def test_the_reader_reads_the_control_table(
    trainer: BuiltinTrainer, workspace: Workspace, tmp_path: Path
) -> None:
    import sqlite3
    from contextlib import closing

    plan = trainer.prepare(request(workspace))
    reader = trainer.reader(plan)
    assert reader.poll() is None
    trainer.launch(plan, tmp_path / "config.yaml")
    assert reader.poll() is None
    with closing(sqlite3.connect(plan.control_path)) as table, table:
        table.execute(
            "UPDATE Job SET status='running', info='Training', step=3, speed_string='2.00 sec/iter'"
        )
    seen = reader.poll()
    assert seen is not None
    assert (seen.phase, seen.step, seen.steps_per_s) == (Phase.TRAINING, 3, 0.5)
    assert reader.poll() is None
    assert reader.line("Saving at step 10") is None


def test_a_dataset_that_is_still_to_be_fetched_is_not_missed(
    trainer: BuiltinTrainer, workspace: Workspace
) -> None:
    coming = dataclasses.replace(request(workspace), dataset=workspace.training_data / "coming")
    assert trainer.prepare(dataclasses.replace(coming, dataset_ready=False)).config
    with pytest.raises(InvalidInput, match="is not in the workspace"):
        trainer.prepare(coming)


@pytest.mark.torch
def test_a_template_watches_all_that_it_imports_of_this_package() -> None:
    script = "import sys, lorapod.trainers.builtin.job; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('lorapod.')), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    watched = BuiltinTrainer.warm.sources
    unwatched = [
        file for file in done.stdout.split() if not any(Path(file).is_relative_to(path) for path in watched)
    ]
    assert unwatched == []


def test_a_dataset_of_videos_says_so_by_its_name(trainer: BuiltinTrainer, workspace: Workspace) -> None:
    folder = workspace.training_data / "clips"
    folder.mkdir()
    (folder / "1.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    wish = dataclasses.replace(request(workspace), dataset=folder)
    assert problems(trainer, wish) == {
        "config.process[0].datasets[0].folder_path": (
            "the folder 'training_data/clips' has only videos, which the builtin trainer does not learn from"
        )
    }
