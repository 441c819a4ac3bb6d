from __future__ import annotations

import json

import pytest

from lorapod.errors import NotFound
from lorapod.processes.order import TrainingOrder, keep_order, read_order
from lorapod.testing.store import MemoryOrders

ID = "train_0123456789ab"


def test_what_is_kept_is_read() -> None:
    store = MemoryOrders()
    order = TrainingOrder(
        trainer="script", config={"steps": 3}, caller_job_id="12345", runpod_job_id="runpod-1"
    )
    keep_order(order, store, ID)
    assert read_order(TrainingOrder, store, ID) == order


def test_an_order_of_an_earlier_version_is_read() -> None:
    store = MemoryOrders()
    stored = {"trainer": "script", "config": {"steps": 3}, "job_id": "12345", "asked_by": "runpod-1"}
    store.keep(ID, json.dumps(stored).encode())
    assert read_order(TrainingOrder, store, ID) == TrainingOrder(
        trainer="script", config={"steps": 3}, caller_job_id="12345", runpod_job_id="runpod-1"
    )


def test_an_order_of_a_version_that_took_unknown_keys_still_does() -> None:
    store = MemoryOrders()
    store.keep(ID, json.dumps({"trainer": "script", "config": {"stepz": 3}}).encode())
    assert not read_order(TrainingOrder, store, ID).strict


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"3", b"{}"])
def test_a_damaged_order_is_not_found(damaged: bytes) -> None:
    store = MemoryOrders()
    store.keep(ID, damaged)
    with pytest.raises(NotFound, match="gone or damaged"):
        read_order(TrainingOrder, store, ID)
