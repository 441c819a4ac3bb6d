from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.servers import comfyui_graphs as graphs
from tests.unit.engines.comfyui.generations import generation

from lorapod.engines.comfyui.templates import IMAGE_TO_VIDEO, TEXT_TO_IMAGE, WorkflowTemplates
from lorapod.engines.comfyui.workflow import Parts, compose
from lorapod.engines.port import LoraUse
from lorapod.errors import InvalidInput, NotFound, WorkerError


@pytest.fixture
def templates(tmp_path: Path) -> WorkflowTemplates:
    return WorkflowTemplates(tmp_path)


def test_the_package_brings_its_own(templates: WorkflowTemplates) -> None:
    assert {IMAGE_TO_VIDEO, TEXT_TO_IMAGE, "image_to_image"} <= set(templates.names())


@pytest.mark.parametrize("name", [IMAGE_TO_VIDEO, f"{IMAGE_TO_VIDEO}.json"])
def test_the_suffix_may_stand_there(templates: WorkflowTemplates, name: str) -> None:
    assert "WanImageToVideo" in {node["class_type"] for node in templates.load(name).values()}


def test_the_workspace_adds_and_replaces(templates: WorkflowTemplates, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(graphs.picture("mine")))
    (tmp_path / f"{TEXT_TO_IMAGE}.json").write_text(json.dumps(graphs.picture("theirs")))

    assert "mine" in templates.names()
    assert templates.load("mine")["3"]["inputs"]["filename_prefix"] == "mine"
    assert templates.load(TEXT_TO_IMAGE)["3"]["inputs"]["filename_prefix"] == "theirs"


def test_an_unknown_one_is_answered_with_those_there_are(templates: WorkflowTemplates) -> None:
    with pytest.raises(NotFound, match=IMAGE_TO_VIDEO):
        templates.load("video_wan")


@pytest.mark.parametrize("name", ["../settings", "/etc/passwd", "a/b", "", ".hidden", "x\0"])
def test_a_name_leads_nowhere_else(templates: WorkflowTemplates, name: str) -> None:
    with pytest.raises(WorkerError):
        templates.load(name)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b'{"nodes": [], "links": []}'])
def test_a_file_that_is_no_workflow_is_named(
    templates: WorkflowTemplates, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "odd.json").write_bytes(content)

    with pytest.raises(InvalidInput, match="odd"):
        templates.load("odd")


@pytest.mark.parametrize("name", [TEXT_TO_IMAGE, "image_to_image", IMAGE_TO_VIDEO])
def test_every_template_takes_a_whole_request(templates: WorkflowTemplates, name: str) -> None:
    has_image = name != TEXT_TO_IMAGE
    lora = LoraUse(path=Path("/workspace/fox.safetensors"), name="fox")
    asked = generation(
        prompt="a fox",
        negative_prompt="blurry",
        width=832,
        height=480,
        steps=8,
        guidance_scale=3.0,
        model=None if name == IMAGE_TO_VIDEO else "sd",
        length=33 if name == IMAGE_TO_VIDEO else None,
        image=Path("/in.png") if has_image else None,
        loras=[lora],
    )

    composed = compose(asked, templates.load(name), Parts())

    assert composed.warnings == []
    assert "{{" not in json.dumps(composed.graph)
    assert "fox.safetensors" in json.dumps(composed.graph)
