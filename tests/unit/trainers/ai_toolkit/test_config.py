from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lorapod.trainers.port import TrainingPlan
from lorapod.workspace import Workspace

Prepare = Callable[..., TrainingPlan]
Refused = Callable[..., dict[str, str]]

#: The process whose config the fixture prepares.
PROCESS_ID = "train_0123456789ab"


def test_only_what_the_worker_answers_for_is_changed(
    prepare: Prepare, workspace: Workspace, sent: dict[str, Any]
) -> None:
    plan = prepare()
    expected = sent
    process = expected["config"]["process"][0]
    process |= {
        "type": "diffusion_trainer",
        "training_folder": str(workspace.output / PROCESS_ID),
        "sqlite_db_path": str(workspace.root.parent / "local disk" / "control.db"),
        "logging": {"use_ui_logger": True, "log_every": 1},
    }
    process["datasets"][0]["folder_path"] = str(workspace.training_data / "cats")
    assert plan.config == expected


def test_the_plan(prepare: Prepare, workspace: Workspace) -> None:
    plan = prepare()
    assert plan.name == "my lora"
    assert plan.run_folder == workspace.output / PROCESS_ID / "my lora"
    assert plan.control_path == workspace.root.parent / "local disk" / "control.db"
    assert plan.total_steps == 2000
    assert plan.trigger_word == "ohwx"
    assert plan.base_model == "org/model"
    assert plan.warnings == ()


def test_steps_that_are_not_given(prepare: Prepare) -> None:
    assert prepare({"train.steps": ...}).total_steps == 1000


def test_a_process_with_a_name_of_its_own_writes_there(prepare: Prepare) -> None:
    plan = prepare({"name": "second"})
    assert (plan.name, plan.run_folder.name) == ("my lora", "second")


@pytest.mark.parametrize(("given", "expected"), [("wished", "wished"), (None, PROCESS_ID)])
def test_a_config_without_a_name(
    prepare: Prepare, sent: dict[str, Any], given: str | None, expected: str
) -> None:
    del sent["config"]["name"]
    assert prepare(config=sent, name=given).name == expected


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", ".hidden", "", " x", "x" * 300, "a\0b", 5, None, ["x"], "my [v2] lora", "[name]"],
)
def test_a_name_that_cannot_be_one(refused: Refused, sent: dict[str, Any], name: object) -> None:
    sent["config"]["name"] = name
    assert "config.name" in refused(config=sent)


@pytest.mark.parametrize("name", ["config", "c", "sam", "samples", "opt", "loss_log", "optimizer.pt"])
def test_a_name_that_ai_toolkit_would_take_its_own_files_for(
    refused: Refused, sent: dict[str, Any], name: str
) -> None:
    sent["config"]["name"] = name
    assert "checkpoint" in refused(config=sent)["config.name"]


@pytest.mark.parametrize(
    "kind", ["sd_trainer", "ui_trainer", "textual_inversion_trainer", "diffusion_trainer"]
)
def test_the_standard_trainer_runs_under_control(prepare: Prepare, kind: str) -> None:
    assert prepare({"type": kind}).config["config"]["process"][0]["type"] == "diffusion_trainer"


def test_another_trainer_stays_what_it_is(prepare: Prepare) -> None:
    assert prepare({"type": "concept_slider"}).config["config"]["process"][0]["type"] == "concept_slider"


class TestDatasets:
    def of(self, plan: TrainingPlan) -> list[dict[str, Any]]:
        datasets: list[dict[str, Any]] = plan.config["config"]["process"][0]["datasets"]
        return datasets

    def test_a_config_without_any(self, prepare: Prepare, workspace: Workspace) -> None:
        plan = prepare({"datasets": ...})
        assert self.of(plan) == [{"folder_path": str(workspace.training_data / "cats")}]

    def test_every_one_of_the_same_placeholder(self, prepare: Prepare, workspace: Workspace) -> None:
        cats, dogs = workspace.training_data / "cats", workspace.training_data / "dogs"
        dogs.mkdir()
        (dogs / "1.jpg").write_bytes(b"")
        plan = prepare(
            {
                "datasets": [
                    {"folder_path": "/x", "resolution": 512},
                    {"folder_path": "/x", "resolution": 768},
                    {"folder_path": "training_data/dogs", "is_reg": True},
                    {},
                ]
            }
        )
        assert [dataset["folder_path"] for dataset in self.of(plan)] == [
            str(cats),
            str(cats),
            str(dogs),
            str(cats),
        ]
        assert any("datasets[2] keeps its own folder" in warning for warning in plan.warnings)

    def test_a_dataset_with_repeats_is_an_entry_for_each_folder(
        self, prepare: Prepare, workspace: Workspace
    ) -> None:
        kohya = workspace.training_data / "kohya"
        for name in ("10_cat/1.png", "2_dog/1.png", "_controls/1.png", "10_cat/_latent_cache/1.png"):
            (kohya / name).parent.mkdir(parents=True, exist_ok=True)
            (kohya / name).write_bytes(b"")
        entries = self.of(prepare({"datasets": [{"resolution": 512}]}, dataset="kohya"))
        assert entries == [
            {"folder_path": str(kohya / "10_cat"), "num_repeats": 10, "resolution": 512},
            {"folder_path": str(kohya / "2_dog"), "num_repeats": 2, "resolution": 512},
        ]
        section = {"resolution": 512, "num_repeats": 3}
        assert self.of(prepare({"datasets": [section]}, dataset="kohya")) == [
            {"folder_path": str(kohya), **section}
        ]
        (kohya / "1.png").write_bytes(b"")
        assert len(self.of(prepare({"datasets": [{"resolution": 512}]}, dataset="kohya"))) == 1

    def test_control_images_that_came_with_the_dataset(self, prepare: Prepare, workspace: Workspace) -> None:
        cats = workspace.training_data / "cats"
        for name in ("_controls/1.png", "mask/_controls/1.png"):
            (cats / name).parent.mkdir(parents=True, exist_ok=True)
            (cats / name).write_bytes(b"")
        pairs = {"model.arch": "flux_kontext", "sample.prompts": []}
        assert self.of(prepare(pairs))[0]["control_path"] == str(cats / "_controls")
        assert "control_path" not in self.of(prepare())[0]
        named = {"datasets.0.control_path": ["_controls"], "datasets.0.mask_path": "mask/_controls"}
        entry = self.of(prepare(named))[0]
        assert entry["control_path"] == [str(cats / "_controls")]
        assert entry["mask_path"] == str(cats / "mask" / "_controls")

    def test_the_configs_own_folder_counts_where_the_request_names_none(
        self, prepare: Prepare, workspace: Workspace
    ) -> None:
        for text in (
            "training_data/cats",
            "/workspace/training_data/cats",
            str(workspace.training_data / "cats"),
        ):
            plan = prepare({"datasets.0.folder_path": text}, dataset=None)
            assert self.of(plan)[0]["folder_path"] == str(workspace.training_data / "cats")


