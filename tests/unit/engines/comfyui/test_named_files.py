from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.servers import comfyui_graphs as graphs

from lorapod.engines.comfyui.named_files import InputSpec, NamedFile, named_files, specs_in, with_names
from lorapod.errors import UnsafePath
from lorapod.workspace import Workspace

FOLDER = "lorapod/generate_000000000001"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "workspace")
    (made.root / "fox.png").write_bytes(b"fox")
    return made


def named(graph: graphs.Graph, workspace: Workspace, **more: Any) -> list[NamedFile]:
    return named_files(
        graph, workspace, **{"own_folder": FOLDER, "trusted": {}, "specs": {}, "brought": {}, **more}
    )


@pytest.mark.parametrize(
    "name",
    [
        "image",
        "mask",
        "video",
        "audio",
        "file",
        "model_file",
        "video_path",
        "image_name",
        "directory",
        "any_name",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "../x.png",
        "a/../../x.png",
        "..\\x.png",
        "C:\\x.png",
        "~/x.png",
        "file:///etc/x",
        "\\\\host\\x",
        # What ffmpeg reads as a URL, and what a loader shortens before it opens it.
        "/./etc/passwd",
        "/.ssh/id",
        "concat:/etc/passwd",
        "subfile,,start,0,end,9,,:/etc/passwd",
        "data:x,/../../../etc/x.png",
        pytest.param(f"/{'./' * 3000}etc/passwd", id="long"),
        pytest.param(f"{'a/../' * 1000}../x.png", id="long, through parents"),
    ],
)
def test_every_input_that_could_be_a_path_is_kept_inside(name: str, value: str, workspace: Workspace) -> None:
    for given in (value, f' "{value}"', [value, "fox.png"], {"__value__": [value]}):
        with pytest.raises(UnsafePath):
            named({"1": graphs.node("AnyLoader", **{name: given})}, workspace)


@pytest.mark.parametrize(
    "inputs",
    [
        {"text": "/imagine a fox"},
        {"string": "../ and so on"},
        {"delimiter": "/"},
        {"anything": "a fox / a dog"},
        {"anything": "two lines\n../x"},
        {"image": "/9j/" + "A" * 5000},
        {"image": "data:image/png;base64,/9j/AAAA"},
        {"ckpt_name": "sd/model.safetensors"},
        {"mask": "alpha"},
        {"image": f"{FOLDER}/input.png"},
        {"output_path": "grids/x.png"},
        {"image": ["2", 0]},
        {"text": "https://example.com"},
    ],
)
def test_texts_options_and_the_jobs_own_uploads_stay_as_they_are(
    inputs: dict[str, Any], workspace: Workspace
) -> None:
    assert named({"1": graphs.node("AnyNode", **inputs), "2": graphs.node("Other")}, workspace) == []


def test_the_name_of_the_jobs_folder_is_no_way_out(workspace: Workspace) -> None:
    with pytest.raises(UnsafePath):
        named({"1": graphs.node("LoadImage", image=f"{FOLDER}/../generate_2/input.png")}, workspace)


def test_a_file_of_the_workspace_is_found_and_any_other_name_is_told(workspace: Workspace) -> None:
    graph = {"1": graphs.node("LoadImages", images=["fox.png", "nowhere.png"])}

    found = named(graph, workspace)

    assert [(file.value, file.source) for file in found] == [
        ("fox.png", workspace.root / "fox.png"),
        ("nowhere.png", None),
    ]


def test_every_problem_is_in_the_details(workspace: Workspace) -> None:
    graph = {"1": graphs.node("LoadImage", image="/a.png"), "2": graphs.node("LoadImage", image="/b.png")}

    with pytest.raises(UnsafePath) as refused:
        named(graph, workspace)

    assert [(problem["node"], problem["input"]) for problem in refused.value.details] == [
        ("1", "image"),
        ("2", "image"),
    ]


def test_a_widget_that_uploads_names_a_file_whatever_it_is_called(workspace: Workspace) -> None:
    graph = {"1": graphs.node("Odd", thing="fox")}
    specs = {"Odd": {"thing": InputSpec(type="COMBO", uploads=True)}}

    assert named(graph, workspace) == []
    assert [file.value for file in named(graph, workspace, specs=specs)] == ["fox"]


@pytest.mark.parametrize(("kind", "refused"), [("STRING", True), ("COMBO", True), ("IMAGE", False)])
def test_only_a_path_may_not_come_from_another_node(
    kind: str, workspace: Workspace, *, refused: bool
) -> None:
    graph = {"1": graphs.node("N", image=["2", 0]), "2": graphs.node("M")}
    specs = {"N": {"image": InputSpec(type=kind)}}

    if refused:
        with pytest.raises(UnsafePath, match="from node 2"):
            named(graph, workspace, specs=specs)
    else:
        assert named(graph, workspace, specs=specs) == []


def test_a_template_is_trusted_and_what_a_request_changes_in_it_is_not(workspace: Workspace) -> None:
    template = {"1": graphs.node("LoadImage", image="/backdrop.png")}

    assert named(template, workspace, trusted=template) == []
    with pytest.raises(UnsafePath):
        named({"1": graphs.node("LoadImage", image="/other.png")}, workspace, trusted=template)


def test_only_the_named_input_is_renamed() -> None:
    graph = {
        "1": graphs.node("A", images=["a.png", "b.png"], text="a.png"),
        "2": graphs.node("A", image={"__value__": "a.png"}),
    }

    made = with_names(graph, {("1", "images", "a.png"): "x", ("2", "image", "a.png"): "y"})

    assert made["1"]["inputs"] == {"images": ["x", "b.png"], "text": "a.png"}
    assert made["2"]["inputs"] == {"image": {"__value__": "y"}}
    assert graph["1"]["inputs"]["images"] == ["a.png", "b.png"]


def test_both_forms_of_lists_are_read() -> None:
    required = {"a": [["x"], {"image_upload": True}], "b": ["COMBO", {"options": []}], "c": ["STRING"]}

    assert specs_in({"N": {"input": {"required": required, "hidden": {"p": "PROMPT"}}}}, "N") == {
        "a": InputSpec(type="COMBO", uploads=True, options=("x",)),
        "b": InputSpec(type="COMBO"),
        "c": InputSpec(type="STRING"),
    }


@pytest.mark.parametrize("answer", [None, [], {}, {"N": 1}, {"N": {"input": {"required": {"a": "b"}}}}])
def test_an_odd_answer_tells_nothing(answer: Any) -> None:
    assert not specs_in(answer, "N")


def test_a_url_is_refused_without_its_credentials(workspace: Workspace) -> None:
    address = "https://me:secret@example.com/fox.png?X-Amz-Signature=secret"

    with pytest.raises(UnsafePath, match=r"https://example\.com/fox\.png is a URL, not a file") as refused:
        named({"1": graphs.node("LoadImage", image=address)}, workspace)

    assert "secret" not in f"{refused.value.message}{refused.value.details}"


@pytest.mark.parametrize("start", ["/9j/4AAQ", "data:image/png;base64,iVBORw0K"])
def test_base64_in_a_workflow_is_no_path(start: str, workspace: Workspace) -> None:
    content = start + "ab/cd//ef+" * 1000

    assert named({"1": graphs.node("LoadImageFromBase64", image=content)}, workspace) == []
