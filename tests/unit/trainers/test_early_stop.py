from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lorapod.errors import InvalidInput, Unsupported
from lorapod.processes.order import TrainingOrder
from lorapod.trainers.early_stop import check_stop_when, judged
from lorapod.trainers.kept_checkpoints import keep_enough
from lorapod.trainers.port import TrainingPlan

STOP = {"no_better": "validation_loss", "patience": 3, "min_improvement": 0.0, "from_step": 0}


@pytest.mark.parametrize(
    ("losses", "best_step", "looks"),
    [
        ([1.0], 0, 0),
        ([1.0, 0.9, 0.8], 20, 0),
        ([1.0, 0.5, 0.6, 0.7], 10, 2),
        ([1.0, 0.5, 0.6, 0.4, 0.4], 30, 1),
    ],
)
def test_the_best_look_and_those_since_then(losses: Sequence[float], best_step: int, looks: int) -> None:
    found = judged([(10 * number, loss) for number, loss in enumerate(losses)])
    assert found is not None
    assert (found.best_step, found.looks) == (best_step, looks)


def test_an_improvement_that_is_too_small_does_not_count() -> None:
    found = judged([(0, 1.0), (10, 0.995), (20, 0.98)], min_improvement=0.01)
    assert found is not None
    assert (found.best_step, found.looks) == (20, 0)
    found = judged([(0, 1.0), (10, 0.995), (20, 0.991)], min_improvement=0.01)
    assert found is not None
    assert (found.best_step, found.looks) == (0, 2)


def test_early_looks_do_not_count() -> None:
    assert judged([(0, 0.1), (10, 0.2)], from_step=20) is None
    found = judged([(0, 0.1), (20, 0.3), (30, 0.4)], from_step=20)
    assert found is not None
    assert (found.best_step, found.looks) == (20, 1)


def test_looks_before_a_resume_do_not_end_it_again() -> None:
    curve = [(0, 0.3), (10, 0.4), (20, 0.5), (30, 0.6)]
    found = judged(curve, since_step=20)
    assert found is not None
    assert (found.best_step, found.looks) == (0, 1)


@pytest.mark.parametrize(
    ("values", "best_step", "looks"),
    [([0.3, 0.5, 0.4, 0.5], 10, 2), ([-0.2, -0.1, -0.15], 10, 1), ([0.5, 0.504, 0.6], 20, 0)],
)
def test_of_some_measures_more_is_better(values: Sequence[float], best_step: int, looks: int) -> None:
    curve = [(10 * number, value) for number, value in enumerate(values)]
    found = judged(curve, more_is_better=True, min_improvement=0.01)
    assert found is not None
    assert (found.best_step, found.looks) == (best_step, looks)


def order(**fields: Any) -> TrainingOrder:
    return TrainingOrder(trainer="builtin", config={}, **fields)


def plan(config: dict[str, Any], *, steps: int = 1000) -> TrainingPlan:
    return TrainingPlan(
        process_id="train_1",
        name="cat",
        config=config,
        run_folder=Path("/run"),
        control_path=Path("/control"),
        total_steps=steps,
    )


def test_a_stop_without_a_validation_loss_is_refused() -> None:
    config: dict[str, Any] = {"config": {"process": [{"train": {}}]}}
    with pytest.raises(InvalidInput, match="no images are held back"):
        check_stop_when(order(stop_when=STOP), plan(config), None)
    assert not check_stop_when(order(), plan(config), None)
    assert not check_stop_when(
        order(stop_when=STOP, validation={"share": 0.1, "every": 5}), plan(config), None
    )
    config["config"]["process"][0]["train"]["validation_config"] = {"validate_every_n_steps": 5}
    assert not check_stop_when(order(stop_when=STOP), plan(config), None)


def test_a_worker_that_measures_no_likeness_refuses_it() -> None:
    with pytest.raises(Unsupported, match="cannot measure the likeness"):
        check_stop_when(order(stop_when={**STOP, "no_better": "likeness"}), plan({}), None)


@pytest.mark.parametrize(
    ("patience", "from_step", "steps", "said"),
    [(3, 0, 1000, None), (1000, 0, 1000, "20 looks"), (3, 950, 1000, "2 looks"), (1, 0, 40, "0 looks")],
)
def test_a_patience_that_no_look_can_exhaust_is_warned_of(
    patience: int, from_step: int, steps: int, said: str | None
) -> None:
    wanted = order(
        stop_when={**STOP, "patience": patience, "from_step": from_step},
        validation={"share": 0.1, "every": 50},
    )
    save = {"save_every": 50, "max_step_saves_to_keep": 5}
    warnings = check_stop_when(wanted, plan({"config": {"process": [{"save": save}]}}, steps=steps), None)
    assert len(warnings) <= 1
    assert bool(warnings) == (said is not None)
    if said is not None:
        assert said in warnings[0]
        assert f"`patience` is {patience}" in warnings[0]


@pytest.mark.parametrize(
    ("save", "said"),
    [
        ({"save_every": 50, "max_step_saves_to_keep": 4}, "is 4, and 5 are needed"),
        ({"save_every": 50, "max_step_saves_to_keep": 5}, None),
        ({"save_every": 500, "max_step_saves_to_keep": 2}, None),
        ({"save_every": 1}, "is 5, and 152 are needed"),
        ({"save_every": 0}, None),
    ],
)
def test_a_config_that_deletes_the_best_checkpoint_is_warned_of(
    save: dict[str, Any], said: str | None
) -> None:
    config = {"config": {"process": [{"save": save}]}}
    wanted = order(stop_when=STOP, validation={"share": 0.1, "every": 50})
    warnings = check_stop_when(wanted, plan(config), None)
    assert bool(warnings) == (said is not None)
    assert said is None or said in warnings[0]


@pytest.mark.parametrize(("patience", "number"), [(1, 4), (3, 5), (1000, 10)])
def test_a_preset_keeps_the_best_checkpoint(patience: int, number: int) -> None:
    process = {
        "save": {"save_every": 250, "max_step_saves_to_keep": 4},
        "train": {"steps": 2000},
    }
    keep_enough(process, every=250, patience=patience)
    assert process["save"]["max_step_saves_to_keep"] == number
