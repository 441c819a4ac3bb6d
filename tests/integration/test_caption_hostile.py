"""`caption_dataset` with datasets, models and words that are meant to break it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.integration.test_caption_dataset import _opened
from tests.tiny_captioners import tiny_captioner

from lorapod.captioners.port import CaptionImage, CaptionRequest, CaptionRun
from lorapod.testing.captioner import FakeCaptioner


class Says(FakeCaptioner):
    """Answers what a test wants it to."""

    def __init__(
        self, answer: Callable[[CaptionImage], str], then: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__()
        self.answer = answer
        self.then = then
        self.prompts: dict[str, str] = {}

    def caption(self, request: CaptionRequest, images: Iterable[CaptionImage], run: CaptionRun) -> None:
        for image in images:
            self.prompts[image.name] = image.prompt
            run.captioned(image.name, self.answer(image))
            self.then(image.name)


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        ("\x1b[31ma red\x07 cat\x08\x7f\x9b", "a red cat"),
        ("\ufeffa cat\u2028on a sofa", "a cat on a sofa"),
        ("a\u202ecat\u200b", "acat"),
        ("\ud83d a cat", "? a cat"),
        ("<think>What do they want?</think> A cat", "A cat"),
        ("<think>I see a cat, and I wonder", None),
        ("A cat <think>or a dog, I wonder", "A cat"),
        ("\x00\x01\x02", None),
        ('""', None),
    ],
)
async def test_only_words_of_an_answer_are_kept(tmp_path: Path, answer: str, caption: str | None) -> None:
    async with _opened(tmp_path, Says(lambda _: answer)) as desk:
        done = await desk.caption(model="fake", limit_names=["0.png"])
        path = desk.folder / "0.txt"
        assert (path.read_text() if path.exists() else None) == caption, done


async def test_an_answer_of_a_megabyte_is_a_caption_that_trainers_take(tmp_path: Path) -> None:
    async with _opened(tmp_path, Says(lambda _: "\u00e9a" * 700_000)) as desk:
        done = await desk.caption(model="fake", limit_names=["0.png"], trigger_word="ohwx")
        assert done["outcome"]["captioned"] == 1, done
        text = (desk.folder / "0.txt").read_bytes()
        assert len(text) <= 1_000_000
        assert text.startswith(b"ohwx, ")
        trained = await desk.ask(
            "train", config={"steps": 1}, dataset={"training_name": "cats"}, trainer="script", wait=True
        )
        assert trained["status"] == "completed", trained


@pytest.mark.parametrize("trigger", ["{filename}", "{trigger_word}", "{0} {x!r}", "%s {", "\\1 \\g<0>"])
async def test_a_trigger_word_is_never_filled_in(tmp_path: Path, trigger: str) -> None:
    captioner = Says(lambda _: "a cat")
    async with _opened(tmp_path, captioner) as desk:
        done = await desk.caption(model="fake", trigger_word=trigger, prompt="{trigger_word} in {filename}?")
        assert done["outcome"]["captioned"] == 2, done
        assert captioner.prompts["0.png"] == f"{trigger} in 0?"
        assert (desk.folder / "0.txt").read_text() == f"{trigger}, a cat"


async def test_a_file_name_is_never_filled_in(tmp_path: Path) -> None:
    captioner = Says(lambda _: "a cat")
    async with _opened(tmp_path, captioner) as desk:
        desk.add("{trigger_word} {filename}.png")
        await desk.caption(model="fake", trigger_word="ohwx", prompt="{trigger_word} in {filename}?")
        assert captioner.prompts["{trigger_word} {filename}.png"] == "ohwx in {trigger_word} {filename}?"


async def test_one_caption_that_cannot_be_written_costs_no_other(tmp_path: Path) -> None:
    async with _opened(tmp_path, FakeCaptioner()) as desk:
        (desk.folder / "0.txt").mkdir()
        (desk.folder / "3.txt").symlink_to("3.txt")
        desk.add("3.png")
        done = await desk.caption(model="fake")
        assert done["status"] == "completed", done
        assert done["captioned"] == 1
        assert sorted(one["name"] for one in done["failed"]) == ["0.png", "3.png"]
        assert all("caption" in one["error"] and one["error"].endswith(".") for one in done["failed"])


async def test_names_of_any_length_and_bytes_are_captioned(tmp_path: Path) -> None:
    async with _opened(tmp_path, FakeCaptioner()) as desk:
        long, accents = "x" * 251 + ".png", "\u00e9" * 125 + ".png"
        desk.add(long)
        desk.add(accents)
        desk.add("new\nline {x}.png")
        done = await desk.caption(model="fake")
        assert done["status"] == "completed", done
        assert done["captioned"] == 5
        assert (desk.folder / ("x" * 251 + ".txt")).exists()
        again = await desk.caption(model="fake", overwrite="all")
        assert again["captioned"] == 6, again


async def test_a_name_that_is_no_text_costs_no_other(tmp_path: Path) -> None:
    async with _opened(tmp_path, FakeCaptioner()) as desk:
        shutil.copy(os.fsencode(desk.folder / "0.png"), os.fsencode(desk.folder) + b"/bad\xff.png")
        done = await desk.caption(model="fake")
        assert done["status"] == "completed", done
        assert done["captioned"] == 2
        assert [one["name"] for one in done["failed"]] == ["bad\\udcff.png"]


@pytest.mark.parametrize("turn", range(3))
async def test_of_two_that_are_asked_for_at_once_one_is_done(tmp_path: Path, turn: int) -> None:
    del turn
    async with _opened(tmp_path, FakeCaptioner()) as first, _opened(tmp_path, FakeCaptioner()) as second:
        both = await asyncio.gather(*(desk.caption(model="fake slow") for desk in (first, second)))
        done = [one for one in both if one.get("status") == "completed"]
        assert len(done) == 1 or sum(one["captioned"] for one in done) == 2, both
        for one in both:
            if one not in done:
                assert (one.get("code") or one["failure"]["code"]) == "conflict", one


async def test_a_dataset_that_is_removed_meanwhile_is_one_sentence(tmp_path: Path) -> None:
    captioner = Says(lambda _: "a cat")
    async with _opened(tmp_path, captioner) as desk:
        captioner.then = lambda _: shutil.rmtree(desk.folder, ignore_errors=True)
        done = await desk.caption(model="fake", overwrite="all")
        assert done["status"] == "failed", done
        assert done["failure"]["message"].startswith("The dataset 'cats' is gone"), done["failure"]
        assert done["captioned"] == 1


async def test_images_of_one_stem_are_captioned_once_however_often_it_goes_on(tmp_path: Path) -> None:
    captioner = Says(lambda image: f"this is {image.name}")
    async with _opened(tmp_path, captioner) as desk:
        shutil.copy(desk.folder / "0.png", desk.folder / "0.webp")

        def stop(_name: str) -> None:
            raise OSError(5, "Input/output error")

        captioner.then = stop
        failed = await desk.caption(model="fake", overwrite="all")
        assert failed["status"] == "failed", failed
        assert failed["captioned"] == 1
        first = (desk.folder / "0.txt").read_text()
        captioner.then = lambda _: None
        done = await desk.ask("resume", process_id=failed["process_id"], wait=True)
        assert (desk.folder / "0.txt").read_text() == first
        assert (done["captioned"], done["skipped"]) == (3, 1), done


async def test_an_image_that_is_removed_keeps_nothing_from_going_on(tmp_path: Path) -> None:
    captioner = Says(lambda _: "a cat")
    async with _opened(tmp_path, captioner) as desk:

        def stop(_name: str) -> None:
            raise OSError(5, "Input/output error")

        captioner.then = stop
        failed = await desk.caption(model="fake", limit_names=["0.png", "1.png", "2.png"], overwrite="all")
        assert failed["captioned"] == 1, failed
        (desk.folder / "1.png").unlink()
        captioner.then = lambda _: None
        done = await desk.ask("resume", process_id=failed["process_id"], wait=True)
        assert done.get("captioned") == 2, done


@pytest.mark.torch
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"config.json": "[" * 100_000}, "config.json"),
        ({"config.json": '{"model_type": "blip", "text_config": 5}'}, "cannot be loaded"),
        ({"config.json": '{"model_type": "no-such-model"}'}, "cannot be loaded"),
        ({"model.safetensors": "not weights"}, "cannot be loaded"),
        ({"model.safetensors": None}, "safetensors"),
        ({"tokenizer.json": "{"}, "cannot be loaded"),
        ({"tokenizer.json": None}, "cannot be loaded"),
        ({"processor_config.json": "[]", "preprocessor_config.json": "[]"}, "cannot be loaded"),
    ],
)
async def test_a_damaged_model_is_one_sentence(
    tmp_path: Path, spoil: dict[str, str | None], words: str
) -> None:
    model = tmp_path / "workspace" / "models" / "blip"
    shutil.copytree(tiny_captioner("blip"), model)
    for name, text in spoil.items():
        (model / name).unlink(missing_ok=True)
        if text is not None:
            (model / name).write_text(text)
    async with _opened(tmp_path) as desk:
        done = await desk.caption()
        said = done["error"] if "error" in done else done["failure"]["message"]
        assert words in said, said
        assert "\n" not in said
        code = done.get("code") or done["failure"]["code"]
        assert code in {"invalid_input", "unsupported"}, done
        assert str(tmp_path) not in said
