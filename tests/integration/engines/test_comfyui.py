"""The ComfyUI engine against servers that run: the stand-in, and the real one where COMFYUI_PATH names it."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import SecretStr
from tests.integration.engines.conftest import Bench, OpenBench, Target
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import OLD_VERSION, VERSION, ComfyUIStandIn

from lorapod.engines.port import GenerationStopped, LoraUse
from lorapod.errors import InvalidInput, Unsupported, UpstreamError, WorkerTimeout

KEY = "comfy-org-key-that-must-not-leak"
OTHER_ID = "00000000-0000-4000-8000-000000000001"
DEADLINE_S = 60.0


def asked(target: Target, path: str, body: Any = None) -> Any:
    method = "GET" if body is None else "POST"
    response = httpx.request(method, f"{target.url}/{path}", json=body, timeout=DEADLINE_S)
    return response.raise_for_status().json()


def files_in(target: Target) -> set[str]:
    """What jobs may have left in the server's folders."""
    places = (target.base / name for name in ("input", "output", "temp", "models/loras"))
    return {path.name for place in places if place.exists() for path in place.rglob("*") if path.is_file()}


def queue_is_empty(target: Target) -> bool:
    queue = asked(target, "queue")
    return not queue["queue_running"] and not queue["queue_pending"]


def test_it_makes_the_picture_that_the_workflow_makes(bench: Bench) -> None:
    made = bench.make(workflow=graphs.picture(), width=128, height=96)

    [file] = made.files
    with Image.open(file.path) as picture:
        assert picture.size == (128, 96)
        assert picture.getpixel((0, 0)) == (0xDF, 0xBF, 0x9F)
    assert made.warnings == []
    assert set(made.timings) == {"start_s", "generate_s", "collect_s"}


def test_nothing_of_a_job_is_left_in_comfyui(bench: Bench, target: Target, tmp_path: Path) -> None:
    before = files_in(target)
    image = tmp_path / "in.png"
    Image.new("RGB", (8, 8), "red").save(image)
    graph = {**graphs.from_input(), "9": graphs.node("PreviewImage", images=["2", 0])}

    bench.make(workflow=graph, image=image, width=64, height=64)

    assert files_in(target) == before
    assert not [entry for entry in history_of(target).values() if "process_id" in entry["prompt"][3]]
    assert not list(target.base.glob("*/lorapod/*"))


def history_of(target: Target) -> dict[str, Any]:
    if target.stand_in is not None:
        return target.stand_in.history
    history: dict[str, Any] = asked(target, "history")
    return history


@pytest.mark.parametrize("version", [OLD_VERSION, VERSION])
def test_the_oldest_and_the_newest_release_are_served(
    version: str, stand_in: ComfyUIStandIn, open_bench: OpenBench
) -> None:
    stand_in.version = version
    bench = open_bench(stand_in.url, stand_in.root)

    assert bench.engine.probe().version == version
    assert bench.make(workflow=graphs.picture()).files


def test_a_prompt_names_the_process_that_it_belongs_to(
    stand_in: ComfyUIStandIn, open_bench: OpenBench
) -> None:
    open_bench(stand_in.url, stand_in.root).make(workflow=graphs.picture())

    [body] = [json.loads(body) for method, path, body in stand_in.requests if path == "/prompt"]
    assert body["extra_data"]["process_id"].startswith("generate_")


def test_the_input_picture_is_made_to_fit(bench: Bench, tmp_path: Path) -> None:
    image = tmp_path / "in.jpg"
    Image.new("RGB", (300, 100), (250, 0, 0)).save(image)

    made = bench.make(workflow=graphs.from_input(), image=image, width=64, height=48)

    with Image.open(made.files[0].path) as picture:
        assert picture.size == (64, 48)
        red, green, blue = picture.getpixel((30, 20))  # type: ignore[misc] # RGB has three
        assert red < 20
        assert green > 235
        assert blue > 235


@pytest.mark.parametrize(
    "prompt",
    [
        'a "quoted" fox\\',
        "two\nlines\tand a tab",
        '"}, "9": {"class_type": "SaveImage"',
        "{{ INPUT_IMAGE }} {{ PROMPT }}",
        "лиса \N{FOX FACE}",
    ],
)
def test_a_prompt_is_data_whatever_it_holds(bench: Bench, prompt: str) -> None:
    made = bench.make(workflow=graphs.text(), prompt=prompt)

    assert [file.path.read_text("utf-8") for file in made.files] == [prompt]


