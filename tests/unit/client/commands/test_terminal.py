"""What a person sees: a live view that fits the terminal, a lost connection in words, and why a process ended."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.unit.client.commands.test_live import PROCESS_ID, process
from typer.testing import CliRunner

from lorapod.client import Client, RetryPolicy
from lorapod.client.cli import app
from lorapod.client.commands.generation_screen import GenerationScreen
from lorapod.client.commands.live import follow
from lorapod.client.commands.panel import panel, plain_lines
from lorapod.client.commands.progress_bar import ImageBar
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import Connection
from lorapod.client.errors import EndpointUnreachable
from lorapod.testing.fake_queue import FakeQueue

RUNNING = process(step=4, loss=0.08123, steps_per_s=1.234, eta_s=1234.0)
LONG = {**RUNNING, "name": "кошка-" * 20, "phase": "preparing_dataset"}


def drawn(told: dict[str, Any], width: int, losses: list[float] | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, soft_wrap=True)
    console.print(panel(told, losses or []))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


class TestTheViewFits:
    @pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
    @pytest.mark.parametrize("told", [RUNNING, LONG])
    def test_no_line_is_wider_than_the_terminal(self, told: dict[str, Any], width: int) -> None:
        lines = drawn(told, width, [1.0, 0.5] * 80)

        assert max(map(cell_len, lines)) <= width
        assert sum("left" in line for line in lines) == 1

    def test_the_first_things_are_left_out_first(self) -> None:
        parts = ("━", "step 4/10", "loss 0.0812", "1.23 steps/s", "20 min 34 s left")
        shown = {
            width: [part in " ".join(drawn(RUNNING, width)) for part in parts] for width in range(16, 90)
        }

        # Each width shows a tail of the list.
        assert all(sorted(row) == row for row in shown.values())
        assert {sum(row) for row in shown.values()} == {1, 2, 3, 4, 5}
        assert all(shown[80])

    def test_a_long_reason_is_folded_and_not_cut(self) -> None:
        words = [f"word{number}" for number in range(60)]
        lines = drawn({**RUNNING, "status": "failed", "failure": {"message": " ".join(words)}}, 40)

        assert max(map(cell_len, lines)) <= 40
        assert [word for word in " ".join(lines).split() if word.startswith("word")] == words

    def test_a_name_is_cut_and_an_id_never(self) -> None:
        (head, *_) = drawn(LONG, 80)

        assert PROCESS_ID in head
        assert "…" in head
        assert "running (preparing_dataset)" in head


ENDS = [
    ({"status": "cancelled"}, "It was cancelled."),
    ({"status": "cancelled", "reason": "limit"}, "It has reached its limit."),
    ({"status": "interrupted"}, "Its worker was stopped or died."),
    (
        {"status": "failed", "failure": {"message": "Out of memory.", "hint": "Use --low-vram."}},
        "Out of memory.",
    ),
]


class TestEnds:
    @pytest.mark.parametrize(("fields", "why"), ENDS)
    def test_an_ended_process_says_why_and_has_no_time_left(self, fields: dict[str, Any], why: str) -> None:
        ended = {**RUNNING, **fields, "resumable": True}

        for text in ("\n".join(drawn(ended, 100)), "\n".join(plain_lines(ended))):
            assert why in text
            assert " left" not in text
            assert f"`lorapod resume {PROCESS_ID}` continues it." in text

    def test_a_completed_one_needs_no_reason(self) -> None:
        text = "\n".join(plain_lines({**RUNNING, "status": "completed", "resumable": False}))

        assert text.splitlines() == [
            f"{PROCESS_ID}  cat  completed",
            "step 4/10  loss 0.0812  1.23 steps/s",
        ]


@pytest.fixture
def call(queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command against the queue in memory, with the command's own retries."""

    def client(self: Connection) -> Client:
        retries = RetryPolicy(attempts=3, first_wait_s=0.001, on_retry=self.on_retry)
        return Client("https://runpod.test/v2/fake/", "key", retries=retries, http=queue)

    monkeypatch.setattr(Connection, "client", client)

    def run(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


class TestCommands:
    @pytest.mark.parametrize(
        ("status", "code"), [("completed", 0), ("running", 0), ("cancelled", 0), ("failed", 1)]
    )
    @pytest.mark.parametrize("flags", [(), ("--json",)])
    def test_the_status_of_a_failed_training_ends_with_one(
        self, call: Any, queue: FakeQueue, status: str, code: int, flags: tuple[str, ...]
    ) -> None:
        shown = {**process(status, 0), "checkpoints": [], "samples": [], "output_path": "output/x"}
        queue.actions["process_status"] = lambda _: shown

        call("status", PROCESS_ID, *flags, code=code)

    def test_a_pipe_gets_whole_lines(self, call: Any, queue: FakeQueue) -> None:
        paths = [{"path": f"output/{PROCESS_ID}/{'long name ' * 30}_{step}.safetensors"} for step in (1, 2)]
        shown = {**process("completed", 10), "checkpoints": paths, "samples": [], "output_path": "output/x"}
        queue.actions["process_status"] = lambda _: shown

        lines = call("status", PROCESS_ID).stdout.splitlines()

        assert lines == [
            f"{PROCESS_ID}  cat  completed",
            "step 10/10",
            *(f"  {one['path']}" for one in paths),
        ]


class TestALostConnection:
    def test_it_is_said_once_in_words(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["ping"] = lambda _: {"worker_id": "w", "pong": True}
        queue.trouble = [httpx.ConnectError("Connection refused"), httpx.ConnectError("Connection refused")]

        done = call("ping")

        (line,) = done.stderr.splitlines()
        assert line.startswith("connection lost, retrying (gives up after ")
        assert "Cannot connect to https://runpod.test" in line

    def test_a_live_view_shows_it_while_it_lasts(self, queue: FakeQueue) -> None:
        states = [process(step=1), process("completed", 10)]
        queue.actions["process_status"] = lambda _: states.pop(0)
        queue.actions["metrics"] = lambda _: {"series": {}, "last_step": 0}
        screen = Screen()
        screen.console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)
        retries = RetryPolicy(attempts=3, first_wait_s=0.001, on_retry=screen.outage.retrying)
        queue.trouble = [httpx.ConnectError("Connection refused")]
        with Client("https://runpod.test/v2/fake/", "key", retries=retries, http=queue) as client:
            follow(client, PROCESS_ID, screen, interval_s=0)

        assert isinstance(screen.console.file, io.StringIO)
        seen = screen.console.file.getvalue()
        assert "connection lost, retrying (gives up after 10 min)" in seen
        assert "connection lost" not in seen.rpartition("completed")[2]

    def test_giving_up_says_that_the_training_continues(
        self, queue: FakeQueue, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: Any, **__: Any) -> Any:
            raise EndpointUnreachable("Cannot connect.", hint="Check the URL.")

        monkeypatch.setattr(client, "wait", away)

        with pytest.raises(EndpointUnreachable) as caught:
            follow(client, PROCESS_ID, Screen())

        assert caught.value.hint == (
            f"There was no answer for 10 min 00 s. The training {PROCESS_ID} continues. "
            f"Watch it again: lorapod status {PROCESS_ID} --follow. Stop it: lorapod cancel {PROCESS_ID}"
        )


@pytest.mark.parametrize("shown", [ImageBar, GenerationScreen])
def test_ctrl_c_stops_the_watching_of_a_captioning_alone(shown: Any) -> None:
    screen = Screen(as_json=True)

    shown(screen).show({"process_id": "caption_0123456789ab", "status": "running"})

    assert screen.if_interrupted.startswith("The captioning caption_0123456789ab continues.")
    assert "lorapod cancel caption_0123456789ab" in screen.if_interrupted


def test_ctrl_c_says_what_continues_and_how_to_watch_it(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "wait", pressed)

    done = call("status", PROCESS_ID, "--follow", code=130)

    assert f"The training {PROCESS_ID} continues." in done.stderr
    assert f"lorapod status {PROCESS_ID} --follow" in done.stderr
