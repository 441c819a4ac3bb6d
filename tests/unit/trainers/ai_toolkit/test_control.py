from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lorapod.records.progress import Observation
from lorapod.records.status import Phase
from lorapod.trainers.ai_toolkit.control import ToolkitRunControl
from lorapod.trainers.control_table import ControlTable
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.run_reader import RunReader

JOB_ID = "train_0123456789ab"


@pytest.fixture
def plan(tmp_path: Path) -> TrainingPlan:
    run_folder = tmp_path / "output" / "lora"
    run_folder.mkdir(parents=True)
    return TrainingPlan(
        process_id=JOB_ID,
        name="lora",
        config={},
        run_folder=run_folder,
        control_path=tmp_path / "control.db",
        total_steps=20,
    )


@pytest.fixture
def table(plan: TrainingPlan) -> ControlTable:
    return ControlTable.create(plan.control_path, JOB_ID, name="lora")


def tell(table: ControlTable, **columns: str) -> None:
    """As AI Toolkit writes: everything is text."""
    with closing(sqlite3.connect(table.path, isolation_level=None)) as connection:
        for column, value in columns.items():
            connection.execute(f"UPDATE Job SET {column} = ?", (value,))  # noqa: S608 - names of this file


def saw(observation: Observation | None) -> Observation:
    assert observation is not None
    return observation


class TestReader:
    def test_a_repaint_of_the_training(self, plan: TrainingPlan) -> None:
        seen = RunReader(plan).line(
            "lora:   5%|▌  | 1/20 [00:00<00:06,  2.91it/s, lr: 1.0e-04 loss: 1.187e+00]"
        )
        assert seen == Observation(
            phase=Phase.TRAINING,
            step=1,
            total_steps=20,
            loss=1.187,
            learning_rate=1e-4,
            steps_per_s=2.91,
            eta_s=6.0,
            repaint=True,
        )

    def test_the_empty_bar_before_the_first_step(self, plan: TrainingPlan) -> None:
        assert saw(RunReader(plan).line("lora:   0%|          | 0/20 [00:00<?, ?it/s]")).phase is None

    @pytest.mark.parametrize(
        "line",
        [
            "Generating Images: 100%|██████████| 1/1 [00:00<00:00,  2.60it/s]",
            "100%|██████████| 6/6 [00:00<00:00, 572.34it/s]",
            "  0%|          | 0/6 [00:00<?, ?it/s]",
        ],
    )
    def test_a_repaint_of_something_else(self, plan: TrainingPlan, line: str) -> None:
        assert RunReader(plan).line(line) == Observation(repaint=True)

    @pytest.mark.parametrize(
        ("line", "phase"),
        [
            ("# Running job: lora", Phase.STARTING),
            ("Dataset: /data/cats", Phase.PREPARING_DATASET),
            ("Generating baseline samples before training", Phase.SAMPLING),
            ("Saving at step 10", Phase.SAVING),
        ],
    )
    def test_milestones_without_a_control_table(self, plan: TrainingPlan, line: str, phase: Phase) -> None:
        assert RunReader(plan).line(line) == Observation(phase=phase)

    def test_the_step_that_it_goes_on_from(self, plan: TrainingPlan) -> None:
        seen = RunReader(plan).line("Found step 50 in metadata, starting from there")
        assert seen == Observation(resumed_from_step=50)

    def test_other_lines_tell_nothing(self, plan: TrainingPlan) -> None:
        reader = RunReader(plan)
        for line in ("", "{", "enable LoRA for U-Net", "a 50% chance"):
            assert reader.line(line) is None

    def test_the_control_table(self, plan: TrainingPlan, table: ControlTable) -> None:
        reader = RunReader(plan)
        assert reader.poll() is None
        tell(table, status="running", info="Loading model")
        assert reader.poll() == Observation(phase=Phase.LOADING_MODEL)
        assert reader.poll() is None
        tell(table, info="Training", step="7", speed_string="2.50 iter/sec")
        assert reader.poll() == Observation(phase=Phase.TRAINING, step=7, steps_per_s=2.5)

    def test_once_the_table_is_used_it_alone_tells_the_phase(
        self, plan: TrainingPlan, table: ControlTable
    ) -> None:
        reader = RunReader(plan)
        tell(table, status="running", info="Generating images - 0/1")
        assert saw(reader.poll()).phase is Phase.SAMPLING
        late = reader.line("lora:  50%|█  | 10/20 [00:00<00:06,  2.91it/s, lr: 1.0e-04 loss: 1.187e+00]")
        assert saw(late).phase is None
        assert saw(late).step == 10
        assert reader.line("Saving at step 10") is None

    def test_a_stop_does_not_take_steps_back(self, plan: TrainingPlan, table: ControlTable) -> None:
        # A stop sets the step back to the last save.
        tell(table, status="stopped", info="Job stopped", step="5")
        reader = RunReader(plan)
        reader.line("lora:  35%|█  | 7/20 [00:00<00:06,  2.91it/s, lr: 1.0e-04 loss: 1.187e+00]")
        assert reader.poll() is None

    @pytest.mark.parametrize("status", ["stopped", "completed"])
    def test_the_last_step_that_no_repaint_showed(
        self, plan: TrainingPlan, table: ControlTable, status: str
    ) -> None:
        reader = RunReader(plan)
        reader.line("lora:  35%|█  | 7/20 [00:00<00:06,  2.91it/s, lr: 1.0e-04 loss: 1.187e+00]")
        tell(table, status=status, step="9")
        assert reader.poll() == Observation(step=9)
        assert reader.poll() is None

    def test_no_table(self, plan: TrainingPlan) -> None:
        assert RunReader(plan).poll() is None


