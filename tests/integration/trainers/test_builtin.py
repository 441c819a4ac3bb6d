"""The builtin trainer as a real child: what it writes, tells and obeys."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.builtin_runs import Bench, Run, wait_for

from lorapod.errors import ErrorCode
from lorapod.records.progress import Observation
from lorapod.records.status import Phase
from lorapod.trainers.port import HeldOut, StartWeights
from lorapod.trainers.progress_line import parse_progress
from lorapod.volume.loss_log import latest, read_series
from lorapod.weights import read_header, step_of

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

import numpy as np
from safetensors.numpy import load_file

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(300)]

ENDLESS = 1_000_000


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A base model with random weights: what it draws is of no interest here."""
    bench = Bench.create(tmp_path_factory.mktemp("builtin"))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def straight(bench: Bench) -> Run:
    """Eight steps in one go, with everything that can be written on the way, on a model that RunPod keeps on the host."""
    bench.keep_ready("owner/tiny")
    return bench.train(
        "straight",
        model={"name_or_path": "owner/tiny"},
        trigger_word="zoe",
        train={"steps": 8, "batch_size": 2, "lr": 1e-3},
        save={"save_every": 3, "max_step_saves_to_keep": 1},
        sample={
            "prompts": [
                "[trigger] on a plain ground",
                "a square --w 96 --h 72 --steps 1 --seed 7 --n a circle",
            ],
            "sample_every": 4,
        },
    )


class TestARunInOneGo:
    def test_it_writes_what_ai_toolkit_would(self, straight: Run) -> None:
        folder = straight.folder
        assert sorted(path.name for path in folder.path.iterdir() if "loss_log" not in path.name) == [
            "config.yaml",
            "optimizer.pt",
            "samples",
            "straight.safetensors",
            "straight_000000006.safetensors",
        ]
        names = sorted(path.name.partition("__")[2] for path in folder.samples.iterdir())
        assert names == [f"{step:09d}_{index}.jpg" for step in (0, 4, 8) for index in (0, 1)]
        for path in folder.samples.iterdir():
            assert re.fullmatch(r"\d{13}__\d{9}_\d\.jpg", path.name)
            with Image.open(path) as image:
                assert (image.format, image.size) == (
                    "JPEG",
                    ((96, 72) if path.stem.endswith("_1") else (64, 64)),
                )

    def test_the_final_lora_says_what_it_is(self, straight: Run) -> None:
        header = read_header(straight.folder.final)
        assert header.whole
        assert header.is_lora
        assert (step_of(header), header.rank, header.trigger_word) == (8, 4, "zoe")
        assert header.base_model == "sd_v1"
        assert json.loads(header.metadata["training_info"]) == {"step": 8, "epoch": 2}
        assert set(header.dtypes) == {"F16"}
        assert step_of(read_header(straight.folder.at_step(6))) == 6

    def test_every_step_is_logged_once(self, straight: Run) -> None:
        series = read_series(straight.folder.loss_log)
        assert [step for step, _ in series["loss/loss"]] == list(range(1, 9))
        assert {rate for _, rate in series["learning_rate"]} == {1e-3}
        with closing(sqlite3.connect(straight.folder.loss_log)) as log:
            assert log.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert log.execute("SELECT * FROM metric_keys ORDER BY key").fetchall() == [
                ("learning_rate", 1, 8),
                ("loss/loss", 1, 8),
            ]

    def test_it_prints_as_ai_toolkit_does(self, straight: Run) -> None:
        milestones = [
            "Running 1 job",
            "# Running job: straight",
            "  -  Found 6 images",
            "create LoRA for U-Net: 48 modules.",
            "Caching latents for ",
            "Generating baseline samples before training",
            "Saving at step 3",
            "Saving at step 6",
            f"Saved checkpoint to {straight.folder.at_step(6)}",
            f"Saved checkpoint to {straight.folder.final}",
        ]
        places = [straight.stdout.find(line) for line in milestones]
        assert -1 not in places, straight.stdout
        assert places == sorted(places)
        assert re.fullmatch(
            r"straight: 100%\|█{10}\| 8/8 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+(it/s|s/it), lr: 1\.0e-03 loss: \d\.\d{3}e[+-]\d\d\]",
            straight.repaints[-1],
        )
        last = parse_progress(straight.repaints[-1], "straight")
        assert last is not None
        assert last.loss == pytest.approx(latest(straight.folder.loss_log)["loss/loss"], rel=1e-3)

    def test_its_control_table_says_that_it_is_done(self, straight: Run) -> None:
        row = straight.table.read()
        assert row is not None
        assert (row.status, row.info, row.step) == ("completed", "Training completed", 8)
        assert row.steps_per_s is not None
        assert straight.outcome().succeeded

    def test_it_leaves_the_dataset_alone(self, bench: Bench, straight: Run) -> None:
        assert straight.process.returncode == 0
        assert {path.suffix for path in bench.pictures.iterdir()} == {".png", ".txt"}

    def test_started_again_it_has_nothing_to_do(self, bench: Bench, straight: Run) -> None:
        before = straight.folder.final.stat().st_mtime_ns
        again = bench.start(straight.plan)
        assert again.wait() == 0
        assert again.outcome().succeeded
        assert again.repaints == []
        assert straight.folder.final.stat().st_mtime_ns > before


