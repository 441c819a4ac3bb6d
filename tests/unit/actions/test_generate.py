"""`generate` with an engine that draws squares."""

from __future__ import annotations

import base64
import contextlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.actions.desk import Desk

from lorapod.engines.port import GeneratedFile, Generation, GenerationResult, GenerationRun
from lorapod.settings import Settings
from lorapod.telemetry import Gpu
from lorapod.testing.objects import MemoryObjects


@pytest.fixture(autouse=True)
def nothing_left(desk: Desk) -> Iterator[None]:
    yield
    left = [path for path in desk.worker.scratch.path.iterdir() if path.name != "inputs"]
    inputs = desk.worker.scratch.path / "inputs"
    assert left == []
    assert not inputs.exists() or not list(inputs.iterdir())


def picture(suffix: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "blue").save(buffer, suffix)
    return buffer.getvalue()


def shown(output: Mapping[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(output["data"])))


def test_a_prompt_becomes_pictures(desk: Desk) -> None:
    answer = desk.ask(type="generate", prompt="a square", seed=5, num_images=2, width=32, height=16)

    assert answer["status"] == "completed"
    assert (answer["engine"], answer["seed"]) == ("fake", 5)
    assert [image["seed"] for image in answer["images"]] == [5, 6]
    first = answer["images"][0]
    assert (first["type"], first["content_type"], first["width"], first["height"]) == (
        "base64",
        "image/png",
        32,
        16,
    )
    assert shown(first).getpixel((0, 0)) == (5, 0, 0)
    assert first["path"].startswith(f"output/{answer['process_id']}/")
    assert (desk.root / first["path"]).is_file()
    assert {"queued_s", "total_s", "load_s", "generate_s"} <= set(answer["timings"])
    assert "videos" in answer
    status = desk.ask(type="process_status", process_id=answer["process_id"])
    assert (status["type"], status["engine"]) == ("generate", "fake")
    assert status["outcome"]["seed"] == 5
    assert "trainer" not in status


def test_a_prompt_without_a_type_is_enough(desk: Desk) -> None:
    answer = desk.ask(prompt="a square", seed=5)

    assert answer["status"] == "completed"
    assert shown(answer["images"][0]).getpixel((0, 0)) == (5, 0, 0)


def test_a_seed_is_chosen_and_told(desk: Desk) -> None:
    first, second = (desk.ask(type="generate", prompt="a square", seed=seed) for seed in (None, -1))
    assert first["seed"] != second["seed"]
    again = desk.ask(type="generate", prompt="a square", seed=first["seed"])
    assert again["images"][0]["data"] == first["images"][0]["data"]


def test_what_the_engine_does_not_know_is_a_warning(desk: Desk) -> None:
    answer = desk.ask(type="generate", prompt="a square", params={"smpler": "euler"})
    assert answer["warnings"] == ["fake does not know the parameter 'smpler'."]


def test_without_waiting_the_process_answers_later(desk: Desk) -> None:
    answer = desk.ask(type="generate", prompt="a square", seed=3, wait=False, idempotency_key="later")
    assert answer["images"] == []
    assert answer["seed"] == 3

    done = desk.ask(type="generate", prompt="a square", seed=3, idempotency_key="later")

    assert done["process_id"] == answer["process_id"]
    assert shown(done["images"][0]).getpixel((0, 0)) == (3, 0, 0)


