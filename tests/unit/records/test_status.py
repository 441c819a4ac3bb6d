from __future__ import annotations

import itertools

import pytest

from lorapod.records.status import FINAL, TRANSITIONS, IllegalTransition, ProcessStatus, check_transition


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(ProcessStatus)


def test_whatever_is_not_in_the_table_is_refused() -> None:
    for before, after in itertools.product(ProcessStatus, ProcessStatus):
        if after in TRANSITIONS[before]:
            check_transition(before, after)
        else:
            with pytest.raises(IllegalTransition):
                check_transition(before, after)


def test_only_a_further_run_follows_success() -> None:
    assert TRANSITIONS[ProcessStatus.COMPLETED] == {ProcessStatus.QUEUED}


def test_a_live_state_can_always_be_interrupted() -> None:
    for status in set(ProcessStatus) - FINAL:
        assert ProcessStatus.INTERRUPTED in TRANSITIONS[status]


def test_only_resume_leads_out_of_an_end() -> None:
    for status in FINAL:
        assert TRANSITIONS[status] - FINAL == {ProcessStatus.QUEUED}
