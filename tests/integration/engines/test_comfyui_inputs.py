"""The files that requests bring to ComfyUI, on the stand-in and on a real one: by name, and by fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.engines.conftest import Bench, Target
from tests.servers import comfyui_graphs as graphs

from lorapod.errors import InvalidInput

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def write(path: Path, colour: Any = RED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def colour(path: Path) -> Any:
    with Image.open(path) as image:
        return image.convert("RGB").getpixel((0, 0))


def loading(*names: str) -> graphs.Graph:
    """Each picture loaded and saved, in the order of the names."""
    graph: graphs.Graph = {}
    for number, name in enumerate(names):
        graph[f"{number}"] = graphs.node("LoadImage", image=name)
        graph[f"{number + 100}"] = graphs.node(
            "SaveImage", images=[f"{number}", 0], filename_prefix=f"of{number}"
        )
    return graph


def made_colours(files: Any) -> list[Any]:
    return [colour(file.path) for file in sorted(files, key=lambda file: file.path.name)]


def test_nodes_find_the_images_of_the_request_by_name(bench: Bench, target: Target, tmp_path: Path) -> None:
    brought = {
        "fox.png": write(tmp_path / "1/fox.png", RED),
        "zwei Füchse (1).gif": write(tmp_path / "2/zwei Füchse (1).png", GREEN),
        "input.png": write(tmp_path / "3/input.png", BLUE),
    }
    # The request's own file goes before one of the workspace.
    write(bench.workspace.root / "fox.png", (9, 9, 9))

    made = bench.make(
        workflow=loading("fox.png", "zwei Füchse (1).gif [input]", "input.png", "{{ INPUT_IMAGE }}"),
        named_inputs=brought,
        image=write(tmp_path / "4/image.png", (255, 255, 0)),
    )

    assert made_colours(made.files) == [RED, GREEN, BLUE, (255, 255, 0)]
    assert not list(target.base.glob("input/lorapod/*"))


def test_a_template_gets_the_image_of_the_name_that_it_has(
    bench: Bench, target: Target, tmp_path: Path
) -> None:
    write(target.base / "input/backdrop.png")
    templates = bench.workspace.root / "workflows"
    templates.mkdir()
    (templates / "backdrop.json").write_text(graphs.text_of(loading("backdrop.png")))

    made = bench.make(
        workflow_name="backdrop", named_inputs={"backdrop.png": write(tmp_path / "backdrop.png", BLUE)}
    )

    assert made_colours(made.files) == [BLUE]
    (target.base / "input/backdrop.png").unlink()


def test_an_image_that_no_node_names_is_a_warning(bench: Bench, tmp_path: Path) -> None:
    brought = {name: write(tmp_path / name) for name in ("fox.png", "other.png")}
    generation = bench.generation(workflow=loading("fox.png"), named_inputs=brought)

    assert bench.engine.prepare(generation) == [
        "No node of the workflow names the input file 'other.png': it was not used."
    ]


def test_a_mask_is_where_the_image_is_transparent(bench: Bench, tmp_path: Path) -> None:
    """Such workflows take the second output of LoadImage."""
    image = tmp_path / "image.png"
    Image.new("RGB", (64, 32), RED).save(image)
    graph = {
        "1": graphs.node("LoadImage", image="{{ INPUT_IMAGE }}"),
        "2": graphs.node("MaskToImage", mask=["1", 1]),
        "3": graphs.node("SaveImage", images=["1", 0], filename_prefix="1image"),
        "4": graphs.node("SaveImage", images=["2", 0], filename_prefix="2mask"),
    }

    for grey in (255, 0):
        mask = tmp_path / f"mask{grey}.png"
        Image.new("L", (128, 64), grey).save(mask)
        made = bench.make(workflow=graph, image=image, mask=mask, width=48, height=48)
        assert made_colours(made.files) == [RED, (grey, grey, grey)]


@pytest.mark.parametrize("name", ["image", "mask", "video", "audio"])
def test_a_file_without_a_place_in_the_workflow_is_refused(name: str, bench: Bench, tmp_path: Path) -> None:
    fields: dict[str, Any] = {name: write(tmp_path / f"{name}.png")}
    with pytest.raises(InvalidInput, match=f"has an? {name}, but its workflow has no place") as refused:
        bench.engine.prepare(bench.generation(workflow=graphs.picture(), **fields))
    assert f"INPUT_{name.upper()}" in refused.value.hint


def test_a_mask_is_cut_as_its_image_is(bench: Bench, tmp_path: Path) -> None:
    image, mask = tmp_path / "image.png", tmp_path / "mask.png"
    Image.new("RGB", (64, 32), RED).save(image)
    Image.new("L", (64, 32), 255).save(mask)
    graph = {
        "1": graphs.node("LoadImage", image="{{ INPUT_IMAGE }}"),
        "2": graphs.node("LoadImageMask", image="{{ INPUT_MASK }}", channel="red"),
        "3": graphs.node("MaskToImage", mask=["2", 0]),
        "4": graphs.node("SaveImage", images=["1", 0], filename_prefix="1image"),
        "5": graphs.node("SaveImage", images=["3", 0], filename_prefix="2mask"),
    }

    made = bench.make(workflow=graph, image=image, mask=mask, width=48, height=48)

    assert made_colours(made.files) == [RED, (255, 255, 255)]
    for file in made.files:
        with Image.open(file.path) as picture:
            assert picture.size == (48, 48)


def test_a_long_name_in_another_alphabet_is_found(bench: Bench, tmp_path: Path) -> None:
    # Twice as many bytes as letters, and three times as many again as multipart forms write them.
    name = f"{'л' * 60}.png"

    made = bench.make(workflow=loading(name), named_inputs={name: write(tmp_path / name, GREEN)})

    assert made_colours(made.files) == [GREEN]


def test_an_input_that_nobody_sent_is_named_as_the_caller_wrote_it(bench: Bench) -> None:
    with pytest.raises(InvalidInput) as raised:
        bench.make(workflow=loading("fox.png"))

    assert "'fox.png'" in raised.value.message
    assert "lorapod/" not in raised.value.message
    assert "images" in raised.value.hint


def test_nodes_that_are_linked_in_a_circle_are_named(bench: Bench) -> None:
    graph = graphs.picture()
    graph["1"] = graphs.node("ImageInvert", image=["2", 0])

    with pytest.raises(InvalidInput, match=r"nodes 1, 2 of the workflow are linked in a circle"):
        bench.make(workflow=graph)
