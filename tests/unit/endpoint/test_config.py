from __future__ import annotations

from typing import Any

import pytest

from lorapod.endpoint import EndpointConfig


def test_workers_stay_up_unless_they_may_idle() -> None:
    assert EndpointConfig(command=["x"], workers=3).active_workers == 3
    assert EndpointConfig(command=["x"], workers=3, idle_timeout_s=5).active_workers == 0
    assert EndpointConfig(command=["x"], workers=3, idle_timeout_s=5, min_workers=1).active_workers == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"command": []}, "command"),
        ({"workers": 0}, "worker"),
        ({"workers": 1, "min_workers": 2}, "min_workers"),
        ({"min_workers": -1}, "min_workers"),
        ({"ping_interval_s": 0}, "ping_interval_s"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        EndpointConfig(**{"command": ["x"], **changes})


def test_the_api_key_is_not_shown() -> None:
    assert "hush" not in repr(EndpointConfig(command=["x"], api_key="hush", environment={"A": "hush"}))
