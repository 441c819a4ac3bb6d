from __future__ import annotations

from typing import Any

import pytest

from lorapod.engines.registry import EngineRegistry
from lorapod.errors import InvalidInput, Unsupported
from lorapod.testing.engine import FakeEngine
from lorapod.wire.generation import GenerateRequest
from lorapod.wire.validation import parse


def registry(**available: bool) -> EngineRegistry:
    return EngineRegistry(
        [FakeEngine(name.replace("_", "-"), available=there) for name, there in available.items()]
    )


def asking(**fields: Any) -> GenerateRequest:
    return parse(GenerateRequest, fields)


def test_the_first_that_is_available_is_taken_where_nothing_is_said() -> None:
    engines = registry(comfyui=False, diffusers=True, swarmui=True)

    assert engines.choose(asking(prompt="a cat")).name == "diffusers"
    assert engines.choose(asking(prompt="a cat", engine="auto")).name == "diffusers"
    assert engines.choose(asking(prompt="a cat", engine="swarmui")).name == "swarmui"


def test_an_engine_that_needs_a_config_is_not_taken_for_a_prompt() -> None:
    with pytest.raises(Unsupported, match="on this worker: diffusers is not available: it was made so"):
        registry(diffusers=False, ai_toolkit=True).choose(asking(prompt="a cat"))


def test_the_setting_decides_where_nothing_is_said() -> None:
    engines = EngineRegistry([FakeEngine("diffusers"), FakeEngine("comfyui")], preferred="comfyui")

    assert engines.choose(asking(prompt="a cat")).name == "comfyui"
    assert engines.choose(asking(prompt="a cat", engine="diffusers")).name == "diffusers"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"workflow": {"1": {}}}, "comfyui"),
        ({"comfyui_workflow_name": "video_wan2_2_14B_i2v", "prompt": "a cat"}, "comfyui"),
        ({"config": "job: generate"}, "ai-toolkit"),
    ],
)
def test_the_shape_of_the_request_decides(fields: dict[str, Any], name: str) -> None:
    engines = registry(diffusers=True, comfyui=True, ai_toolkit=True)

    assert engines.choose(asking(**fields)).name == name
    with pytest.raises(InvalidInput, match=f"goes with the engine {name}, not with diffusers"):
        engines.choose(asking(**fields, engine="diffusers"))


def test_fields_of_two_engines_do_not_go_together() -> None:
    with pytest.raises(InvalidInput, match="config goes with the engine ai-toolkit, not with comfyui"):
        registry(comfyui=True, ai_toolkit=True).choose(asking(workflow={"1": {}}, config="job: generate"))


def test_an_engine_that_is_not_there_is_refused_with_its_reason() -> None:
    engines = registry(diffusers=False, comfyui=True)

    with pytest.raises(Unsupported, match=r"^The engine diffusers is not available: it was made so"):
        engines.choose(asking(prompt="a cat", engine="diffusers"))
    with pytest.raises(InvalidInput, match="the engines are auto, diffusers, comfyui"):
        engines.choose(asking(prompt="a cat", engine="midjourney"))
    with pytest.raises(Unsupported, match="it has none"):
        EngineRegistry([]).choose(asking(prompt="a cat"))


def test_all_are_closed_once_whatever_becomes_of_the_others() -> None:
    class Stuck(FakeEngine):
        closings = 0

        def close(self) -> None:
            self.closings += 1
            raise OSError("stuck")

    first, stuck, last = FakeEngine("first"), Stuck("stuck"), FakeEngine("last")
    engines = EngineRegistry([first, stuck, last])

    with pytest.raises(OSError, match="stuck"):
        engines.close()
    engines.close()

    assert first.closed
    assert last.closed
    assert stuck.closings == 1
