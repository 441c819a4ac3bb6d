"""Real pictures with the tiny model, in a real child."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from tests.single_file import write_single_file
from tests.tiny_models import ENVIRONMENT, keep_tiny_ready, place_tiny, tiny_model, write_lora

from lorapod.clock import SystemClock
from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.port import Generation, GenerationResult, GenerationStopped, LoraUse
from lorapod.errors import InvalidInput, NotFound, OutOfMemory, Unsupported
from lorapod.processes.template.pool import TemplatePool
from lorapod.settings import Settings
from lorapod.testing.engine import RecordedRun
from lorapod.workspace import Workspace

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.torch, pytest.mark.timeout(240)]

SOON_S = 60.0


class Studio:
    """A workspace with tiny models and LoRAs, and the engine that paints with them."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root / "workspace")
        self.pool = TemplatePool()
        self.engine = DiffusersEngine(
            settings=Settings(
                workspace_path=self.workspace.root, hf_hub_offline=True, diffusers_model="tiny"
            ),
            workspace=self.workspace,
            clock=SystemClock(),
            starter=self.pool,
        )
        place_tiny(self.workspace.models / "tiny")
        self.lora = write_lora(self.workspace.models / "one.safetensors", seed=1)
        self.other_lora = write_lora(self.workspace.models / "two.safetensors", seed=2, peft_names=True)
        self.hub_home = root / "hf"
        self.environment = {
            **Settings().trainer_environment(),
            **ENVIRONMENT,
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HOME": str(self.hub_home),
        }
        self.count = 0

    def generation(self, **fields: Any) -> Generation:
        self.count += 1
        process_id = f"generate_{self.count:012d}"
        folder = self.workspace.output / process_id
        folder.mkdir()
        asked: dict[str, Any] = {
            "prompt": "a red box",
            "width": 64,
            "height": 64,
            "steps": 3,
            "seed": 5,
        } | fields
        return Generation(process_id=process_id, folder=folder, scratch=folder, **asked)

    def generate(self, run: RecordedRun | None = None, **fields: Any) -> GenerationResult:
        run = run or RecordedRun()
        run.environment = self.environment
        generation = self.generation(**fields)
        self.engine.prepare(generation)
        return self.engine.generate(generation, run)

    def picture(self, **fields: Any) -> bytes:
        """The pixels of the only picture."""
        (file,) = self.generate(**fields).files
        with Image.open(file.path) as image:
            return image.tobytes()

    def close(self) -> None:
        self.engine.close()
        self.pool.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    opened = Studio(tmp_path_factory.mktemp("studio"))
    yield opened
    opened.close()


def use(path: Path, weight: float = 1.0) -> LoraUse:
    return LoraUse(path=path, weight=weight, name=path.stem)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def resident_pid(run: RecordedRun) -> int:
    line = next(line for line in run.lines if line.startswith("started the diffusers process"))
    return int(line.rsplit(maxsplit=1)[-1])


def test_the_same_seed_gives_the_same_picture_alone_or_among_others(studio: Studio) -> None:
    first = studio.picture(seed=5)
    several = studio.generate(seed=4, num_images=3)

    assert studio.picture(seed=5) == first
    assert studio.picture(seed=6) != first
    assert [file.seed for file in several.files] == [4, 5, 6]
    with Image.open(several.files[1].path) as image:
        assert image.tobytes() == first


def test_a_model_that_runpod_keeps_on_the_host_is_loaded_by_its_id(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(studio.hub_home))
    with pytest.raises(NotFound, match="may not download"):
        studio.picture(model="owner/a-model")

    keep_tiny_ready(tmp_path / "host", "owner/a-model", studio.hub_home)

    assert studio.picture(model="owner/a-model") == studio.picture()


def test_a_lora_is_used_with_the_base_model_of_its_training(studio: Studio) -> None:
    settings = Settings(workspace_path=studio.workspace.root, hf_hub_offline=True, diffusers_model="missing")
    engine = DiffusersEngine(
        settings=settings, workspace=studio.workspace, clock=SystemClock(), starter=studio.pool
    )
    loras = [use(studio.lora)]

    engine.prepare(studio.generation(loras=loras, trained_on=str(studio.workspace.models / "tiny")))
    for fields in ({}, {"model": "absent", "trained_on": "tiny"}):
        with pytest.raises(NotFound):
            engine.prepare(studio.generation(loras=loras, **fields))