class TestARunInTwoGoes:
    def test_it_ends_with_the_very_weights_of_one_go(self, bench: Bench, straight: Run) -> None:
        sections = {"trigger_word": "zoe", "sample": {"prompts": []}}
        bench.train("straight2", train={"steps": 5, "batch_size": 2, "lr": 1e-3}, **sections)
        second = bench.train("straight2", train={"steps": 8, "batch_size": 2, "lr": 1e-3}, **sections)

        assert f"#### IMPORTANT RESUMING FROM {second.folder.final} ####" in second.stdout
        assert "Found step 5 in metadata, starting from there" in second.stdout
        assert second.repaints[0].startswith("straight2:  62%|██████▎   | 5/8 [00:00<?, ?it/s")
        one, two = load_file(straight.folder.final), load_file(second.folder.final)
        assert one.keys() == two.keys()
        assert all((one[name] == two[name]).all() for name in one)
        steps = [step for step, _ in read_series(second.folder.loss_log)["loss/loss"]]
        assert steps == list(range(1, 9))


class TestAnEarlierLora:
    def test_a_training_begins_with_its_weights_and_names_it(self, bench: Bench, straight: Run) -> None:
        parent = {"process_id": "train_000000000001", "step": 8, "file": "straight.safetensors"}
        start = StartWeights(path=straight.folder.final, parent=parent)
        # At this rate a step changes nothing that float16 shows.
        still = {"steps": 1, "batch_size": 2, "lr": 1e-12}
        child = bench.train("child", start=start, train=still)
        assert f"Using pretrained lora path from config: {straight.folder.final}" in child.stdout
        before, after = load_file(straight.folder.final), load_file(child.folder.final)
        assert before.keys() == after.keys()
        assert all(np.allclose(before[name], after[name], atol=1e-6) for name in before)
        header = read_header(child.folder.final)
        assert json.loads(header.metadata["start_from"]) == parent
        assert step_of(header) == 1

    def test_a_resume_goes_on_from_its_own_checkpoint(self, bench: Bench, straight: Run) -> None:
        start = StartWeights(path=straight.folder.final, parent={})
        bench.train("child2", start=start, train={"steps": 1, "batch_size": 2, "lr": 1e-3})
        second = bench.train("child2", start=start, train={"steps": 2, "batch_size": 2, "lr": 1e-3})
        assert "Found step 1 in metadata, starting from there" in second.stdout
        assert "Using pretrained lora path" not in second.stdout


class TestHeldBackImages:
    def test_they_are_not_learnt_and_their_loss_is_logged(self, bench: Bench) -> None:
        run = bench.train(
            "held",
            held_out=HeldOut(share=0.25, every=2),
            train={"steps": 4, "batch_size": 1, "lr": 1e-3},
        )
        process = run.plan.config["config"]["process"][0]
        items = process["train"]["validation_config"]["validation_items"]
        images = len(list(bench.pictures.glob("*.png")))
        assert len(items) == max(1, round(images * 0.25))
        assert f"Found {images - len(items)} images" in run.stdout
        series = read_series(run.folder.loss_log)
        assert [step for step, _ in series["val/loss"]] == [2, 4]
        assert [step for step, _ in series["loss/loss"]] == [1, 2, 3, 4]
        still = bench.train(
            "still",
            held_out=HeldOut(share=0.25, every=1),
            train={"steps": 2, "batch_size": 1, "lr": 1e-12},
        )
        first, second = (value for _, value in read_series(still.folder.loss_log)["val/loss"])
        assert first == pytest.approx(second, rel=1e-5), "each look uses the same noise"


