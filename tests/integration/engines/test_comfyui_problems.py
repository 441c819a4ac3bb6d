"""What is wrong with a workflow, told whole, and what a job leaves behind; on the stand-in and on a real ComfyUI."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.engines.conftest import Bench, OpenBench, Target
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import OLD_VERSION, VERSION, ComfyUIStandIn

from lorapod.engines.port import GenerationStopped
from lorapod.errors import InsufficientStorage, InvalidInput, UpstreamError


def refusal(bench: Bench, graph: graphs.Graph) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        bench.make(workflow=graph)
    return refused.value


def saved(target: Target) -> set[str]:
    return {path.relative_to(target.base).as_posix() for path in (target.base / "output").rglob("*")}


def test_a_value_out_of_bounds_has_its_bounds(bench: Bench) -> None:
    problems = refusal(bench, {**graphs.picture(), "1": graphs.canvas(0)}).details

    # A real server checks the inputs of a node in any order.
    [problem] = [problem for problem in problems if problem["input"] == "width"]
    assert (problem["node"], problem["class"]) == ("1", "EmptyImage")
    assert "smaller than min of 1" in problem["problem"]
    assert problem["allowed"] == {"min": 1, "max": 16384}


def test_a_missing_model_has_what_is_allowed_and_its_folder(bench: Bench, target: Target) -> None:
    """A list of more than 20 is not in ComfyUI's answer."""
    folder = target.base / "models/loras/many"
    folder.mkdir()
    names = sorted(f"many/{number:02d}.safetensors" for number in range(30))
    for name in names:
        (folder.parent / name).write_bytes(b"")
    lora = graphs.node("LoraLoaderModelOnly", model=["1", 0], lora_name="no.safetensors", strength_model=1.0)
    graph = {
        "1": graphs.node("UNETLoader", unet_name="none.safetensors", weight_dtype="default"),
        "2": lora,
        "3": graphs.node("PreviewAny", source=["2", 0]),
    }

    refused = refusal(bench, graph)

    problems = {problem["input"]: problem for problem in refused.details}
    assert set(names) <= set(problems["lora_name"]["allowed"])
    assert problems["lora_name"]["model_folder"] == "models/loras"
    assert problems["unet_name"]["model_folder"] == "models/diffusion_models"
    assert "models/loras" in refused.hint
    for name in names:
        (folder.parent / name).unlink()
    folder.rmdir()


@pytest.mark.parametrize("version", [OLD_VERSION, VERSION])
def test_every_class_that_is_missing_is_named(
    version: str, stand_in: ComfyUIStandIn, open_bench: OpenBench
) -> None:
    stand_in.version = version
    graph = {**graphs.picture(), "7": graphs.node("Foo"), "8": graphs.node("Bar"), "9": graphs.node("Foo")}

    refused = refusal(open_bench(stand_in.url, stand_in.root), graph)

    told = [(problem["node"], problem["class"]) for problem in refused.details]
    assert told == [("7", "Foo"), ("8", "Bar"), ("9", "Foo")]
    assert "Foo does not exist" in refused.message
    assert "not installed" in refused.hint


def test_every_class_that_a_real_server_does_not_have_is_named(bench: Bench) -> None:
    refused = refusal(bench, {**graphs.picture(), "7": graphs.node("Foo"), "8": graphs.node("Bar")})

    assert [problem["class"] for problem in refused.details] == ["Foo", "Bar"]


def test_a_broken_link_on_a_node_that_does_not_run_refuses_nothing(bench: Bench) -> None:
    graph = {**graphs.picture(), "7": graphs.node("ImageInvert", image=["99", 0])}

    assert bench.make(workflow=graph).files


def test_a_broken_link_on_a_node_that_runs_is_named(bench: Bench) -> None:
    graph = {**graphs.picture(), "2": graphs.node("ImageInvert", image=["99", 0])}
    with pytest.raises(InvalidInput, match=r"image of node 2 \(ImageInvert\) is linked to node 99"):
        bench.engine.prepare(bench.generation(workflow=graph))


def test_a_broken_link_that_only_comfyui_can_see_is_named_by_its_node(
    stand_in: ComfyUIStandIn, open_bench: OpenBench
) -> None:
    graph = {
        "1": graphs.node("ImageInvert", image=["99", 0]),
        "2": graphs.node("ShowAny", source=["1", 0]),
    }

    [problem] = refusal(open_bench(stand_in.url, stand_in.root), graph).details

    assert (problem["node"], problem["class"], problem["input"]) == ("1", "ImageInvert", "image")
    assert problem["problem"] == "is linked to node 99, which is not in the workflow"


def test_a_full_disk_has_a_code_of_its_own(stand_in: ComfyUIStandIn, open_bench: OpenBench) -> None:
    stand_in.fill_disk()

    with pytest.raises(InsufficientStorage) as failed:
        open_bench(stand_in.url, stand_in.root).make(workflow=graphs.picture())

    assert "Node 3 (SaveImage)" in failed.value.message
    assert "/secret" not in f"{failed.value.message} {failed.value.hint}"


def linked(prefix: str = "deep/er/made") -> graphs.Graph:
    graph = graphs.picture()
    graph["3"]["inputs"]["filename_prefix"] = ["4", 0]
    graph["4"] = graphs.node("PrimitiveString", value=prefix)
    return graph


def test_a_linked_prefix_leaves_nothing_behind(bench: Bench, target: Target) -> None:
    before = saved(target)

    for _ in range(2):
        [file] = bench.make(workflow=linked()).files
        assert file.path.name.startswith("made_")

    assert saved(target) == before


@pytest.mark.parametrize("end", ["fails", "is stopped"])
def test_a_linked_prefix_leaves_nothing_behind_where_the_job(end: str, bench: Bench, target: Target) -> None:
    before = saved(target)
    rest = graphs.failing() if end == "fails" else graphs.slow(12)
    graph: dict[str, Any] = {**linked("first"), **{f"r{key}": value for key, value in rest.items()}}
    for key in rest:
        inputs = graph[f"r{key}"]["inputs"]
        graph[f"r{key}"]["inputs"] = {
            name: [f"r{value[0]}", value[1]] if isinstance(value, list) else value
            for name, value in inputs.items()
        }
    graph["1"]["inputs"]["color"] = 0x010203
    run = bench.run()
    if end == "is stopped":
        watcher = threading.Thread(target=_stop_once_saved, args=(target.base / "output", run.stop))
        watcher.start()

    with pytest.raises((UpstreamError, GenerationStopped)):
        bench.engine.generate(bench.generation(workflow=graph), run)

    assert saved(target) == before


def _stop_once_saved(output: Path, stop: threading.Event) -> None:
    waited = threading.Event()
    for _ in range(600):
        if list(output.glob("first_*")):
            break
        waited.wait(0.05)
    stop.set()


def test_a_cached_result_of_somebody_else_stays(bench: Bench, target: Target) -> None:
    """The same workflow, sent by another client before: its file is not this job's to remove."""
    graph = linked("theirs")
    graph["1"]["inputs"]["color"] = 0x030201
    other = "00000000-0000-4000-8000-000000000002"
    httpx.post(f"{target.url}/prompt", json={"prompt": graph, "prompt_id": other}).raise_for_status()
    for _ in range(600):
        if httpx.get(f"{target.url}/history/{other}").json():
            break
        threading.Event().wait(0.05)
    theirs = list((target.base / "output").glob("theirs_*"))

    bench.make(workflow=graph)

    assert theirs
    assert all(path.exists() for path in theirs)
    for path in theirs:
        path.unlink()
