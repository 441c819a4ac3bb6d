"""What every store of orders must do, run against each of them."""

from __future__ import annotations

from tests.contract.conftest import OpenState

from lorapod.testing.records import make_record


def test_what_one_worker_keeps_another_reads(open_state: OpenState) -> None:
    record = make_record()
    state = open_state()
    assert state.orders.read(record.process_id) is None
    state.records.create(record)
    assert state.orders.read(record.process_id) is None
    state.orders.keep(record.process_id, b'{"trainer": "script"}\xff')
    assert open_state().orders.read(record.process_id) == b'{"trainer": "script"}\xff'
    assert open_state().orders.read("train_ffffffffffff") is None
