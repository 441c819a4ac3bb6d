from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.port import TrainingPlan
from lorapod.workspace import Workspace

Prepare = Callable[..., TrainingPlan]
Refused = Callable[..., dict[str, str]]


def process(plan: TrainingPlan) -> dict[str, Any]:
    found: dict[str, Any] = plan.config["config"]["process"][0]
    return found


def weights(path: Path, *, keep_bytes: int | None = None) -> Path:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    path.write_bytes((struct.pack("<Q", len(header)) + header + bytes(16))[:keep_bytes])
    return path


class TestModels:
    @pytest.mark.parametrize("text", ["models/tiny", "tiny", "/workspace/models/tiny", "./models/tiny"])
    def test_a_folder_of_the_workspace_by_every_name(
        self, prepare: Prepare, workspace: Workspace, text: str
    ) -> None:
        (workspace.models / "tiny").mkdir()
        assert process(prepare({"model.name_or_path": text}))["model"]["name_or_path"] == str(
            workspace.models / "tiny"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "org/model",
            "gpt2",
            "black-forest-labs/FLUX.1-dev",
            "org/model/sub/file.safetensors",
            "https://huggingface.co/org/model/resolve/main/x.safetensors",
            "https://civitai.com/models/1?modelVersionId=2",
        ],
    )
    def test_what_is_fetched_stays_as_it_is(self, prepare: Prepare, text: str) -> None:
        assert process(prepare({"model.name_or_path": text}))["model"]["name_or_path"] == text

    @pytest.mark.parametrize("rest", ["", "/", "/tree/main", "?library=diffusers"])
    def test_the_page_of_a_model_is_no_model(self, refused: Refused, rest: str) -> None:
        page = f"https://huggingface.co/black-forest-labs/FLUX.1-dev{rest}"
        said = refused({"model.name_or_path": page})["model.name_or_path"]
        assert said == "is a web page; write the HuggingFace id, 'black-forest-labs/FLUX.1-dev'"

    @pytest.mark.parametrize(
        "text",
        [
            "/etc/passwd",
            "/workspace/models/none",
            "models/none",
            "output/train_1/none",
            "../../etc",
            "~/model",
            "models/../../../etc/passwd",
            "not an id",
            "org/mo del",
            "http://huggingface.co/x",
            "https://huggingface.co.evil.example/x",
            "https://169.254.169.254/x",
            "file:///etc/passwd",
            "s3://bucket/x",
            "https://[",
            "a\0b",
            "-x/y",
        ],
    )
    def test_what_may_not_be_read(self, refused: Refused, text: str) -> None:
        assert "model.name_or_path" in refused({"model.name_or_path": text})

    def test_a_link_that_leads_outside(self, refused: Refused, workspace: Workspace, tmp_path: Path) -> None:
        outside = tmp_path / "secret"
        outside.mkdir()
        (workspace.models / "link").symlink_to(outside)
        assert "model.name_or_path" in refused({"model.name_or_path": "models/link"})

    def test_every_key_that_names_weights(self, refused: Refused) -> None:
        found = refused(
            {
                "model.vae_path": "/etc/vae",
                "model.assistant_lora_path": "/etc/lora",
                "model.model_paths": {"te": "/etc/te"},
                "network.pretrained_lora_path": "/etc/lora",
            }
        )
        assert set(found) == {
            "model.vae_path",
            "model.assistant_lora_path",
            "model.model_paths.te",
            "network.pretrained_lora_path",
        }

    def test_a_file_that_is_cut_off(self, prepare: Prepare, refused: Refused, workspace: Workspace) -> None:
        weights(workspace.models / "whole.safetensors")
        weights(workspace.models / "torn.safetensors", keep_bytes=-1)
        weights(workspace.models / "empty.safetensors", keep_bytes=0)
        assert prepare({"model.name_or_path": "models/whole.safetensors"}).config
        assert "truncated" in refused({"model.name_or_path": "models/torn.safetensors"})["model.name_or_path"]
        assert "model.name_or_path" in refused({"model.name_or_path": "models/empty.safetensors"})

    def test_the_operators_own_model_folder(
        self, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shelf = tmp_path / "shelf"
        (shelf / "flux").mkdir(parents=True)
        monkeypatch.setenv("MODELS_PATH", str(shelf))
        for text in (str(shelf / "flux"), "flux"):
            assert process(prepare({"model.name_or_path": text}))["model"]["name_or_path"] == str(
                shelf / "flux"
            )

    def test_offline_only_what_was_downloaded(
        self,
        workspace: Workspace,
        toolkit: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        request: pytest.FixtureRequest,
    ) -> None:
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        snapshot = tmp_path / "hf" / "hub" / "models--org--model" / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (snapshot / "model_index.json").write_text("{}")
        settings = Settings(
            ai_toolkit_path=toolkit, ai_toolkit_python=Path(sys.executable), hf_hub_offline=True
        )
        trainer = request.getfixturevalue("trainer")
        monkeypatch.setattr(trainer, "_settings", settings)
        assert isinstance(trainer, AIToolkitTrainer)
        prepare, refused = request.getfixturevalue("prepare"), request.getfixturevalue("refused")
        assert prepare().config
        assert "HF_HUB_OFFLINE" in refused({"model.name_or_path": "org/other"})["model.name_or_path"]


class TestOtherPaths:
    @pytest.mark.parametrize(
        "key", ["datasets.0.control_path", "datasets.0.mask_path", "datasets.0.clip_image_path"]
    )
    def test_what_is_read_must_be_in_the_workspace(
        self, prepare: Prepare, refused: Refused, workspace: Workspace, key: str
    ) -> None:
        plan = prepare({key: "training_data/cats"})
        name = key.rpartition(".")[2]
        assert process(plan)["datasets"][0][name] == str(workspace.training_data / "cats")
        for text in ("/etc", "training_data/none", "../.."):
            assert f"datasets[0].{name}" in refused({key: text})

    def test_lists_of_them(self, refused: Refused) -> None:
        found = refused({"datasets.0.control_path": ["training_data/cats", "/etc"]})
        assert list(found) == ["datasets[0].control_path[1]"]

    @pytest.mark.parametrize("value", ["/etc/passwd", "a/../../b", "x\0y"])
    def test_whatever_looks_like_a_path(self, refused: Refused, value: str) -> None:
        assert "train.some_new_key" in refused({"train.some_new_key": value})

    def test_logs_stay_in_the_workspace(self, refused: Refused) -> None:
        for value in ("../../../logs", "/var/log"):
            assert "log_dir" in refused({"log_dir": value})

    def test_prose_is_no_path(self, prepare: Prepare) -> None:
        plan = prepare(
            {"trigger_word": "/slash", "sample.prompts": ["/imagine a cat", "~ tilde ..", "a/../b"]}
        )
        assert plan.trigger_word == "/slash"

    def test_control_pictures_in_prompts(
        self, prepare: Prepare, refused: Refused, workspace: Workspace
    ) -> None:
        picture = workspace.training_data / "cats" / "1.png"
        assert prepare({"sample.prompts": [f"a cat --ctrl_img {picture}"]}).config
        assert "sample.prompts[0]" in refused({"sample.prompts": ["a cat --ctrl_img /etc/passwd"]})
        plan = prepare({"sample.prompts": ["a cat  --w 512 --ctrl_img training_data/cats/1.png --n a dog"]})
        assert plan.config["config"]["process"][0]["sample"]["prompts"] == [
            f"a cat --w 512 --ctrl_img {picture} --n a dog"
        ]
        samples = [{"prompt": "a cat --ctrl_img training_data/cats/1.png"}]
        prepared = prepare({"sample.samples": samples}).config["config"]["process"][0]["sample"]["samples"]
        assert prepared == [{"prompt": f"a cat --ctrl_img {picture}"}]

    def test_a_control_picture_with_spaces_in_its_name(self, prepare: Prepare, workspace: Workspace) -> None:
        picture = workspace.training_data / "cats" / "my cat.png"
        picture.write_bytes((workspace.training_data / "cats" / "1.png").read_bytes())
        plan = prepare({"sample.prompts": [f"a cat --ctrl_img {picture} --w 512", "a -- b"]})
        assert (
            plan.config["config"]["process"][0]["sample"]["prompts"][0]
            == f"a cat --ctrl_img {picture} --w 512"
        )