def test_also_in_a_new_process(studio: Studio) -> None:
    first = studio.picture(loras=[use(studio.lora)])
    studio.engine.release()
    assert studio.picture(loras=[use(studio.lora)]) == first


def test_steps_are_told_as_they_are_made(studio: Studio) -> None:
    run = RecordedRun()
    made = studio.generate(run, num_images=2, steps=4)

    steps = [(told.image, told.step, told.total_steps) for told in run.reported if told.step]
    assert steps == [(image, step, 4) for image in (1, 2) for step in (1, 2, 3, 4)]
    assert {told.total_images for told in run.reported if told.step} == {2}
    assert set(made.timings) == {"start_s", "load_s", "generate_s"}


def test_a_picture_says_how_it_was_made(studio: Studio) -> None:
    made = studio.generate(
        prompt="ein rötliches Kästchen",
        negative_prompt="blue",
        guidance_scale=3.5,
        loras=[use(studio.lora, 0.8)],
        params={"scheduler": "euler"},
    )
    with Image.open(made.files[0].path) as image:
        assert image.format == "PNG"
        assert image.info["parameters"].splitlines() == [
            "ein rötliches Kästchen <lora:one:0.8>",
            "Negative prompt: blue",
            "Steps: 3, CFG scale: 3.5, Sampler: EulerDiscrete, Seed: 5, Size: 64x64, Model: tiny",
        ]


class TestLoras:
    def test_each_weight_and_each_mixture_makes_another_picture(self, studio: Studio) -> None:
        one, two = studio.lora, studio.other_lora
        mixtures = [
            [],
            [use(one)],
            [use(one, 0.4)],
            [use(one, -1.0)],
            [use(two)],
            [use(one), use(two)],
            [use(one), use(two, 0.4)],
        ]
        studio.picture()
        run = RecordedRun()
        pictures = [studio.picture(run=run, loras=loras) for loras in mixtures]

        assert len(set(pictures)) == len(mixtures)
        assert [studio.picture(loras=loras) for loras in reversed(mixtures)] == pictures[::-1]
        assert not any(line.startswith("loaded") for line in run.lines)

    def test_no_weight_is_as_none(self, studio: Studio) -> None:
        assert studio.picture(loras=[use(studio.lora, 0.0)]) == studio.picture()

    def test_named_twice_it_acts_with_the_sum(self, studio: Studio) -> None:
        one = studio.lora
        assert studio.picture(loras=[use(one, 0.3), use(one, 0.5)]) == studio.picture(loras=[use(one, 0.8)])

    def test_one_that_was_written_anew_is_read_anew(self, studio: Studio) -> None:
        path = write_lora(studio.workspace.models / "changing.safetensors", seed=10)
        before = studio.picture(loras=[use(path)])
        write_lora(path, seed=11, rank=4)
        after = studio.picture(loras=[use(path)])
        write_lora(path, seed=10)

        assert before != after
        assert studio.picture(loras=[use(path)]) == before

    def test_more_than_are_kept(self, studio: Studio) -> None:
        paths = [write_lora(studio.workspace.models / f"many_{n}.safetensors", seed=20 + n) for n in range(7)]
        pictures = [studio.picture(loras=[use(path)]) for path in paths]
        assert len(set(pictures)) == 7
        assert studio.picture(loras=[use(paths[0])]) == pictures[0]

    def test_one_of_another_kind_of_model_is_named_and_does_no_harm(self, studio: Studio) -> None:
        wrong = write_lora(studio.workspace.models / "for-sdxl.safetensors", arch="sdxl")
        before = studio.picture(loras=[use(studio.lora)])

        for _ in range(2):
            with pytest.raises(InvalidInput, match="LoRA for-sdxl does not fit the model tiny"):
                studio.generate(loras=[use(studio.lora), use(wrong)])
            assert studio.picture(loras=[use(studio.lora)]) == before

    def test_also_on_a_model_that_has_had_none(self, studio: Studio) -> None:
        wrong = write_lora(studio.workspace.models / "for-sdxl.safetensors", arch="sdxl")
        before = studio.picture()
        studio.engine.release()
        with pytest.raises(InvalidInput, match="does not fit"):
            studio.generate(loras=[use(wrong)])
        assert studio.picture() == before

    def test_a_whole_model_is_no_lora(self, studio: Studio) -> None:
        weights = next((studio.workspace.models / "tiny" / "unet").glob("*.safetensors"))
        with pytest.raises(InvalidInput, match="is not a LoRA"):
            studio.generate(loras=[use(weights)])


