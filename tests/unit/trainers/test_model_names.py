from __future__ import annotations

from typing import Any

import pytest

from lorapod.actions.train import TrainRequest
from lorapod.trainers.model_names import name_problems


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"dataset": {"training_name": "cat"}}, "cat"),
        ({"dataset": {"training_name": "Моя кошка"}}, "Моя кошка"),
        ({"dataset": {"path": "training_data/cats/tom/"}}, "tom"),
        ({"dataset": {"huggingface": {"repo_id": "someone/cats"}}}, "cats"),
        ({"datasets": [{"training_name": "reg", "is_reg": True}, {"training_name": "cat"}]}, "cat"),
        ({"dataset": {"training_name": "cat"}, "name": "tom"}, "tom"),
        # A store's folder of that name would be shared by all trainings of the dataset.
        ({"dataset": {"training_name": "cat"}, "upload": {"s3": {"prefix": "loras"}}}, None),
        ({"dataset": {"urls": ["https://example.com/cats.zip"]}}, None),
        # AI Toolkit would take its own files for checkpoints, or not find them.
        ({"dataset": {"training_name": "config"}}, None),
        ({"dataset": {"training_name": "cats [new]"}}, None),
        ({"dataset": {"training_name": "x" * 101}}, None),
        ({}, None),
    ],
)
def test_a_model_is_named_after_its_dataset(fields: dict[str, Any], name: str | None) -> None:
    assert TrainRequest(preset="sdxl", **fields).model_name == name


def test_the_trainings_of_a_sweep_are_numbered() -> None:
    request = TrainRequest(
        preset="sdxl", dataset={"training_name": "cat"}, variants=[{"rank": 8}, {"rank": 16}]
    )

    assert [request.of_variant(number).model_name for number in range(2)] == ["cat-01", "cat-02"]


def test_a_name_that_no_file_may_have_is_explained() -> None:
    assert name_problems("a/b", field="name") == ["'a/b' is not a plain name"]
    assert name_problems("Katze 2", field="name") == []
