"""The files that workflows name, on the stand-in and on a real ComfyUI: no job reads what is not its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.engines.conftest import Bench, OpenBench, Target
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import ComfyUIStandIn

from lorapod.errors import InvalidInput, UnsafePath

RED = (255, 0, 0)


def loading(name: Any, class_type: str = "LoadImage") -> graphs.Graph:
    return {
        "1": graphs.node(class_type, image=name),
        "3": graphs.node("SaveImage", images=["1", 0], filename_prefix="loaded"),
    }


def loading_video(name: Any) -> graphs.Graph:
    return {
        "1": graphs.node("VHS_LoadVideoPath", video=name),
        "3": graphs.node("SaveImage", images=["1", 0], filename_prefix="loaded"),
    }


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), RED).save(path)
    return path


def colour(path: Path) -> Any:
    with Image.open(path) as image:
        return image.convert("RGB").getpixel((0, 0))


def test_a_file_outside_the_workspace_is_refused_before_anything_runs(
    bench: Bench, target: Target, tmp_path: Path
) -> None:
    secret = write(tmp_path / "secret.png")
    above = "../" * len((target.base / "input").parts) + str(secret).lstrip("/")

    for name in (str(secret), above, f" {secret} [input]", f"{secret} [output]"):
        with pytest.raises(UnsafePath) as refused:
            bench.engine.prepare(bench.generation(workflow=loading(name)))
        assert refused.value.details[0]["field"] == "workflow.1.image"
        assert "node 1 (LoadImage)" in refused.value.message


def test_what_others_left_in_comfyui_is_out_of_reach(bench: Bench, target: Target) -> None:
    inside = target.base / "input/lorapod/generate_000000000009/input.png"
    kept = target.base / "output/of-another.png"
    for path in (write(inside), write(kept)):
        relative = path.relative_to(target.base / "input" if path is inside else kept.parent).as_posix()
        with pytest.raises(InvalidInput, match="of-another" if path is kept else "input.png"):
            bench.make(workflow=loading(relative + (" [output]" if path is kept else "")))
        path.unlink()
    # A real server serves all tests.
    inside.parent.rmdir()


@pytest.mark.parametrize("form", ["{relative}", "/workspace/{relative}", "{absolute}"])
def test_a_file_of_the_workspace_is_an_input(bench: Bench, target: Target, form: str) -> None:
    path = write(bench.workspace.training_data / "fox/1.png")
    relative = bench.workspace.relative(path)

    made = bench.make(workflow=loading(form.format(relative=relative, absolute=path)), num_images=2)

    assert [colour(file.path) for file in made.files] == [RED, RED]
    assert not list(target.base.glob("input/lorapod/*"))


def test_a_link_in_the_workspace_leads_nowhere_else(bench: Bench, tmp_path: Path) -> None:
    (bench.workspace.root / "way.png").symlink_to(write(tmp_path / "secret.png"))

    with pytest.raises(UnsafePath):
        bench.make(workflow=loading("way.png"))


def test_a_path_that_another_node_makes_is_refused(stand_in: ComfyUIStandIn, open_bench: OpenBench) -> None:
    secret = write(stand_in.root / "secret.png")
    graph = {**loading_video(["2", 0]), "2": graphs.node("PrimitiveString", value=str(secret))}

    with pytest.raises(UnsafePath, match="takes its path from node 2"):
        open_bench(stand_in.url, stand_in.root).make(workflow=graph)


def test_a_path_from_anywhere_is_that_of_the_upload(stand_in: ComfyUIStandIn, open_bench: OpenBench) -> None:
    bench = open_bench(stand_in.url, stand_in.root)
    write(bench.workspace.root / "clips/fox.png")

    made = bench.make(workflow=loading_video("clips/fox.png"))

    assert colour(made.files[0].path) == RED


def test_a_template_may_name_what_lies_in_comfyui_and_a_request_may_not(bench: Bench, target: Target) -> None:
    write(target.base / "input/backdrop.png")
    templates = bench.workspace.root / "workflows"
    templates.mkdir()
    (templates / "backdrop.json").write_text(graphs.text_of(loading("backdrop.png")))

    made = bench.make(workflow_name="backdrop")

    assert colour(made.files[0].path) == RED
    for params in ({"1.image": "../output/x.png"}, {"1.image": "/etc/passwd"}):
        with pytest.raises(UnsafePath):
            bench.make(workflow_name="backdrop", params=params)
    (target.base / "input/backdrop.png").unlink()
