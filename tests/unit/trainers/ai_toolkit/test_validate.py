from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from lorapod.trainers.port import TrainingPlan
from lorapod.workspace import Workspace

Prepare = Callable[..., TrainingPlan]
Refused = Callable[..., dict[str, str]]


def test_everything_wrong_is_told_at_once(refused: Refused) -> None:
    found = refused(
        {
            "type": "sd_trainr",
            "model": {"arch": "fluxx"},
            "network.type": "lroa",
            "train.steps": "2000",
            "save.save_every": "250",
            "sample.prompts": "one",
        },
        dataset="nothing",
    )
    assert set(found) == {
        "type",
        "model.arch",
        "model.name_or_path",
        "network.type",
        "train.steps",
        "save.save_every",
        "sample.prompts",
        "datasets[0].folder_path",
    }
    assert "did you mean 'sd_trainer'" in found["type"]
    assert "did you mean 'flux'" in found["model.arch"]
    assert "did you mean 'lora'" in found["network.type"]
    assert "remove the quotes" in found["train.steps"]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (..., "required"),
        ("extensoin", "did you mean 'extension'"),
        ("generate", "use the action `generate`"),
        ("extract", "does not train"),
        ("mod", "does not train"),
        ("slider", "concept_slider"),
        ("train", "belongs to the job 'extension'"),
        (5, "unknown job"),
    ],
)
def test_jobs(refused: Refused, sent: dict[str, Any], job: object, words: str) -> None:
    if job is ...:
        del sent["job"]
    else:
        sent["job"] = job
    assert words in refused(config=sent)["job"]


@pytest.mark.parametrize("kind", ["dataset_tools", "pure_lora_generator", "foo", None, 5])
def test_processes_that_do_not_train(refused: Refused, kind: object) -> None:
    assert "type" in refused({"type": kind})


@pytest.mark.parametrize(
    "arch", ["sd1", "sd15", "sdxl", "flux", "wan21:14b", "zimage:turbo", "krea2:o_edit", None, ...]
)
def test_architectures_that_are_known(prepare: Prepare, arch: object) -> None:
    assert prepare({"model.arch": arch}).config


@pytest.mark.parametrize("arch", ["", "sdxxl", 5, "FLUX"])
def test_architectures_that_would_silently_be_sd1(refused: Refused, arch: object) -> None:
    assert "silently" in refused({"model.arch": arch})["model.arch"]


def test_an_architecture_that_is_no_text(refused: Refused) -> None:
    assert refused({"model.arch": ["flux"]}) == {"model.arch": "['flux'] is not text"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.steps", "20"),
        ("train.steps", 20.5),
        ("train.steps", 0),
        ("train.steps", -1),
        ("train.steps", True),
        ("train.steps", None),
        ("train.batch_size", "1"),
        ("train.batch_size", 0),
        ("train.gradient_accumulation", 0),
        ("train.lr", "fast"),
        ("train.lr", -1e-4),
        ("train.lr", True),
        ("train.unet_lr", []),
        ("save.save_every", "250"),
        ("save.save_every", -1),
        ("save.save_every", []),
        ("save.max_step_saves_to_keep", None),
        ("save.max_step_saves_to_keep", "4"),
        ("sample.width", "512"),
        ("sample.sample_every", "x"),
        ("network.linear", "16"),
        ("network.linear", 0),
        ("network.type", 5),
        ("sample.neg", 5),
        ("sample.samples", ["text"]),
    ],
)
def test_values_that_end_a_training_late(refused: Refused, key: str, value: object) -> None:
    assert key in refused({key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.lr", "1e-4"),
        ("train.lr", 1),
        ("train.gradient_accumulation_steps", -1),
        ("save.save_every", None),
        ("save.save_every", 0),
        ("save.save_every", False),
        ("save.save_every", 250.0),
        ("save.max_step_saves_to_keep", 0),
        ("logging", {"log_every": None}),
        ("network", None),
        ("network", ...),
        ("network.conv", None),
        ("network.type", "LoKr"),
        ("sample", None),
        ("sample", ...),
        ("sample.samples", [{"prompt": "a cat", "width": 512}]),
        ("save", ...),
        ("train.optimizer", "AdamW8bit"),
        ("train.optimizer_params", {"deep": [1, 2]}),
        ("datasets.0.resolution", 512),
        ("datasets.0.resolution", ...),
    ],
)
def test_values_that_ai_toolkit_takes(prepare: Prepare, key: str, value: object) -> None:
    assert prepare({key: value}).config


