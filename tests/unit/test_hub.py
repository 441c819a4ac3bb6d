"""What RunPod's Hub reads, held against the worker's own models and the forms that its publishing guide documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from lorapod.actions.registry import ACTIONS
from lorapod.settings import Settings
from lorapod.wire.envelope import open_envelope
from lorapod.wire.validation import parse

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".runpod"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Choice(Strict):
    label: str
    value: str


class Input(Strict):
    name: str
    type: Literal["string", "number", "boolean", "huggingface"]
    description: str
    default: str | bool | float
    options: list[Choice] | None = None
    min: float | None = None
    max: float | None = None
    true_value: str | None = Field(default=None, alias="trueValue")
    false_value: str | None = Field(default=None, alias="falseValue")
    advanced: bool = False


class Variable(Strict):
    key: str
    input: Input


class Preset(Strict):
    name: str
    defaults: dict[str, str | bool | float]


class HubConfig(Strict):
    runs_on: Literal["GPU"] = Field(alias="runsOn")
    disk_gb: int = Field(alias="containerDiskInGb", ge=1)
    gpu_ids: str = Field(alias="gpuIds")
    gpu_count: int = Field(alias="gpuCount", ge=1)
    cuda: list[str] = Field(alias="allowedCudaVersions")
    presets: list[Preset]
    env: list[Variable]


class Hub(Strict):
    """RunPod, "Hub publishing guide", hub.json reference."""

    title: str
    description: str
    type: Literal["serverless"]
    category: Literal["audio", "embedding", "language", "video", "image"]
    icon: str = Field(alias="iconUrl", pattern=r"^https://\S+$")
    config: HubConfig


class Case(Strict):
    name: str
    input: dict[str, Any]
    timeout: int


class CaseVariable(Strict):
    key: str
    value: str


class CaseConfig(Strict):
    gpu_type: str = Field(alias="gpuTypeId")
    gpu_count: int = Field(alias="gpuCount")
    env: list[CaseVariable]
    cuda: list[str] = Field(alias="allowedCudaVersions")


class HubTests(Strict):
    """RunPod, "Hub publishing guide", tests.json reference."""

    tests: list[Case]
    config: CaseConfig


def read(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / name).read_text("utf-8")))


def settings_names() -> set[str]:
    """Every variable that the worker reads."""
    names = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names |= (
            {str(choice) for choice in alias.choices} if isinstance(alias, AliasChoices) else {name.upper()}
        )
    return names


def container_names() -> set[str]:
    """Every variable that `startup.sh` reads."""
    return set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", (ROOT / "startup.sh").read_text("utf-8")))


HUB = Hub.model_validate(read("hub.json"))
TESTS = HubTests.model_validate(read("tests.json"))
KNOWN = settings_names() | container_names()


def test_every_variable_of_the_hub_is_one_that_something_reads() -> None:
    asked = [variable.key for variable in HUB.config.env]

    assert set(asked) <= KNOWN
    assert len(asked) == len(set(asked))
    assert {variable.key for variable in TESTS.config.env} <= KNOWN


@pytest.mark.parametrize("preset", HUB.config.presets, ids=lambda preset: str(preset.name))
def test_a_preset_sets_what_can_be_set_to_what_is_allowed(preset: Preset) -> None:
    inputs = {variable.key: variable.input for variable in HUB.config.env}

    for key, value in preset.defaults.items():
        choices = inputs[key].options
        assert choices is None or value in {choice.value for choice in choices}
        assert isinstance(value, bool) == (inputs[key].type == "boolean")


@pytest.mark.parametrize("variable", HUB.config.env, ids=lambda variable: str(variable.key))
def test_the_default_of_a_variable_is_one_that_the_worker_takes(variable: Variable, monkeypatch: Any) -> None:
    given = variable.input
    text = str(given.default)
    if isinstance(given.default, bool):
        text = str(given.true_value if given.default else given.false_value)

    monkeypatch.setenv(variable.key, text)

    Settings()


@pytest.mark.parametrize("case", TESTS.tests, ids=lambda case: str(case.name))
def test_a_case_of_the_hub_is_a_request_that_the_worker_takes(case: Case) -> None:
    call = open_envelope({"id": "1", "input": case.input})

    parse(ACTIONS[call.type].request, call.request_fields())


def test_no_secret_has_a_value() -> None:
    secrets = [variable for variable in HUB.config.env if re.search("KEY|TOKEN|SECRET|URL", variable.key)]

    assert secrets
    assert {variable.input.default for variable in secrets} == {""}


def test_the_icon_is_a_square_picture_of_the_repository() -> None:
    _, _, path = HUB.icon.partition("/main/")

    with Image.open(ROOT / path) as icon:
        assert icon.format == "PNG"
        assert icon.size == (256, 256)


def test_pools_are_listed_once_and_have_enough_memory_for_a_preset() -> None:
    """RunPod, "GPU types", GPU pools: the number is the memory."""
    pools = HUB.config.gpu_ids.split(",")

    assert len(pools) == len(set(pools))
    assert all(int(re.findall(r"_(\d+)", pool)[0]) >= 24 for pool in pools)


def test_the_cases_have_different_names_and_time_to_answer() -> None:
    names = [case.name for case in TESTS.tests]

    assert len(names) == len(set(names))
    assert all(case.timeout >= 10_000 for case in TESTS.tests)


def test_the_versions_of_cuda_are_those_of_the_image() -> None:
    (base,) = re.findall(
        r"^ARG BASE_IMAGE=nvidia/cuda:(\d+\.\d+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )

    assert HUB.config.cuda == TESTS.config.cuda == [base]


def test_what_the_hub_looks_for_is_there() -> None:
    assert (FOLDER / "handler.py").exists()
    assert (ROOT / "Dockerfile").exists()
    assert (ROOT / "README.md").exists()
