"""What scripts and shells get: an error is one JSON object with a code, and names are completed without a worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from lorapod.client import Client
from lorapod.client.cli import app
from lorapod.client.commands.session import Connection
from lorapod.testing.fake_queue import FakeQueue

ID = "train_0123456789ab"
RUNNING = {"process_id": ID, "name": "cat", "status": "running", "progress": {"step": 1}}


@pytest.fixture
def call(
    client: Client, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    monkeypatch.setattr(Connection, "client", lambda _self: client)
    monkeypatch.setattr(client, "close", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    queue.actions["process_status"] = lambda _: REFUSAL

    def run(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, arguments, env={"LORAPOD_URL": "http://127.0.0.1:1/v2/x"})
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


REFUSAL = {"error": "There is no process.", "code": "not_found"}


class TestErrorsHaveACode:
    @pytest.mark.parametrize(
        ("arguments", "exit_code", "code"),
        [
            (("trian", "--json"), 2, "invalid_input"),
            (("train", "--presett", "sdxl", "--json"), 2, "invalid_input"),
            (("train", "--steps", "many", "--json"), 2, "invalid_input"),
            (("train", "--json"), 2, "invalid_input"),
            (("upload", "no-such-folder", "cat", "--json"), 2, "invalid_input"),
            (("upload", "empty", "cat", "--json"), 1, "local_file"),
            (("status", ID, "--json"), 1, "not_found"),
        ],
    )
    def test_of_the_command_line_and_of_the_worker(
        self, call: Any, arguments: tuple[str, ...], exit_code: int, code: str
    ) -> None:
        Path("empty").mkdir()

        answer = json.loads(call(*arguments, code=exit_code).stdout)

        assert answer["code"].replace("local_file_not_found", "local_file") == code
        assert answer["error"]

    def test_of_a_key_that_is_wrong(self, call: Any, queue: FakeQueue) -> None:
        queue.trouble = [httpx.Response(401, json={"error": "no"})] * 9

        answer = json.loads(call("ping", "--json", code=4).stdout)

        assert answer.get("code")

    def test_a_person_reads_no_json(self, call: Any) -> None:
        refused = call("train", "--presett", "sdxl", code=2)

        assert not refused.stdout
        assert "--preset" in refused.stderr

    def test_a_command_that_ends_well_still_does(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["ping"] = lambda _: {"worker_id": "w", "pong": True}

        assert json.loads(call("ping", "--json").stdout)["pong"] is True


class TestCompletion:
    def completed(self, line: str) -> list[str]:
        environment = {
            "LORAPOD_URL": "http://127.0.0.1:1/v2/x",
            "_LORAPOD_COMPLETE": "complete_bash",
            "COMP_WORDS": f"lorapod {line}",
            "COMP_CWORD": str(len(line.split(" "))),
        }
        return CliRunner().invoke(app, [], prog_name="lorapod", env=environment).stdout.split()

    def test_names_that_were_seen_are_completed(self, call: Any, queue: FakeQueue, tmp_path: Path) -> None:
        queue.actions["processes"] = lambda _: {
            "processes": [{**RUNNING, "created_at": "2026-01-31T18:05:59Z"}]
        }
        queue.actions["datasets"] = lambda _: {
            "datasets": [
                {
                    "training_name": "my-cat",
                    "images": 1,
                    "videos": 0,
                    "captions": 1,
                    "total_bytes": 1,
                    "modified_at": "2026-01-31T18:05:59Z",
                }
            ]
        }
        call("processes")
        call("datasets", "--json")

        assert self.completed("status tr") == [ID]
        assert self.completed("train --dataset my") == ["my-cat"]
        assert self.completed("run x --preset flux-d") == ["flux-dev"]

    def test_a_damaged_file_completes_nothing(self, call: Any, queue: FakeQueue, tmp_path: Path) -> None:
        (tmp_path / "cache" / "lorapod").mkdir(parents=True)
        (tmp_path / "cache" / "lorapod" / "names.json").write_text('{"x": [1, "\\ud800"]}')
        queue.actions["processes"] = lambda _: {"processes": []}

        assert self.completed("status tr") == []
        call("processes")

    def test_a_disk_that_takes_nothing_ends_no_command(
        self, call: Any, queue: FakeQueue, tmp_path: Path
    ) -> None:
        (tmp_path / "cache").write_text("a file in the place of the folder")
        queue.actions["processes"] = lambda _: {"processes": []}

        call("processes")