class TestImageToImage:
    @pytest.fixture
    def image(self, tmp_path: Path) -> Path:
        path = tmp_path / "input.png"
        Image.new("RGB", (64, 64), "orange").save(path)
        return path

    def test_strength_and_seed_make_the_picture_and_nothing_is_loaded_again(
        self, studio: Studio, image: Path
    ) -> None:
        studio.picture()
        run = RecordedRun()

        def changed(strength: float) -> bytes:
            return studio.picture(run=run, image=image, strength=strength, steps=10)

        little, much = changed(0.2), changed(0.9)
        assert changed(0.2) == little != much
        with Image.open(image) as opened:
            original = opened.tobytes()
        assert distance(little, original) < distance(much, original)
        assert not run.lines

    def test_loras_act_there_too(self, studio: Studio, image: Path) -> None:
        fields: dict[str, Any] = {"image": image, "strength": 0.8, "steps": 5}
        plain = studio.picture(**fields)
        assert studio.picture(**fields, loras=[use(studio.lora)]) != plain
        assert studio.picture(**fields) == plain

    def test_the_size_is_the_one_asked_for_or_the_pictures_own(self, studio: Studio, tmp_path: Path) -> None:
        path = tmp_path / "wide.png"
        Image.new("RGBA", (120, 40), (255, 0, 0, 100)).save(path)

        def size(width: int | None = None, height: int | None = None) -> tuple[int, int]:
            made = studio.generate(image=path, strength=0.5, width=width, height=height)
            with Image.open(made.files[0].path) as image:
                return image.size

        # The tiny model is made for 64 x 64 pixels.
        assert size() == (112, 40)
        assert size(width=64, height=64) == (64, 64)
        assert size(width=96) == (96, 32)

    def test_a_mask_keeps_what_is_black(self, studio: Studio, image: Path, tmp_path: Path) -> None:
        mask = tmp_path / "mask.png"
        left_is_white = Image.new("L", (128, 128), 0)
        left_is_white.paste(255, (0, 0, 64, 128))
        left_is_white.save(mask)

        made = studio.generate(image=image, mask=mask, strength=1.0, steps=4)

        with Image.open(made.files[0].path) as changed, Image.open(image) as original:
            assert changed.crop((36, 0, 64, 64)).tobytes() == original.crop((36, 0, 64, 64)).tobytes()
            assert changed.crop((0, 0, 28, 64)).tobytes() != original.crop((0, 0, 28, 64)).tobytes()
        assert list(made.warnings) == []

    def test_files_that_it_has_no_use_for_are_refused(self, studio: Studio, image: Path) -> None:
        for fields in ({"audio": image}, {"video": image}, {"named_inputs": {"a.png": image}}):
            with pytest.raises(Unsupported, match="The engine diffusers takes no"):
                studio.generate(**fields)

    def test_too_little_strength_for_a_single_step_is_refused(self, studio: Studio, image: Path) -> None:
        with pytest.raises(InvalidInput, match="leaves no step"):
            studio.generate(image=image, strength=0.01)


class TestWhatAPipelineTakes:
    def test_parameters_are_passed_on_and_unknown_ones_named(self, studio: Studio) -> None:
        made = studio.generate(
            params={"eta": 0.7, "guidance_rescale": 0.5, "bogus": 1, "generator": 4, "prompt_embeds": [1]},
            strength=0.5,
        )

        assert sorted(made.warnings) == [
            "params.bogus was left out: StableDiffusionPipeline takes no such parameter.",
            "params.generator was left out: it cannot be set so.",
            "params.prompt_embeds was left out: it cannot be set so.",
            "strength has no effect without an input image.",
        ]
        assert studio.picture(params={"eta": 0.7}) != studio.picture()

    def test_sides_are_rounded_and_that_is_told(self, studio: Studio) -> None:
        made = studio.generate(width=70, height=64)
        with Image.open(made.files[0].path) as image:
            assert image.size == (72, 64)
        assert made.warnings == ("width 70 was rounded to 72, a multiple of 8.",)

    def test_samplers_by_name_for_one_generation_alone(self, studio: Studio) -> None:
        plain = studio.picture()
        names = ("euler", "dpm++_2m", "DDPMScheduler")
        pictures = {studio.picture(params={"scheduler": name}) for name in names}

        assert len(pictures | {plain}) == 4
        assert studio.picture() == plain
        with pytest.raises(InvalidInput, match="no scheduler 'magic'") as refused:
            studio.generate(params={"scheduler": "magic"})
        assert "euler_a" in refused.value.hint

    def test_what_it_cannot_digest_is_a_sentence(self, studio: Studio) -> None:
        with pytest.raises(InvalidInput, match="StableDiffusionPipeline refuses the request"):
            studio.generate(params={"clip_skip": "much"})


