"""Slips of a new user: each is answered in one sentence that names the flag, before anything is sent."""

from __future__ import annotations

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


@pytest.fixture
def call(
    client: Client, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    monkeypatch.setattr(Connection, "client", lambda _self: client)
    monkeypatch.setattr(client, "close", lambda: None)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int) -> Any:
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "40"})
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def refusing(message: str, **more: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda _: {"error": message, "code": "invalid_input", **more}


def test_a_wrong_command_line_is_plain_in_a_pipe(call: Any) -> None:
    path = f"{'long folder ' * 20}/images"

    told = call("run", path, "--preset", "sdxl", code=2).stderr

    assert path in told
    assert "lorapod run --help" in told
    assert "╭" not in told


class TestRun:
    @pytest.mark.parametrize("name", ["notes.txt", "captions"])
    def test_a_folder_without_an_image_is_not_sent(
        self, call: Any, queue: FakeQueue, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "notes.txt").write_text("a cat")
        (tmp_path / "captions").mkdir()
        (tmp_path / "captions" / "1.txt").write_text("a cat")

        refused = call("run", name, "--preset", "sdxl", code=1)

        assert f"{name} has no image, video or zip." in refused.stderr
        assert queue.inputs == []

    def test_a_preset_that_no_worker_has_is_named_before_the_upload(
        self, call: Any, queue: FakeQueue, tmp_path: Path
    ) -> None:
        (tmp_path / "1.png").write_bytes(b"")
        queue.actions["list_presets"] = lambda _: {"presets": [{"name": "sdxl"}, {"name": "sd15"}]}

        refused = call("run", "1.png", "--preset", "sdlx", code=2)

        assert "--preset" in refused.stderr
        assert "did you mean 'sdxl'?" in refused.stderr
        assert [wish["type"] for wish in queue.inputs] == ["list_presets"]

    def test_a_name_that_no_dataset_may_have_is_the_options(
        self, call: Any, queue: FakeQueue, tmp_path: Path
    ) -> None:
        (tmp_path / "1.png").write_bytes(b"")
        queue.actions["list_files"] = refusing("training_name: 'a/b' is not a plain name.")

        refused = call("run", "1.png", "--preset", "sdxl", "--dataset", "a/b", code=2)

        assert refused.stderr.startswith("--dataset: 'a/b' is not a plain name.")


class TestErrorsSpeakOfFlags:
    def test_a_field_that_no_detail_names(self, call: Any, queue: FakeQueue, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_bytes(b"")
        queue.actions["upload_training_data"] = refusing("training_name: 'a/b' is not a plain name.")
        queue.actions["caption_dataset"] = refusing("model: 'x/y' is not on this worker.")
        queue.actions["dataset"] = refusing("training_name: 'a/b' is not a plain name.")

        assert call("upload", "1.png", "a/b", code=2).stderr.startswith("TRAINING_NAME: 'a/b'")
        assert call("caption", "cat", "--model", "x/y", code=2).stderr.startswith("--model: 'x/y'")
        assert call("dataset", "a/b", code=2).stderr.startswith("DATASET: 'a/b'")

    def test_a_lora(self, call: Any, queue: FakeQueue) -> None:
        detail = {"field": "loras.0.process_id", "error": "is not a process id"}
        queue.actions["generate"] = refusing("loras.0.process_id: is not a process id.", details=[detail])

        assert call("generate", "x", "--lora", "nosuch", code=2).stderr.startswith("--lora: is not")

    def test_what_only_looks_like_a_field_stays(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["ping"] = refusing("worker: it is away.")

        assert call("ping", code=2).stderr.startswith("worker: it is away.")


class TestPaths:
    def test_a_path_with_backslashes_is_one_of_the_workspace(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["list_files"] = lambda _: {"files": []}
        queue.actions["download_file"] = refusing("There is no such file.")

        call("files", r"output\cat", code=0)
        call("download", r"output\cat\1.png", "--to", "x.png", code=2)

        assert queue.inputs[0]["path"] == "output/cat"
        assert queue.inputs[1]["file_path"] == "output/cat/1.png"

    def test_an_id_that_is_too_short_is_named(self, call: Any, queue: FakeQueue) -> None:
        refused = call("download", "train_zzz", code=2)

        assert "neither a process id, such as train_0123456789ab, nor a path" in refused.stderr
        assert queue.inputs == []

    def test_a_windows_drive_is_no_folder_here(self, call: Any, queue: FakeQueue, tmp_path: Path) -> None:
        refused = call("download", ID, "--to", r"C:\loras\cat.safetensors", code=2)

        assert "is a path of Windows" in refused.stderr
        assert list(tmp_path.glob("C*")) == []


def test_a_wrong_key_is_named(call: Any, queue: FakeQueue) -> None:
    queue.trouble = [httpx.Response(401, json={"error": "Unauthorized"})]

    assert "Check RUNPOD_API_KEY" in call("ping", code=4).stderr


def test_an_upload_without_an_image_ends_with_one(call: Any, queue: FakeQueue, tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("a cat")
    queue.actions["upload_training_data"] = lambda _: {
        "training_name": "cat",
        "path": "training_data/cat",
        "images": 0,
        "captions": 0,
        "images_without_caption": [],
        "total_bytes": 5,
        "files": [],
        "rejected": [],
    }

    assert "has no image" in call("upload", "1.txt", "cat", code=1).stderr
