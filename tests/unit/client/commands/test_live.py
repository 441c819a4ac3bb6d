from __future__ import annotations

import io
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from lorapod.client import Client
from lorapod.client.commands.live import follow
from lorapod.client.commands.panel import panel, progress_text, sparkline
from lorapod.client.commands.screen import Screen
from lorapod.client.money.price_book import PriceBook, PriceLookup
from lorapod.platform.prices import HourlyRate
from lorapod.testing.fake_queue import FakeQueue

PROCESS_ID = "train_0123456789ab"


def process(status: str = "running", step: int = 5, **progress: Any) -> dict[str, Any]:
    return {
        "process_id": PROCESS_ID,
        "name": "cat",
        "status": status,
        "progress": {"step": step, "total_steps": 10} | progress,
    }


def drawn(told: dict[str, Any], losses: list[float]) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(panel(told, losses))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class TestSparkline:
    def test_falling_numbers_fall(self) -> None:
        assert sparkline([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"

    def test_nothing_is_nothing(self) -> None:
        assert not sparkline([])

    def test_what_never_changes_is_flat(self) -> None:
        assert sparkline([2.0, 2.0, 2.0]) == "▁▁▁"

    @example([2.2250738585072014e-308, 0.0], 2)
    @given(st.lists(st.floats(0, 1e6), max_size=500), st.integers(1, 80))
    def test_it_is_never_wider_than_asked(self, values: list[float], width: int) -> None:
        assert len(sparkline(values, width)) == min(width, len(values))


class TestPanel:
    def test_it_tells_step_loss_speed_and_time_left(self) -> None:
        told = drawn(process(loss=0.1234, steps_per_s=2.5, eta_s=3723), [0.5, 0.1234])

        assert "step 5/10  loss 0.1234  2.50 steps/s  1 h 02 min left" in told
        assert "█▁" in told

    def test_one_that_has_ended_has_no_time_left(self) -> None:
        assert "left" not in drawn(process("cancelled", eta_s=3723), [])

    def test_one_that_has_just_begun_has_nothing_to_tell_yet(self) -> None:
        told = drawn({**process("queued", 0), "progress": {"step": 0}}, [])

        assert "queued" in told
        assert "step" not in told

    def test_a_failure_says_why(self) -> None:
        told = drawn(
            {**process("failed"), "failure": {"code": "out_of_memory", "message": "CUDA is full."}}, []
        )

        assert "CUDA is full." in told

    def test_names_are_shown_as_they_are(self) -> None:
        assert "[red]cat" in drawn({**process(), "name": "[red]cat"}, [])


class TestWorkflow:
    UPDATE: ClassVar[dict[str, Any]] = {
        "step": 12,
        "total_steps": 20,
        "image": 1,
        "total_images": 2,
        "node": "Sample [1]",
        "node_id": "3",
        "node_value": 12,
        "node_max": 20,
        "nodes_done": 4,
        "total_nodes": 9,
        "percent": 57.2,
        "eta_s": 8,
    }

    def test_it_names_the_node_and_counts_the_nodes(self) -> None:
        told = drawn(process(**self.UPDATE), [])
        assert "image 1/2  Sample [1] (node 3) 12/20  4/9 nodes  57%  8 s left" in told

    def test_a_node_that_counts_nothing_has_no_figures(self) -> None:
        line = progress_text(process(**{**self.UPDATE, "node_value": 0, "node_max": 1, "total_images": 1}))
        assert line == "Sample [1] (node 3)  4/9 nodes  57%  8 s left"


class TestFollow:
    @pytest.fixture
    def states(self, queue: FakeQueue) -> list[dict[str, Any]]:
        """What the process is, one look after the other."""
        states = [
            process("queued", 0),
            process(step=1),
            process(step=1),
            process(step=2),
            process("completed", 10),
        ]
        queue.actions["process_status"] = lambda _: states.pop(0)
        return states

    def test_without_a_terminal_every_change_is_a_line(
        self, client: Client, states: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        ended = follow(client, PROCESS_ID, Screen(), interval_s=0)

        assert ended["status"] == "completed"
        assert [line.split()[1:4] for line in capsys.readouterr().out.splitlines()] == [
            ["queued", "step", "0/10"],
            ["running", "step", "1/10"],
            ["running", "step", "2/10"],
            ["completed", "step", "10/10"],
        ]

    def test_a_terminal_is_drawn_anew(
        self, client: Client, queue: FakeQueue, states: list[dict[str, Any]]
    ) -> None:
        queue.actions["metrics"] = lambda wish: {
            "series": {"loss/loss": [[wish["since_step"], 1.0]]},
            "last_step": wish["since_step"],
        }
        screen = Screen()
        screen.console = Console(file=io.StringIO(), force_terminal=True, width=100)

        follow(client, PROCESS_ID, screen, interval_s=0)

        assert isinstance(screen.console.file, io.StringIO)
        assert "step 10/10" in screen.console.file.getvalue()
        asked = [wish["since_step"] for wish in queue.inputs if wish["type"] == "metrics"]
        assert asked == sorted(set(asked)), "each step's loss is asked for once"

    def test_a_terminal_shows_what_it_costs(self, client: Client, queue: FakeQueue) -> None:
        queue.actions["metrics"] = lambda _: {"series": {}, "last_step": 0}
        states = [
            {**process(step=1), "trainer": "builtin", "ran_s": 900.0},
            {
                **process("completed", 10),
                "trainer": "builtin",
                "ran_s": 1800.0,
                "ended_at": "2026-01-01T00:00:00Z",
            },
        ]
        queue.actions["process_status"] = lambda _: states.pop(0)
        screen = Screen()
        screen.console = Console(file=io.StringIO(), force_terminal=True, width=100)
        prices = PriceLookup.known(PriceBook(given=HourlyRate(per_hour=Decimal(2))))

        follow(client, PROCESS_ID, screen, interval_s=0, prices=prices)

        assert isinstance(screen.console.file, io.StringIO)
        drawn_now = screen.console.file.getvalue()
        assert "$0.50 so far ($2.00 an hour)" in drawn_now
        assert "cost $1.00 ($2.00 an hour)" in drawn_now