def test_every_kind_of_output_is_fetched(bench: Bench) -> None:
    graph = {
        **graphs.picture("still"),
        "4": graphs.node("CreateVideo", images=["2", 0], fps=8),
        "5": graphs.node("SaveVideo", video=["4", 0], filename_prefix="a/clip", format="mp4", codec="h264"),
        "6": graphs.node("EmptyAudio", duration=0.1, sample_rate=44100, channels=2),
        "7": graphs.node("SaveAudio", audio=["6", 0], filename_prefix="sound"),
        "8": graphs.node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "9": graphs.node("SaveLatent", samples=["8", 0], filename_prefix="latent"),
        "10": graphs.node("PreviewImage", images=["1", 0]),
    }

    made = bench.make(workflow=graph)

    assert sorted(file.path.name for file in made.files) == [
        "clip_00001_.mp4",
        "latent_00001_.latent",
        "sound_00001_.flac",
        "still_00001_.png",
    ]
    assert all(file.path.stat().st_size for file in made.files)


def test_a_preview_is_the_answer_where_nothing_else_is(bench: Bench) -> None:
    graph = {"1": graphs.canvas(), "2": graphs.node("PreviewImage", images=["1", 0])}

    made = bench.make(workflow=graph)

    assert [file.path.suffix for file in made.files] == [".png"]


def test_a_cached_result_whose_file_is_gone_is_made_again(bench: Bench) -> None:
    """The preview's file is removed with its job; the same workflow then ends at once, and names it."""
    graph = {"1": graphs.canvas(colour=0x0A0B0C), "2": graphs.node("PreviewImage", images=["1", 0])}
    bench.make(workflow=graph)

    again = bench.make(workflow=graph)

    assert again.files[0].path.stat().st_size
    assert "makes them again" in " ".join(bench.runs[1].lines)


def test_two_jobs_of_the_same_workflow_have_files_of_their_own(bench: Bench) -> None:
    first, second = bench.make(workflow=graphs.picture()), bench.make(workflow=graphs.picture())

    assert first.files[0].path.read_bytes()
    assert second.files[0].path.parent != first.files[0].path.parent


def test_outputs_that_comfyui_leaves_out_are_told(bench: Bench) -> None:
    made = bench.make(workflow=graphs.half_valid())

    assert len(made.files) == 1
    [warning] = made.warnings
    assert "node 5" in warning
    assert "LoadImage image" in warning
    assert "nowhere.png" in warning


