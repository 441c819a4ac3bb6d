from __future__ import annotations

import pytest

from lorapod.events.event_types import EventType
from lorapod.events.lane import merged
from lorapod.events.outbox import Position
from lorapod.testing.events import sample_event

P, C, S = EventType.PROGRESS, EventType.CHECKPOINT, EventType.STARTED
END, STOP = EventType.COMPLETED, EventType.INTERRUPTED


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        ([], []),
        ([P], [1]),
        ([S, P, P, C, P], [1, 4, 5]),
        ([P, P, END], [3]),
        ([S, P, STOP, S, P, P], [1, 3, 4, 6]),
        ([C, C, S], [1, 2, 3]),
    ],
)
def test_only_progress_is_merged_into_what_is_newer(kinds: list[EventType], kept: list[int]) -> None:
    events = [
        (sample_event(number, kind), Position(offset=number)) for number, kind in enumerate(kinds, start=1)
    ]
    assert [event.sequence for event, _ in merged(events)] == kept
    assert [position.offset for _, position in merged(events)] == kept
