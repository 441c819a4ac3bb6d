"""The server of the live page: what it answers to whom, and what it sends again."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.report_worker import ReportWorker
from tests.servers.ports import free_port

from lorapod.client import Client
from lorapod.client.report_page.live import LiveServer
from lorapod.client.report_page.page import ReportPage
from lorapod.client.report_page.pictures import PictureBook
from lorapod.client.report_page.reading import TrainingReader
from lorapod.testing.fake_queue import FakeQueue

TRAINING = "train_0123456789ab"


@pytest.fixture
def worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    worker.add_training(steps=(0, 100), prompts=("a cat",))
    return worker


class Publisher:
    """Publishes the present state of the worker's training."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.server = LiveServer()
        self._reader, self._book = TrainingReader(client, TRAINING, folder), PictureBook()

    def publish(self, *, ended: bool = False) -> None:
        self.server.publish(ReportPage([self._reader.read()], self._book), ended=ended)

    def get(self, path: str = "", **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
        url = urlsplit(self.server.url)
        connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
        try:
            connection.request("GET", path if path.startswith("/") else url.path + path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def changes(self, since: int) -> Any:
        return json.loads(self.get(f"changes?since={since}")[1])


@pytest.fixture
def live(client: Client, worker: ReportWorker, tmp_path: Path) -> Iterator[Publisher]:
    live = Publisher(client, tmp_path)
    live.publish()
    with live.server.serving(0):
        yield live


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "LOCALHOST:8080", "[::1]:80"])
def test_names_of_this_machine_are_answered(live: Publisher, host: str) -> None:
    status, page, headers = live.get(Host=host)

    assert status == 200
    assert page.startswith("<!doctype html>")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert "rpa_made_up_key" not in page + str(headers)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::1", "", "0.0.0.0"]
)
def test_another_name_is_refused(live: Publisher, host: str) -> None:
    for path in ("", "changes?since=0"):
        status, text, _ = live.get(path, Host=host)
        assert status in {400, 403}
        assert "mycat" not in text


@pytest.mark.parametrize("path", ["/", "/changes?since=0", "/guessed/", "/../etc/passwd"])
def test_nothing_is_there_without_the_token(live: Publisher, path: str) -> None:
    assert live.get(path)[0] == 404


def test_only_what_has_changed_is_sent_again(live: Publisher, worker: ReportWorker) -> None:
    assert live.changes(1) | {"order": []} == {
        "version": 1, "ended": False, "order": [], "changed": [], "data": None,
    }  # fmt: skip
    worker.processes[TRAINING] |= {"status": "running"}
    live.publish()

    answer = live.changes(1)

    assert answer["version"] == 2
    assert [part["name"] for part in answer["changed"]] == ["state", "facts"]
    assert answer["data"] is None
    assert {part["name"] for part in live.changes(0)["changed"]} == set(answer["order"])
    live.publish()
    assert live.changes(2)["version"] == 2


def test_new_values_are_sent_as_data(live: Publisher, worker: ReportWorker) -> None:
    worker.series[TRAINING]["loss/loss"] = [*worker.series[TRAINING]["loss/loss"], (200, 0.5)]
    worker.processes[TRAINING]["progress"] = {"step": 200, "total_steps": 200}
    live.publish()

    answer = live.changes(1)

    assert answer["data"]["series"][0]["steps"][-1] == 200


def test_what_has_gone_leaves_the_order(live: Publisher, worker: ReportWorker) -> None:
    worker.processes[TRAINING] |= {"warnings": [], "dataset": None}
    live.publish()

    assert not {"warnings", "dataset"} & set(live.changes(1)["order"])


@pytest.mark.parametrize("since", ["", "-1", "x", "9" * 30])
def test_a_version_that_is_none_is_answered(live: Publisher, since: str) -> None:
    assert live.get(f"changes?since={since}")[0] == 200


def test_the_server_knows_when_the_end_was_seen(live: Publisher) -> None:
    live.changes(0)
    assert not live.server.wait_for_last_look(0)
    live.publish(ended=True)
    assert not live.server.wait_for_last_look(0)
    assert live.changes(1)["ended"] is True
    assert live.server.wait_for_last_look(0)


def test_a_look_ends_the_long_wait(live: Publisher) -> None:
    waiting = threading.Thread(target=live.server.wait, args=(0.0, 600.0), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    deadline = time.monotonic() + 20
    while waiting.is_alive():
        assert time.monotonic() < deadline
        live.get()
        waiting.join(0.05)


def test_a_page_that_is_looked_at_waits_only_a_moment(live: Publisher) -> None:
    live.get()
    live.server.wait(0.5, 600.0)


def test_a_port_that_is_taken_is_an_error() -> None:
    port = free_port()
    with LiveServer().serving(port), pytest.raises(OSError, match="in use"), LiveServer().serving(port):
        pass
