from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lorapod.errors import InvalidInput
from lorapod.processes.order import TrainingOrder
from lorapod.trainers.early_stop import check_stop_when, judged

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


def order(**fields: Any) -> TrainingOrder:
    return TrainingOrder(trainer="builtin", config={}, **fields)


def test_a_stop_without_a_validation_loss_is_refused() -> None:
    config: dict[str, Any] = {"config": {"process": [{"train": {}}]}}
    with pytest.raises(InvalidInput, match="no images are held back"):
        check_stop_when(order(stop_when=STOP), config)
    check_stop_when(order(), config)
    check_stop_when(order(stop_when=STOP, validation={"share": 0.1, "every": 5}), config)
    config["config"]["process"][0]["train"]["validation_config"] = {"validation_items": []}
    check_stop_when(order(stop_when=STOP), config)