@pytest.mark.parametrize("form", ["base64", "data URI", "jpeg"])
def test_an_input_picture_reaches_the_engine(desk: Desk, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bytes]] = []
    prepare = desk.engine.prepare

    def look(generation: Any) -> Any:
        seen.append((generation.image.suffix, generation.image.read_bytes()))
        return prepare(generation)

    monkeypatch.setattr(desk.engine, "prepare", look)
    content = picture("JPEG" if form == "jpeg" else "PNG")
    text = base64.b64encode(content).decode()
    image = f"data:image/png;base64,{text}" if form == "data URI" else text

    assert desk.ask(type="generate", prompt="a square", image=image)["status"] == "completed"
    assert seen == [(".jpg" if form == "jpeg" else ".png", content)]


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("bm8gcGljdHVyZQ==", "invalid_input"),
        ("not base64!", "invalid_input"),
        ("data:text/plain,hello", "invalid_input"),
        (base64.b64encode(picture()[:-30]).decode(), "invalid_input"),
        ("http://127.0.0.1/a.png", "unsafe_url"),
        ("http://169.254.169.254/latest/meta-data", "unsafe_url"),
        ("https://", "unsafe_url"),
    ],
)
def test_an_input_picture_that_is_none_is_refused(desk: Desk, image: str, code: str) -> None:
    answer = desk.ask(type="generate", prompt="a square", image=image)
    assert answer["code"] == code, answer


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({}, "invalid_input", "nothing to generate"),
        ({"prompt": ""}, "invalid_input", "nothing to generate"),
        ({"prompt": "a", "strength": 0.5}, "invalid_input", "goes with an image"),
        ({"prompt": "a", "width": 100_000}, "invalid_input", "width"),
        ({"prompt": "a", "num_images": 65}, "invalid_input", "num_images"),
        ({"prompt": "a", "steps": 0}, "invalid_input", "steps"),
        ({"prompt": "a", "width": 17}, "invalid_input", "must be even"),
        ({"prompt": "a", "engine": "fakes"}, "invalid_input", "the engines are auto, fake"),
        ({"prompt": "a", "workflow": {"1": {}}}, "invalid_input", "no engine 'comfyui'"),
        ({"prompt": "a", "params": {"a": "\ud800"}}, "invalid_input", "plain JSON"),
        ({"prompt": "a", "loras": [{"path": "../x.safetensors"}]}, "unsafe_path", "outside"),
        ({"prompt": "a", "loras": [{"path": "models/x.safetensors"}]}, "not_found", "no LoRA"),
        ({"prompt": "a", "loras": [{"process_id": "train_0123456789ab"}]}, "not_found", "no process"),
        ({"prompt": "a", "loras": [{}]}, "invalid_input", "either path or process_id"),
        ({"prompt": "a", "return": "url"}, "unsupported", "no object store"),
        ({"prompt": "a", "return": "fax"}, "invalid_input", "return"),
    ],
)
def test_what_cannot_be_is_refused_before_the_start(
    desk: Desk, fields: dict[str, Any], code: str, told: str
) -> None:
    before = desk.ask(type="processes", limit=500)["count"]
    answer = desk.ask(type="generate", **fields)
    assert answer["code"] == code, answer
    assert told in answer["error"]
    assert desk.ask(type="processes", limit=500)["count"] == before


def test_a_failure_has_its_code_and_its_process(desk: Desk) -> None:
    answer = desk.ask(type="generate", prompt="a square", params={"fail": "The colour is out of stock."})
    assert answer["error"] == "The colour is out of stock."
    assert answer["details"][0]["process_id"].startswith("generate_")


def test_the_lora_of_a_training_is_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stocked = desk.stock()
    process_id = stocked["process_status"]["process_id"]
    seen: list[Any] = []
    prepare = desk.engine.prepare

    def look(generation: Any) -> Any:
        seen.extend(generation.loras)
        return prepare(generation)

    monkeypatch.setattr(desk.engine, "prepare", look)
    path = f"output/{process_id}/cat/cat.safetensors"

    answer = desk.ask(
        type="generate",
        prompt="a square",
        loras=[{"process_id": process_id, "weight": 0.5}, {"path": f"/workspace/{path}"}],
    )

    assert answer["status"] == "completed"
    assert [(lora.path, lora.weight, lora.name) for lora in seen] == [
        (desk.root / path, 0.5, "cat"),
        (desk.root / path, 1.0, "cat"),
    ]
    refused = desk.ask(type="generate", prompt="a", loras=[{"process_id": answer["process_id"]}])
    assert (refused["code"], "no weights yet" in refused["error"]) == ("not_found", True)


def test_a_secret_of_the_request_is_written_nowhere(desk: Desk) -> None:
    secret = "planted-comfy-key-5d1"
    answer = desk.ask(
        type="generate", prompt="a square", comfy_org_api_key=secret, params={"fail": f"bad key {secret}"}
    )
    assert secret not in str(answer)
    kept = [path for path in desk.root.rglob("*") if path.is_file()]
    assert not [path for path in kept if secret.encode() in path.read_bytes()]


