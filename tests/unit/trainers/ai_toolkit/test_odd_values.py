"""Whatever value a key has, `prepare` answers with a plan or with a refusal that names a field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.trainers.ai_toolkit.conftest import CONFIG

from lorapod.errors import InvalidInput
from lorapod.trainers.ai_toolkit.schema import toolkit_schema
from lorapod.trainers.port import TrainingPlan
from lorapod.yaml_config.text import dump_config

Prepare = Callable[..., TrainingPlan]

PLACES = sorted(
    {(path, name) for name, path in toolkit_schema().places("DiffusionTrainer")}
    | {("", "type"), ("", "datasets")}
)
ODD = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1.5, 1e300, 10**15, "", "x", "a/b", "../x", "\x00"]),
    st.sampled_from([[], ["x"], [1], [None], [[]], {}, {"a": 1}, [{}], {"a": {"b": []}}]),
)


def placed(path: str, name: str, value: Any) -> dict[str, Any]:
    """Return a config with this value at a place, whose sections are made where they are missing."""
    config = copy.deepcopy(CONFIG)
    section = config["config"]["process"][0]
    parents = path.split(".") if path else []
    for depth, key in enumerate(parents, 1):
        inner = section.get(key)
        if not isinstance(inner, dict | list) or not inner:
            many = "list" in toolkit_schema().key(".".join(parents[:depth])).types
            section[key] = inner = [{}] if many else {}
        section = inner[0] if isinstance(inner, list) else inner
    section[name] = value
    return config


def check(prepare: Prepare, config: dict[str, Any]) -> None:
    refused: InvalidInput | None = None
    try:
        dump_config(prepare(config=config).config)
    except InvalidInput as error:
        refused = error
    if refused is not None:
        assert refused.details
        assert all(detail["field"] and detail["error"] for detail in refused.details)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=ODD)
def test_every_key(prepare: Prepare, place: tuple[str, str], value: Any) -> None:
    check(prepare, placed(*place, value))


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("", "type", []),
        ("", "type", {}),
        ("train", "noise_scheduler", []),
        ("train", "ema_config", ["x"]),
        ("first_sample", "prompts", -1),
        ("datasets", "clip_image_path", "\x00"),
    ],
)
def test_values_that_were_defects_once(prepare: Prepare, path: str, name: str, value: Any) -> None:
    check(prepare, placed(path, name, value))


@pytest.mark.parametrize("job", [None, [], {}, 5, True, "x"])
def test_every_job(prepare: Prepare, job: Any) -> None:
    check(prepare, {**CONFIG, "job": job})


@pytest.mark.parametrize("config", [None, [], 5, {"process": None}, {"process": [5]}, {"process": [{}]}])
def test_every_shape(prepare: Prepare, config: Any) -> None:
    check(prepare, {"job": "extension", "config": config})