class TestControl:
    def test_save_sample_and_stop(self, bench: Bench) -> None:
        plan = bench.plan(
            "control",
            train={"steps": ENDLESS, "batch_size": 1, "lr": 1e-3},
            sample={"prompts": ["a square"], "sample_every": 0},
        )
        run = bench.start(plan)
        reader, control = run.trainer.reader(run.plan), run.trainer.control(run.plan)
        seen: list[Observation] = []
        run.reach(2)
        assert not control.save_pending()

        control.request_save()
        wait_for(lambda: not control.save_pending(), "checkpoint")
        saved, damaged = run.folder.newest_checkpoint()
        assert saved is not None
        assert damaged == []
        assert run.folder.at_step(saved.step) == saved.path

        made = set(run.folder.samples.iterdir())
        control.request_sample()
        wait_for(lambda: set(run.folder.samples.glob("*.jpg")) - made, "sample")
        row = run.table.read()
        assert row is not None
        assert not row.sample_now

        run.reach(row.step + 1)
        seen += [observation for observation in [reader.poll()] if observation is not None]
        assert seen[0].phase in {Phase.TRAINING, Phase.SAMPLING}
        assert (seen[0].step or 0) > saved.step

        run.table.request_stop()
        assert run.wait() == 1
        assert "Error running job: Job stopped" in run.stdout
        stopped = run.table.read()
        assert stopped is not None
        assert (stopped.status, stopped.step) == ("stopped", saved.step)
        assert run.folder.newest_checkpoint() == (saved, [])
        outcome = run.outcome()
        assert (outcome.succeeded, outcome.stopped) == (False, True)

    def test_a_stop_before_the_first_step_ends_it_at_once(self, bench: Bench) -> None:
        run = bench.start(bench.plan("early", train={"steps": ENDLESS}))
        run.table.request_stop()
        assert run.wait() == 1
        assert run.outcome().stopped
        assert run.repaints == []


class TestInterruption:
    def test_sigint_stops_without_a_checkpoint_and_a_damaged_one_is_passed_over(self, bench: Bench) -> None:
        sections: dict[str, Any] = {
            "save": {"save_every": 2, "max_step_saves_to_keep": 100},
            "sample": {"prompts": []},
        }
        run = bench.start(
            bench.plan("broken", train={"steps": ENDLESS, "batch_size": 1, "lr": 1e-3}, **sections)
        )
        run.reach(5)
        run.interrupt()
        assert run.wait() == 0
        assert run.stdout.rstrip().endswith(f"{'=' * 40}\nJob stopped\n{'=' * 40}")
        assert not run.folder.final.exists()
        row = run.table.read()
        assert row is not None
        assert row.status == "stopped"
        outcome = run.outcome(stop_requested=True)
        assert (outcome.succeeded, outcome.stopped) == (False, True)

        *_, whole, newest = run.folder.step_checkpoints()
        # A copied folder has other times than the original: the older checkpoint is the newer file.
        newest.write_bytes(newest.read_bytes()[:-100])
        whole.touch()
        resumed = step_of(read_header(whole))
        assert resumed is not None
        logged = [step for step, _ in read_series(run.folder.loss_log)["loss/loss"]]
        assert logged[-1] > resumed

        again = bench.train("broken", train={"steps": resumed + 3, "batch_size": 1, "lr": 1e-3}, **sections)
        assert f"Skipping {newest}: it is damaged or cut off" in again.stdout
        assert f"Found step {resumed} in metadata" in again.stdout
        assert "The optimizer's state belongs to another step" in again.stdout
        assert f"| {resumed}/{resumed + 3} [" in again.repaints[0]
        steps = [step for step, _ in read_series(again.folder.loss_log)["loss/loss"]]
        assert steps == list(range(1, resumed + 4))
        assert step_of(read_header(again.folder.final)) == resumed + 3


class TestErrors:
    """All of these are found before torch is imported."""

    def test_a_picture_folder_that_went_away(self, bench: Bench) -> None:
        plan = bench.plan("gone")
        moved = bench.pictures.rename(bench.pictures.with_name("elsewhere"))
        try:
            run = bench.start(plan)
            assert run.wait() == 1
        finally:
            moved.rename(bench.pictures)
        assert "Error running job: [Errno 2] No such file or directory: " in run.stdout
        assert "Traceback" in run.stderr
        failure = run.outcome().failure
        assert failure is not None
        assert failure.code is ErrorCode.NOT_FOUND
        row = run.table.read()
        assert row is not None
        assert row.status == "error"

    def test_a_checkpoint_of_another_rank(self, bench: Bench, straight: Run) -> None:
        plan = bench.plan("straight", train={"steps": 20}, network={"linear": 8})
        run = bench.start(plan)
        assert run.wait() == 1
        failure = run.outcome().failure
        assert failure is not None
        assert failure.code is ErrorCode.INVALID_INPUT
        assert "straight.safetensors has rank 4, the config asks for 8" in failure.message
        assert step_of(read_header(straight.folder.final)) == 8

    def test_a_dataset_of_damaged_pictures(self, bench: Bench, tmp_path: Path) -> None:
        folder = bench.workspace.training_data / "damaged"
        folder.mkdir()
        (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        plan = bench.plan("damaged")
        fields = dict(plan.config)
        fields["config"]["process"][0]["datasets"][0]["folder_path"] = str(folder)
        run = bench.start(plan)
        assert run.wait() == 1
        assert "  -  Skipping a.png: " in run.stdout
        failure = run.outcome().failure
        assert failure is not None
        assert failure.message == f"no images found in {folder}."