class TestAnAnswerThatIsTooLarge:
    @pytest.fixture
    def settings(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Settings:
        services = desk.worker.services
        # Room for one picture of these, and not for three.
        small = services.settings.model_copy(update={"max_reply_bytes": 100_000 + 3 * 2_000 + 150})
        desk.use(monkeypatch, settings=small)
        return small

    def test_goes_to_the_object_store(
        self, desk: Desk, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = MemoryObjects()
        shares = desk.worker.services.shares
        monkeypatch.setattr(shares, "_settings", settings.model_copy(update={"bucket_name": "b"}))
        monkeypatch.setattr(shares, "_open_store", lambda _place, job_s3=None: _open(store))

        answer = desk.ask(type="generate", prompt="a square", num_images=3)

        assert [image["type"] for image in answer["images"]] == ["url"] * 3
        assert all(image["url"] and image["expires_at"] for image in answer["images"])
        assert "at URLs of the object store instead" in answer["warnings"][0]

    def test_says_how_to_fetch_the_rest(self, desk: Desk, settings: Settings) -> None:
        answer = desk.ask(type="generate", prompt="a square", num_images=3)

        assert [image["type"] for image in answer["images"]] == ["base64", "path", "path"]
        assert "fetch those without `data` with `download_file`" in answer["warnings"][0]
        rest = desk.ask(type="download_file", file_path=answer["images"][2]["path"])
        assert base64.b64decode(rest["data"]).startswith(b"\x89PNG")


def test_paths_are_answered_where_they_are_wished(desk: Desk) -> None:
    (image,) = desk.ask(type="generate", prompt="a square", **{"return": "path"})["images"]
    assert image["type"] == "path"
    assert "data" not in image
    assert Path(image["path"]).suffix == ".png"


class TestThereIsNoRoom:
    @pytest.mark.parametrize(
        ("setting", "code"),
        [("min_free_memory_bytes", "insufficient_memory"), ("min_free_disk_bytes", "insufficient_storage")],
    )
    @pytest.mark.parametrize("type_", ["generate", "train"])
    def test_so_nothing_is_started(
        self, desk: Desk, setting: str, code: str, type_: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = desk.ask(type="processes", limit=500)["count"]
        room = desk.worker.services.room
        monkeypatch.setitem(room.__dict__, setting, 1 << 60)
        fields = {"prompt": "a"} if type_ == "generate" else {"preset": "sd15", "name": "cat"}

        answer = desk.ask(type=type_, **fields)

        assert answer["code"] == code, answer
        assert desk.ask(type="processes", limit=500)["count"] == before

    def test_on_the_gpu(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(desk.engine, "min_gpu_memory_bytes", 24_000_000_000)
        small = Gpu(index=0, uuid="GPU-1", name="NVIDIA T4", memory_total_bytes=16_000_000_000)
        monkeypatch.setattr(desk.worker.services.telemetry, "gpus", lambda: (small,))
        answer = desk.ask(type="generate", prompt="a")
        assert answer["code"] == "insufficient_memory"
        assert "16000000000" in answer["error"]


def test_what_was_made_is_downloaded_like_any_artifact(desk: Desk) -> None:
    one = desk.ask(type="generate", prompt="a square", seed=3)
    several = desk.ask(type="generate", prompt="a square", num_images=2)

    part = desk.ask(type="download", process_id=one["process_id"])
    assert part["data"] == one["images"][0]["data"]
    refused = desk.ask(type="download", process_id=several["process_id"])
    assert (refused["code"], "has left 2 files" in refused["error"]) == ("conflict", True)
    archive = desk.ask(type="bulk_download", process_ids=[several["process_id"]])
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(archive["data"]))) as packed:
        names = {name.partition("/")[2] for name in packed.namelist()}
    assert names == {"image_000.png", "image_001.png", "process.log"}


def test_an_engine_that_needs_a_gpu_is_refused_without_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.engine, "needs_gpu", True)
    assert desk.ask(type="generate", prompt="a")["code"] == "gpu_unavailable"


def _open(store: MemoryObjects) -> Any:
    return contextlib.nullcontext(store)


@pytest.mark.parametrize(
    ("form", "suffix", "content_type"),
    [("GIF", "gif", "image/gif"), ("WEBP", "webp", "image/webp"), ("PNG", "png", "image/apng")],
)
def test_an_animation_is_a_video_and_a_still_is_an_image(
    form: str, suffix: str, content_type: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(generation: Generation, _run: GenerationRun) -> GenerationResult:
        files = []
        for frames in (3, 1):
            first, *rest = (Image.new("RGB", (6, 4), (40 * number, 0, 0)) for number in range(frames))
            path = generation.folder / f"of{frames}.{suffix}"
            first.save(path, form, save_all=True, append_images=rest)
            files.append(GeneratedFile(path=path, seed=1))
        return GenerationResult(files=files)

    monkeypatch.setattr(desk.engine, "generate", draw)
    answer = desk.ask(type="generate", prompt="it moves", seed=1)

    [video], [image] = answer["videos"], answer["images"]
    assert (video["filename"], video["content_type"], video["width"]) == (f"of3.{suffix}", content_type, 6)
    assert image["filename"] == f"of1.{suffix}"
    assert image["content_type"] == content_type.replace("apng", "png")
    assert Image.open(io.BytesIO(base64.b64decode(video["data"]))).n_frames == 3  # type: ignore[attr-defined]
    assert answer["other"] == []


def test_what_was_changed_of_an_input_is_a_warning(desk: Desk) -> None:
    image = base64.b64encode(picture("GIF")).decode()
    answer = desk.ask(type="generate", prompt="a square", image=image)
    assert answer["warnings"] == ["image: converted from GIF to PNG."]


@pytest.mark.parametrize("name", ["mask", "strength"])
def test_what_goes_with_an_image_is_refused_without_one(desk: Desk, name: str) -> None:
    value = base64.b64encode(picture()).decode() if name == "mask" else 0.5
    answer = desk.ask(type="generate", prompt="a square", **{name: value})
    assert answer["error"] == f"{name}: goes with an image."
