from __future__ import annotations

from datetime import datetime

import pytest

from lorapod.storage.orphans import INTERVAL_S, ORPHAN_AGE, OrphanSweep
from lorapod.storage.port import StoreRefused
from lorapod.testing.clock import FakeClock
from lorapod.testing.objects import MemoryObjects


class Swept(MemoryObjects):
    def __init__(self, refusal: StoreRefused | None = None) -> None:
        super().__init__()
        self.asked: list[tuple[str, datetime]] = []
        self.refusal = refusal

    def sweep(self, under: str = "", *, before: datetime) -> int:
        self.asked.append((under, before))
        if self.refusal is not None:
            raise self.refusal
        return 1


@pytest.mark.parametrize("refusal", [None, StoreRefused("no right")])
def test_a_store_is_swept_now_and_then_whatever_it_answers(refusal: StoreRefused | None) -> None:
    clock, store = FakeClock(), Swept(refusal)
    sweep = OrphanSweep(clock)
    sweep.look(store, "cat/")
    sweep.look(store, "cat/")
    assert store.asked == [("cat/", clock.now() - ORPHAN_AGE)]
    clock.advance(INTERVAL_S)
    sweep.look(store, "cat/")
    assert len(store.asked) == 2


def test_a_store_without_such_uploads_is_let_be() -> None:
    OrphanSweep(FakeClock()).look(MemoryObjects())
