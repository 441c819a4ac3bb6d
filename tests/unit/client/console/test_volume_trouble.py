"""A volume that cannot be read: what is known stays, and the page says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.running_console import running_console
from tests.unit.client.console.test_console_server import HttpCaller

from lorapod.client import Client
from lorapod.client.console.sources import VolumeSource
from lorapod.client.errors import Unauthorized
from lorapod.errors import NotFound
from lorapod.testing.fake_queue import FakeQueue
from lorapod.volume.view import VolumeView

ID = "train_0123456789ab"


class TroubledVolume:
    """Answers every question with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = False

    async def ask(self, question: Callable[[VolumeView], Any]) -> Any:
        raise self.error

    async def close(self) -> None:
        self.closed = True


def test_a_key_that_an_error_repeats_is_in_no_answer(queue: FakeQueue, tmp_path: Path) -> None:
    keys = ("rpa_made_up_key", "user_made_up", "rps_made_up")
    volume = TroubledVolume(Unauthorized(f"AWSAccessKeyId {keys[1]}, StringToSign {keys[2]}", hint=keys[1]))
    queue.actions["processes"] = lambda _: {"error": f"no {keys[0]}", "code": "internal"}
    client = Client("https://runpod.test/v2/fake/", http=queue)
    with running_console(client, tmp_path, volume=VolumeSource(volume), secrets=keys) as console:
        caller = HttpCaller(console=console)
        caller.open()
        caller.send("/api/home")
        caller.send("/api/processes/ask", method="POST", body={})
        console.wait_for_asks()
        told = caller.json("/api/home")
        caller.send(f"/api/trainings/{ID}/log?offset=0")
    assert "AWSAccessKeyId ***" in told["look_problem"]["error"]
    assert told["ask"]["problem"]["error"] == "no ***"
    assert [key for key in keys if key in str(caller.answers)] == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            Unauthorized("The volume does not accept the S3 keys.", hint="Check them."),
            "does not accept the S3 keys",
        ),
        (NotFound("There is no process."), None),
    ],
)
def test_the_page_says_why_and_shows_what_is_known(
    queue: FakeQueue, tmp_path: Path, error: Exception, said: str | None
) -> None:
    volume = TroubledVolume(error)
    client = Client("https://runpod.test/v2/fake/", http=queue)
    with running_console(client, tmp_path, volume=VolumeSource(volume)) as console:
        process = {"process_id": ID, "type": "train", "status": "completed", "created_at": "x", "name": "cat"}
        console.parts.processes.learn(process, whole=True)
        caller = HttpCaller(console=console)
        caller.open()
        caller.send(f"/api/trainings/{ID}")
        console.wait_for_asks()

        view = caller.json(f"/api/trainings/{ID}")

        assert view["process"]["name"] == "cat"
        assert (said or "There is no process") in view["look_problem"]["error"]
        assert caller.send("/api/trainings/train_ffffffffffff").status == 404
        assert json.loads(caller.text)["code"] == "not_found"
        assert queue.inputs == []
    assert volume.closed