class TestDatasets:
    def test_one_is_needed(self, refused: Refused) -> None:
        assert "upload" in refused({"datasets": []}, dataset=None)["datasets"]
        assert "datasets" in refused({"datasets": ...}, dataset=None)

    @pytest.mark.parametrize("kind", ["concept_slider", "concept_replacer"])
    def test_a_slider_needs_one(self, refused: Refused, kind: str) -> None:
        assert "datasets" in refused({"type": kind, "datasets": ...}, dataset=None)

    @pytest.mark.parametrize("kind", ["ultimate_slider_trainer", "image_reference_slider_trainer"])
    def test_trainers_with_datasets_elsewhere(self, prepare: Prepare, kind: str) -> None:
        assert prepare({"type": kind, "datasets": ...}, dataset=None).config

    def test_a_dataset_that_is_still_to_be_fetched_is_not_missed(
        self, prepare: Prepare, refused: Refused
    ) -> None:
        assert prepare(dataset="coming", dataset_ready=False).config
        assert "datasets[0].folder_path" in refused(dataset="coming")

    @pytest.mark.parametrize(
        "folder", ["training_data/none", "training_data/cats/1.png", "", None, 5, "../.."]
    )
    def test_a_folder_that_is_none(self, refused: Refused, folder: object) -> None:
        assert "datasets[0].folder_path" in refused({"datasets.0.folder_path": folder}, dataset=None)

    @pytest.mark.parametrize(
        "name", ["1.txt", ".1.png", ".thumbs/1.png", "_controls/1.png", "1.gif", "1.mp3"]
    )
    def test_a_folder_without_pictures(self, refused: Refused, workspace: Workspace, name: str) -> None:
        path = workspace.training_data / "empty" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        assert ".png" in refused(dataset="empty")["datasets[0].folder_path"]

    def test_clips_need_a_number_of_frames(self, refused: Refused, workspace: Workspace) -> None:
        folder = workspace.training_data / "clips"
        folder.mkdir()
        (folder / "1.mp4").write_bytes(b"")
        problem = refused(dataset="clips")["datasets[0].folder_path"]
        assert "only videos (1.mp4)" in problem
        assert "num_frames" in problem
        assert problem.startswith("the folder 'training_data/clips' has")

    def test_a_list_that_is_none(self, refused: Refused, workspace: Workspace) -> None:
        (workspace.training_data / "list.json").write_text("[1]")
        section = {"dataset_path": "training_data/list.json", "resolution": 512}
        assert "not a mapping" in refused({"datasets": [section]}, dataset=None)["datasets[0].dataset_path"]

    @pytest.mark.parametrize("arch", ["flux_kontext", "qwen_image_edit_plus", "qwen_image_edit:2511"])
    def test_a_model_of_pairs_needs_control_images(
        self, prepare: Prepare, refused: Refused, workspace: Workspace, arch: str
    ) -> None:
        control = workspace.training_data / "before"
        control.mkdir()
        changes = {"model.arch": arch, "sample.prompts": []}
        assert "pairs" in refused(changes)["datasets[0].control_path"]
        changes["datasets.0.control_path"] = "training_data/before"
        assert "no image has a control image" in refused(changes)["datasets[0].control_path"]
        Image.new("RGB", (8, 8)).save(control / "1.jpg")
        assert prepare(changes).config

    def test_a_model_that_fails_without_control_images_needs_every_one(
        self, prepare: Prepare, refused: Refused, workspace: Workspace
    ) -> None:
        cats = workspace.training_data / "cats"
        Image.new("RGB", (8, 8)).save(cats / "2.png")
        control = workspace.training_data / "before"
        control.mkdir()
        Image.new("RGB", (8, 8)).save(control / "1.jpg")
        changes = {
            "model.arch": "qwen_image_edit_plus",
            "sample.prompts": ["a cat"],
            "datasets.0.control_path": ["training_data/before"],
        }
        problems = refused(changes)
        assert "1 of 2 images" in problems["datasets[0].control_path"]
        assert "--ctrl_img" in problems["sample.prompts[0]"]
        assert prepare({**changes, "model.arch": "flux_kontext"}).config

    @pytest.mark.parametrize(
        "key", ["sample.samples.0.ctrl_img", "sample.samples.0.ctrl_img_2", "sample.prompts"]
    )
    def test_a_control_image_of_a_sample_is_looked_into(
        self, refused: Refused, workspace: Workspace, key: str
    ) -> None:
        path = workspace.training_data / "broken.png"
        path.write_bytes(b"text")
        value = [f"a cat --ctrl_img {path}"] if key == "sample.prompts" else "training_data/broken.png"
        changes: dict[str, object] = {"sample.samples": [{"prompt": "a cat"}]}
        (problem,) = refused(changes | {key: value}).values()
        assert problem == "broken.png is not an image but text"

    @pytest.mark.parametrize("key", ["folder_path", "control_path", "mask_path"])
    def test_a_name_without_its_folder_is_guessed(
        self, refused: Refused, workspace: Workspace, key: str
    ) -> None:
        (workspace.training_data / "reg").mkdir()
        section = {"folder_path": "training_data/cats", "resolution": 512, key: "reg"}
        problems = refused({"datasets": [section]}, dataset=None)
        assert "did you mean 'training_data/reg'?" in problems[f"datasets[0].{key}"]

    @pytest.mark.parametrize("name", ["1.WEBP", "deep/er/1.jpeg"])
    def test_pictures(self, prepare: Prepare, workspace: Workspace, name: str) -> None:
        path = workspace.training_data / "full" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        assert prepare(dataset="full").config

    def test_videos_and_sounds_where_they_are_trained(self, prepare: Prepare, workspace: Workspace) -> None:
        for name in ("video", "audio"):
            (workspace.training_data / name).mkdir()
        (workspace.training_data / "video" / "1.mp4").write_bytes(b"")
        (workspace.training_data / "audio" / "1.mp3").write_bytes(b"")
        assert prepare({"datasets.0.num_frames": 33, "model.arch": "wan21"}, dataset="video").config
        assert prepare({"model.arch": "ace_step_15"}, dataset="audio").config

    @pytest.mark.parametrize("resolution", ["512", [], [512, "768"], 0, 512.5, None])
    def test_resolutions(self, refused: Refused, resolution: object) -> None:
        assert "datasets[0].resolution" in refused({"datasets.0.resolution": resolution})


class TestEnvironmentVariables:
    @pytest.mark.parametrize("key", ["trigger_word", "sample.prompts", "train.note", "model.name_or_path"])
    def test_they_are_refused_wherever_they_stand(self, refused: Refused, key: str) -> None:
        value: object = ["fine", "a ${HF_TOKEN}"] if key == "sample.prompts" else "a ${HF_TOKEN}"
        field = "sample.prompts[1]" if key == "sample.prompts" else key
        assert "environment" in refused({key: value})[field]

    def test_in_a_key_and_outside_the_process(self, refused: Refused, sent: dict[str, Any]) -> None:
        sent["meta"]["${HF_TOKEN}"] = 1
        assert "meta.${HF_TOKEN}" in refused(config=sent)

    def test_a_dollar_alone_is_fine(self, prepare: Prepare) -> None:
        assert prepare({"sample.prompts": ["$100", "$HOME {x}"]}).config
