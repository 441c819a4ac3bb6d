"""Models where no engine looks."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from lorapod.models import layout
from lorapod.models.layout import LayoutReport, look_and_log, look_at_layout, missing_volume, short_text
from lorapod.models.links import link_models
from lorapod.settings import Settings
from lorapod.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "volume")


def put(workspace: Workspace, path: str, size_bytes: int = 2048) -> None:
    target = workspace.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"\0" * size_bytes)


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("checkpoints/a.safetensors", "`checkpoints/`", "`models/checkpoints/`"),
        ("Loras/a.safetensors", "`Loras/`", "`models/loras/`"),
        ("lora/deep/a.pt", "`lora/`", "`models/loras/`"),
        ("ipadapter/a.bin", "`ipadapter/`", "`models/ipadapter/`"),
        ("Stable-diffusion/a.ckpt", "`Stable-diffusion/`", "`models/checkpoints/`"),
        ("a.safetensors", "`a.safetensors`", "`models/`"),
        ("models/a.gguf", "`models/a.gguf`", "`models/checkpoints/`"),
        ("models/checkpoint/a.safetensors", "`models/checkpoint/`", "`models/checkpoints/`"),
        ("models/Lora/a.safetensors", "`models/Lora/`", "`models/loras/`"),
        ("models/models/vae/a.safetensors", "`models/models/vae/`", "`models/`"),
        ("runpod-volume/models/vae/a.safetensors", "`runpod-volume/models/vae/`", "`models/`"),
        ("workspace/loras/a.safetensors", "`workspace/loras/`", "`models/`"),
    ],
)
def test_a_model_where_no_engine_looks_is_named_with_its_place(
    workspace: Workspace, path: str, wrong: str, right: str
) -> None:
    put(workspace, path)

    (problem,) = look_at_layout(workspace, whole=False).problems

    assert problem.startswith(wrong)
    assert right in problem


@pytest.mark.parametrize(
    "path",
    [
        "models/checkpoints/a.safetensors",
        "models/loras/style/a.safetensors",
        "models/sam3/a.pt",
        "models/my_extension/a.onnx",
        "models/unet/.cache/a.bin",
        "checkpoints/notes.txt",
        "datasets/a.png",
        "training_data/lora/a.safetensors",
        "output/train_1/a.safetensors",
        "ComfyUI/models/loras/a.safetensors",
        ".hidden/checkpoints/a.safetensors",
        "workspace/notes.txt",
    ],
)
def test_what_engines_find_or_what_is_none_of_theirs_is_left_alone(workspace: Workspace, path: str) -> None:
    put(workspace, path)

    assert look_at_layout(workspace, whole=False).problems == []


@pytest.mark.parametrize(("folder", "words"), [("checkpoints", "only links"), ("diffusers", "no engine")])
def test_it_says_whether_this_worker_finds_it(workspace: Workspace, folder: str, words: str) -> None:
    put(workspace, f"{folder}/a.safetensors")

    (problem,) = look_at_layout(workspace, whole=False).problems

    assert words in problem


def test_a_link_into_the_models_is_no_second_place(workspace: Workspace) -> None:
    put(workspace, "models/checkpoints/a.safetensors")
    (workspace.root / "checkpoints").symlink_to(workspace.models / "checkpoints")

    assert look_at_layout(workspace, whole=True).problems == []


def test_the_folders_that_linking_makes_are_not_wrong(workspace: Workspace, tmp_path: Path) -> None:
    link_models(workspace, comfyui=tmp_path / "comfyui", swarmui=tmp_path / "swarmui")
    put(workspace, "models/vae/a.safetensors")

    report = look_at_layout(workspace, whole=True)

    assert report.problems == []
    assert report.folders["vae"] == 1
    assert "checkpoints" in report.empty


def test_a_whole_look_counts_models_and_names_what_is_none(workspace: Workspace) -> None:
    for number in range(2):
        put(workspace, f"models/loras/deep/{number}.safetensors")
    for name in ("a.zip", "b.rar", "c.safetensors.part", "d.7z", "a.txt", "a.preview.png", "README"):
        put(workspace, f"models/loras/{name}")
    put(workspace, "models/insightface/buffalo_l.zip")
    put(workspace, "models/vae/pointer.safetensors", size_bytes=130)

    report = look_at_layout(workspace, whole=True)

    assert dict(report.folders) == {"insightface": 0, "loras": 2, "vae": 0}
    suffixes, small = report.problems
    assert suffixes.startswith(
        "`models/loras/a.zip`, `models/loras/b.rar`, `models/loras/c.safetensors.part` and 1 more"
    )
    assert small.startswith("`models/vae/pointer.safetensors`")


def test_a_volume_without_any_model_says_so(workspace: Workspace) -> None:
    assert look_at_layout(workspace, whole=True).problems == ["There is no model below `models/`."]


def test_a_name_that_is_not_text_is_told_as_one(workspace: Workspace) -> None:
    put(workspace, os.fsdecode(b"models/\xff.safetensors"))

    (problem,) = look_at_layout(workspace, whole=True).problems[:1]

    problem.encode()


def test_the_short_text_has_the_first_problem_and_how_to_see_the_rest() -> None:
    text = short_text(LayoutReport(problems=["First.", "Second.", "Third."]))

    assert text == "First. So are 2 more. NETWORK_VOLUME_DEBUG=true lists everything."


class TestTheLog:
    def look(self, workspace: Workspace, caplog: pytest.LogCaptureFixture, *, debug: bool) -> list[str]:
        caplog.set_level(logging.INFO)
        look_and_log(Settings(workspace_path=workspace.root, network_volume_debug=debug), workspace)
        return [str(vars(record).get("problem", vars(record).get("models"))) for record in caplog.records]

    def test_has_one_warning_by_itself(self, workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
        put(workspace, "checkpoints/a.safetensors")
        put(workspace, "lora/a.safetensors")

        (text,) = self.look(workspace, caplog, debug=False)

        assert "`checkpoints/`" in text
        assert "1 more" in text

    def test_has_everything_on_request(self, workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
        put(workspace, "checkpoints/a.safetensors")
        put(workspace, "lora/a.safetensors")
        put(workspace, "models/vae/a.safetensors")

        assert [
            word in text
            for word, text in zip(
                ("{'vae': 1}", "checkpoints", "lora"), self.look(workspace, caplog, debug=True), strict=True
            )
        ] == [True, True, True]

    def test_is_silent_about_a_volume_that_is_right(
        self, workspace: Workspace, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(workspace, "models/vae/a.safetensors")

        assert self.look(workspace, caplog, debug=False) == []


def test_a_worker_without_a_volume_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lorapod.settings.SERVERLESS_VOLUME", tmp_path)
    monkeypatch.setattr("lorapod.settings.POD_VOLUME", tmp_path / "pod")
    monkeypatch.setattr(layout, "POD_VOLUME", tmp_path / "pod")
    serverless: dict[str, Any] = {"runpod_webhook_get_job": "http://127.0.0.1:9/"}

    assert "attach one" in missing_volume(Settings(**serverless))
    assert missing_volume(Settings()) == ""
    assert missing_volume(Settings(workspace_path=tmp_path, **serverless)) == ""
