from __future__ import annotations

from typing import Any

import pytest

from lorapod.actions.registry import ACTIONS
from lorapod.wire.front_door import (
    FRONT_DOOR_ACTIONS,
    GPU_ACTIONS,
    REFUSED_ACTIONS,
    is_for_front_door,
)


def test_every_action_is_in_the_table_once() -> None:
    assert set(ACTIONS) == FRONT_DOOR_ACTIONS | GPU_ACTIONS
    assert not FRONT_DOOR_ACTIONS & GPU_ACTIONS


def test_the_client_sends_nothing_to_a_front_door_that_it_refuses() -> None:
    assert not [name for name in REFUSED_ACTIONS if is_for_front_door({"type": name})]


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "list_models"},
        {"type": "list_models", "engine": "comfyui"},
        {"type": "resume", "process_id": "download_0123456789ab"},
    ],
)
def test_what_the_front_door_answers(sent: dict[str, Any]) -> None:
    assert is_for_front_door(sent)


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "list_models", "engine": "swarmui"},
        {"type": "resume", "process_id": "train_0123456789ab"},
        {"type": "resume"},
        {"action": "list_models"},
        {"prompt": "a cat"},
        {"type": "an action of a later version"},
        {"type": ["process_status"]},
    ],
)
def test_what_goes_to_the_endpoint_with_gpus(sent: dict[str, Any]) -> None:
    assert not is_for_front_door(sent)