class TestLogging:
    def test_the_callers_interval_stays(self, prepare: Prepare) -> None:
        logging = prepare({"logging": {"log_every": 10, "verbose": True}}).config["config"]["process"][0][
            "logging"
        ]
        assert logging == {"log_every": 10, "verbose": True, "use_ui_logger": True}

    def test_an_empty_section(self, prepare: Prepare) -> None:
        logging = prepare({"logging": None}).config["config"]["process"][0]["logging"]
        assert logging["use_ui_logger"]

    def test_wandb_is_warned_of(self, prepare: Prepare) -> None:
        assert any("use_wandb" in warning for warning in prepare({"logging": {"use_wandb": True}}).warnings)

    def test_tensorboard_stays_in_the_output_folder(self, prepare: Prepare, workspace: Workspace) -> None:
        plan = prepare({"log_dir": "tensorboard"})
        log_dir = plan.config["config"]["process"][0]["log_dir"]
        assert Path(log_dir) == workspace.output / PROCESS_ID / "tensorboard"


@pytest.mark.parametrize("neg", [..., None, False, ""])
def test_a_negative_prompt_is_always_text(prepare: Prepare, neg: object) -> None:
    plan = prepare({"sample.neg": neg})
    assert plan.config["config"]["process"][0]["sample"]["neg"] == ""


def test_a_negative_prompt_stays(prepare: Prepare) -> None:
    assert prepare({"sample.neg": "blurry"}).config["config"]["process"][0]["sample"]["neg"] == "blurry"


class TestLegacySliders:
    SLIDER: ClassVar[dict[str, Any]] = {
        "job": "train",
        "config": {
            "name": "detail slider",
            "training_folder": "output/LoRA",
            "device": "cuda:0",
            "log_dir": "output/.tensorboard",
            "process": [
                {
                    "type": "slider",
                    "network": {"type": "lierla", "linear": 8, "linear_alpha": 4},
                    "train": {"steps": 500, "lr": 2e-4, "min_snr_gamma": 5.0},
                    "model": {"name_or_path": "org/model", "is_v2": False},
                    "save": {"dtype": "float16", "save_every": 50},
                    "slider": {
                        "resolutions": [[512, 512]],
                        "targets": [{"target_class": "", "positive": "sharp", "negative": "blurry"}],
                    },
                }
            ],
        },
        "meta": {"name": "[name]"},
    }

    def test_they_run_as_they_are(self, prepare: Prepare, workspace: Workspace) -> None:
        plan = prepare(config=self.SLIDER, dataset=None)
        output = workspace.output / PROCESS_ID
        assert plan.config["job"] == "train"
        job = plan.config["config"]
        assert (job["training_folder"], job["device"]) == (str(output), "cuda:0")
        assert job["log_dir"] == str(output / "output/.tensorboard")
        sent = self.SLIDER["config"]["process"][0]
        assert {key: job["process"][0][key] for key in sent} == sent
        (warning,) = plan.warnings
        assert "concept_slider" in warning

    def test_targets_of_the_other_slider(self, refused: Refused) -> None:
        slider = {"targets": [{"positive": "sharp"}]}
        told = refused({"type": "concept_slider", "slider": slider})["slider.targets"]
        assert "job: train" in told

    def test_types_that_train_no_lora(self, refused: Refused) -> None:
        config = copy.deepcopy(self.SLIDER)
        config["config"]["process"][0]["type"] = "vae"
        assert "no LoRA" in refused(config=config, dataset=None)["type"]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config"),
        ({"job": "extension", "config": []}, "config"),
        ({"config": {"name": "x"}}, "config.process"),
        ({"config": {"name": "x", "process": []}}, "config.process"),
        ({"config": {"name": "x", "process": ["sd_trainer"]}}, "config.process"),
        ({"config": {"name": "x", "process": [{"train": 5}]}}, "train"),
        ({"config": {"name": "x", "process": [{"datasets": {"a": 1}}]}}, "datasets"),
        ({"config": {"name": "x", "process": [{"datasets": ["a"]}]}}, "datasets"),
        ({"config": {"name": "x", "process": [{}, {}]}}, "config.process"),
    ],
)
def test_a_config_of_another_shape(refused: Refused, config: dict[str, Any], field: str) -> None:
    assert field in refused(config={"job": "extension", **config} if config else {"a": 1})