def test_nothing_but_a_preview_is_no_success_where_outputs_were_left_out(bench: Bench) -> None:
    graph = graphs.half_valid()
    graph["3"] = graphs.node("PreviewImage", images=["2", 0])

    with pytest.raises(InvalidInput) as refused:
        bench.make(workflow=graph)

    assert refused.value.details[0]["input"] == "image"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"1": graphs.node("NoSuchNode")}, ["NoSuchNode does not exist"]),
        ({"1": graphs.canvas(0)}, ["workflow.1.width", "EmptyImage", "0 smaller than min of 1"]),
        ({"2": graphs.node("ImageInvert")}, ["workflow.2.image", "ImageInvert image", "missing"]),
        (
            {
                "2": graphs.node("CheckpointLoaderSimple", ckpt_name="no.safetensors"),
                "3": graphs.node("PreviewAny", source=["2", 0]),
            },
            ["ckpt_name", "not in []"],
        ),
        ({"3": graphs.node("ImageInvert", image=["2", 0])}, ["no node that saves"]),
    ],
)
def test_a_workflow_that_is_refused_names_node_and_input(
    bench: Bench, change: dict[str, Any], says: list[str]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        bench.make(workflow={**graphs.picture(), **change})

    told = f"{refused.value.message} {refused.value.details}"
    assert [word for word in says if word not in told] == []


def test_a_node_that_fails_is_named_without_its_traceback(bench: Bench) -> None:
    with pytest.raises(UpstreamError) as failed:
        bench.make(workflow=graphs.failing())

    assert failed.value.message.startswith("Node 1 (RegexReplace) failed with re")
    assert "unterminated subpattern" in failed.value.message
    assert ".py" not in f"{failed.value.message} {failed.value.details}"
    assert bench.make(workflow=graphs.picture()).files


def test_a_stop_interrupts_the_prompt_and_no_other(bench: Bench, target: Target) -> None:
    other = {"prompt": graphs.picture("waits"), "prompt_id": OTHER_ID}
    run = bench.run()

    def queue_another_and_stop() -> None:
        asked(target, "prompt", other)
        run.stop.set()

    threading.Timer(0.5, queue_another_and_stop).start()

    with pytest.raises(GenerationStopped):
        bench.engine.generate(bench.generation(workflow=graphs.slow()), run)

    until_s = time.monotonic() + DEADLINE_S
    while not asked(target, f"history/{OTHER_ID}") and time.monotonic() < until_s:
        time.sleep(0.05)
    assert asked(target, f"history/{OTHER_ID}")[OTHER_ID]["status"]["status_str"] == "success"
    assert queue_is_empty(target)


def test_a_job_that_takes_too_long_is_interrupted(target: Target, open_bench: OpenBench) -> None:
    bench = open_bench(target.url, target.root, generation_timeout=0.5)

    with pytest.raises(WorkerTimeout, match="did not finish in time"):
        bench.make(workflow=graphs.slow())

    assert queue_is_empty(target)


def test_the_key_of_paid_nodes_goes_no_further(
    bench: Bench, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    made = bench.make(workflow=graphs.picture(), comfy_org_api_key=SecretStr(KEY))

    assert KEY not in caplog.text
    assert KEY not in repr(bench.runs[0].lines)
    assert all(KEY.encode() not in file.path.read_bytes() for file in made.files)
    if target.stand_in is not None:
        [sent] = [body for method, path, body in target.stand_in.requests if path == "/prompt"]
        assert json.loads(sent)["extra_data"]["api_key_comfy_org"] == KEY


@pytest.mark.parametrize(
    ("of_the_job", "sent"), [(None, "key-of-the-endpoint"), ("", "key-of-the-endpoint"), (KEY, KEY)]
)
def test_the_endpoint_has_a_key_for_jobs_without_one(
    stand_in: ComfyUIStandIn, open_bench: OpenBench, of_the_job: str | None, sent: str
) -> None:
    bench = open_bench(stand_in.url, stand_in.root, comfy_org_api_key=SecretStr("key-of-the-endpoint"))
    key = None if of_the_job is None else SecretStr(of_the_job)

    bench.make(workflow=graphs.picture(), comfy_org_api_key=key)

    [body] = [body for _, path, body in stand_in.requests if path == "/prompt"]
    assert json.loads(body)["extra_data"]["api_key_comfy_org"] == sent
    assert "key-of-the-endpoint" not in repr(bench.runs[0].lines)


def test_a_lora_that_lies_elsewhere_is_found_while_the_job_runs(
    bench: Bench, target: Target, tmp_path: Path
) -> None:
    """There is no model here to put it on: the workflow is refused for that, and for nothing else."""
    lora = tmp_path / "output/train_000000000001/fox.safetensors"
    lora.parent.mkdir(parents=True)
    lora.write_bytes(b"not looked into")
    graph = {
        "1": graphs.node("UNETLoader", unet_name="none.safetensors", weight_dtype="default"),
        "2": graphs.node("LoraLoaderModelOnly", model=["1", 0], lora_name="{{ LORA }}", strength_model=1.0),
        "3": graphs.node("PreviewAny", source=["2", 0]),
    }

    with pytest.raises(InvalidInput) as refused:
        bench.make(workflow=graph, loras=[LoraUse(path=lora, name="fox", weight=0.5)])

    assert [problem["input"] for problem in refused.value.details] == ["unet_name"]
    assert lora.exists()
    assert files_in(target) & {"fox.safetensors"} == set()


def test_a_lora_that_comfyui_has_not_is_refused_where_its_folders_are_out_of_reach(
    target: Target, open_bench: OpenBench, tmp_path: Path
) -> None:
    bench = open_bench(target.url, tmp_path / "elsewhere")
    graph = {
        "1": graphs.node("LoraLoaderModelOnly", model=["2", 0], lora_name="{{ LORA }}", strength_model=1.0),
        "2": graphs.node("UNETLoader", unet_name="none.safetensors", weight_dtype="default"),
        "3": graphs.node("PreviewAny", source=["1", 0]),
    }

    with pytest.raises(Unsupported, match="no LoRA named fox"):
        bench.make(workflow=graph, loras=[LoraUse(path=tmp_path / "fox.safetensors", name="fox")])


def test_progress_names_the_nodes(bench: Bench) -> None:
    graph = graphs.picture()
    graph["2"]["_meta"] = {"title": "Turn it round"}
    graph["1"]["inputs"]["color"] = time.time_ns() % 0xFFFFFF

    bench.make(workflow=graph)

    told = bench.runs[0].reported
    assert {"Turn it round", "SaveImage"} <= {progress.node for progress in told}
    percents = [progress.percent for progress in told if progress.percent is not None]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_several_pictures_have_a_seed_each(bench: Bench) -> None:
    graph = {
        "1": graphs.node("RegexReplace", string="{{ SEED }}", regex_pattern="x", replace=""),
        "2": graphs.node("PreviewAny", source=["1", 0]),
    }

    made = bench.make(workflow=graph, seed=40, num_images=3)

    assert [file.seed for file in made.files] == [40, 41, 42]
    assert [file.path.read_text() for file in made.files] == ["40", "41", "42"]


def test_two_engines_at_once_hear_each_of_its_own(target: Target, open_bench: OpenBench) -> None:
    """ComfyUI serves only the newest socket of a client id: each prompt has one of its own."""
    benches = [open_bench(target.url, target.root) for _ in range(2)]
    made: dict[int, Any] = {}
    threads = [
        threading.Thread(
            target=lambda number=number: made.update(
                {number: benches[number].make(workflow=graphs.picture(colour=number + 1))}
            )
        )
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)

    assert all(made[number].files for number in range(2))
    assert all(any(told.node == "SaveImage" for told in bench.runs[0].reported) for bench in benches)