class TestControl:
    def checkpoint(self, plan: TrainingPlan, step: int) -> None:
        (plan.run_folder / f"lora_{step:09d}.safetensors").write_bytes(b"")

    def test_a_save_is_done_when_its_file_is_there_and_the_trainer_trains_again(
        self, plan: TrainingPlan, table: ControlTable
    ) -> None:
        tell(table, status="running", info="Training")
        control = ToolkitRunControl(plan)
        assert not control.save_pending()
        control.request_save()
        assert control.save_pending()
        tell(table, save_now="0")
        assert control.save_pending(), "taken back, not yet begun"
        tell(table, info="Saving model")
        assert control.save_pending()
        self.checkpoint(plan, 10)
        assert control.save_pending(), "the optimizer's state is still to come"
        tell(table, info="Training")
        assert control.save_pending()
        assert not control.save_pending()

    def test_the_file_of_a_periodic_save_is_not_it(self, plan: TrainingPlan, table: ControlTable) -> None:
        tell(table, status="running", info="Training")
        control = ToolkitRunControl(plan)
        control.request_save()
        self.checkpoint(plan, 10)
        for _ in range(3):
            assert control.save_pending()
        tell(table, save_now="0")
        assert control.save_pending(), "one look may fall between taking the wish and saying so"
        tell(table, info="Saving model")
        assert control.save_pending()

    def test_a_run_that_does_not_use_the_table_saves_nothing(
        self, plan: TrainingPlan, table: ControlTable
    ) -> None:
        control = ToolkitRunControl(plan)
        control.request_save()
        assert not control.save_pending()

    def test_a_run_that_has_ended_saves_nothing_more(self, plan: TrainingPlan, table: ControlTable) -> None:
        tell(table, status="running", info="Training")
        control = ToolkitRunControl(plan)
        control.request_save()
        tell(table, status="error")
        assert not control.save_pending()

    def test_a_run_folder_that_cannot_be_read_now_holds_no_checkpoint_yet(
        self, plan: TrainingPlan, table: ControlTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tell(table, status="running", info="Training")
        control = ToolkitRunControl(plan)

        def unreadable(_folder: object) -> object:
            raise OSError(errno.ESTALE, "Stale file handle")

        with monkeypatch.context() as broken:
            broken.setattr(os, "scandir", unreadable)
            control.request_save()
            tell(table, save_now="0")
            assert control.save_pending()
        # What was there at the request is not known, so the first look that succeeds stands for it.
        assert control.save_pending()
        self.checkpoint(plan, 10)
        assert control.save_pending()
        with monkeypatch.context() as broken:
            broken.setattr(os, "scandir", unreadable)
            assert control.save_pending()
        assert control.save_pending()
        assert not control.save_pending()

    def test_samples(self, plan: TrainingPlan, table: ControlTable) -> None:
        ToolkitRunControl(plan).request_sample()
        row = table.read()
        assert row is not None
        assert row.sample_now