class TestModels:
    def test_two_are_swapped_in_one_process(self, studio: Studio) -> None:
        place_tiny(studio.workspace.models / "tinyxl", "sdxl")
        run = RecordedRun()
        small = studio.picture(run=run)
        large = studio.picture(run=run, model="models/tinyxl")

        assert small != large
        assert str(studio.engine.probe().model).endswith("tinyxl")
        assert studio.picture(run=run) == small
        assert sum(line.startswith("loaded") for line in run.lines) >= 2
        assert not any(line.startswith("started") for line in run.lines[1:])

    def test_a_single_file_with_its_configuration_beside_it(self, studio: Studio) -> None:
        path = write_single_file(tiny_model(), studio.workspace.models / "checkpoints" / "whole.safetensors")
        with pytest.raises(InvalidInput, match="configuration of its kind is not on this worker") as refused:
            studio.generate(model="whole.safetensors")
        assert "Put a folder whole beside it" in refused.value.hint

        folder = place_tiny(path.with_suffix(""))
        for weights in folder.rglob("*.safetensors"):
            weights.unlink()
        assert studio.picture(model="whole.safetensors") == studio.picture()

    def test_its_own_code_is_not_run(self, studio: Studio, tmp_path: Path) -> None:
        folder = place_tiny(studio.workspace.models / "coded")
        (folder / "unet" / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        with pytest.raises(InvalidInput, match="contains Python code"):
            studio.generate(model="coded")
        assert not (tmp_path / "ran").exists()

    def test_a_damaged_one_is_a_sentence_and_the_next_loads(self, studio: Studio) -> None:
        folder = place_tiny(studio.workspace.models / "damaged")
        (folder / "scheduler" / "scheduler_config.json").write_text("{")
        with pytest.raises(InvalidInput, match="damaged cannot be loaded"):
            studio.generate(model="damaged")
        assert studio.picture()

    def test_offline_the_hub_is_not_asked(self, studio: Studio) -> None:
        with pytest.raises(NotFound, match="may not download"):
            studio.generate(model="owner/not-here")


def test_it_ends_at_its_next_step_when_it_is_told_to(studio: Studio) -> None:
    studio.generate()
    run = RecordedRun()

    def generate() -> None:
        with pytest.raises(GenerationStopped):
            studio.generate(run, steps=900, num_images=50)

    thread = threading.Thread(target=generate)
    thread.start()
    until(lambda: any(told.step for told in run.reported))
    stopped_s = time.monotonic()
    run.stop.set()
    thread.join(SOON_S)

    assert time.monotonic() - stopped_s < 5
    assert studio.engine.probe().resident
    assert studio.picture()


def test_killed_in_the_middle_it_comes_again(studio: Studio) -> None:
    studio.engine.release()
    run = RecordedRun()
    before = studio.picture(run=run)
    long = RecordedRun()

    def generate() -> None:
        with pytest.raises(OutOfMemory):
            studio.generate(long, steps=900)

    thread = threading.Thread(target=generate)
    thread.start()
    until(lambda: any(told.step for told in long.reported))
    os.kill(resident_pid(run), signal.SIGKILL)
    thread.join(SOON_S)

    assert not studio.engine.probe().resident
    assert studio.picture() == before


def test_released_nothing_of_it_is_left_but_what_has_the_imports(studio: Studio) -> None:
    studio.engine.release()
    run = RecordedRun()
    studio.picture(run=run)
    pid = resident_pid(run)
    studio.engine.release()

    assert not psutil.pid_exists(pid)
    (template,) = studio.pool.template_pids()
    names = [file.path for file in psutil.Process(template).open_files()]
    assert not any(name.startswith("/dev/nvidia") for name in names)


def distance(first: bytes, second: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)
