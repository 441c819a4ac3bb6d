"""`lorapod download`: where files go, and that none is replaced by accident."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lorapod.client import Client
from lorapod.client.cli import app
from lorapod.client.commands.session import Connection
from lorapod.testing.fake_queue import FakeQueue

ID = "train_0123456789ab"
LORA = b"the LoRA"


def part(name: str, data: bytes = LORA) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def answer(wish: dict[str, Any]) -> dict[str, Any]:
        length = min(wish.get("length") or len(data), len(data))
        return {
            "filename": name or Path(wish["file_path"]).name,
            "size_bytes": len(data),
            "offset": 0,
            "length": length,
            "sha256": hashlib.sha256(data).hexdigest(),
            "data": base64.b64encode(data[:length]).decode(),
        }

    return answer


@pytest.fixture
def call(
    client: Client, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    monkeypatch.setattr(Connection, "client", lambda _self: client)
    monkeypatch.setattr(client, "close", lambda: None)
    monkeypatch.chdir(tmp_path)
    queue.actions["download"] = part("cat.safetensors")
    queue.actions["download_file"] = part("")
    queue.actions["bulk_download"] = lambda _: {
        "archive_path": "output/.archives/all.zip",
        **part("all.zip")({}),
    }

    def run(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["download", *arguments])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def here(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ((ID,), {"cat.safetensors"}),
        ((ID, "--to", "loras/"), {"loras/cat.safetensors"}),
        ((ID, "--to", "a/b/tom.safetensors"), {"a/b/tom.safetensors"}),
        ((ID, "--to", "tom"), {"tom.safetensors"}),
        ((ID, "--to", "кот и кошка/том"), {"кот и кошка/том.safetensors"}),
        (("output/x/1.png", "output/x/2.png", "--to", "new"), {"new/1.png", "new/2.png"}),
        ((ID, "--zip", "--to", "z"), {"z.zip"}),
        ((ID, "--zip", "--to", "z.zip"), {"z.zip"}),
        ((ID, "output/x/1.png", "--zip", "--to", "new/"), {"new/all.zip"}),
    ],
)
def test_a_file_goes_where_it_was_asked_to(
    call: Any, tmp_path: Path, arguments: tuple[str, ...], files: set[str]
) -> None:
    told = call(*arguments).stdout.splitlines()

    assert here(tmp_path) == files
    assert set(told) == files


def test_a_zip_of_processes_and_files_names_both(call: Any, queue: FakeQueue) -> None:
    call(ID, "output/x/1.png", "--zip")

    asked = queue.inputs[0]
    assert (asked["process_ids"], asked["file_paths"]) == ([ID], ["output/x/1.png"])


class TestAnotherFile:
    @pytest.fixture(autouse=True)
    def another(self, tmp_path: Path) -> Path:
        path = tmp_path / "cat.safetensors"
        path.write_bytes(b"another LoRA")
        return path

    @pytest.mark.parametrize("arguments", [(ID,), (ID, "--to", "cat"), ("output/x/cat.safetensors",)])
    def test_a_script_is_refused(self, call: Any, another: Path, arguments: tuple[str, ...]) -> None:
        refused = call(*arguments, code=1)

        assert "cat.safetensors is another file, and it was not replaced." in refused.stderr
        assert "--overwrite" in refused.stderr
        assert another.read_bytes() == b"another LoRA"

    def test_a_script_reads_why(self, call: Any) -> None:
        assert json.loads(call(ID, "--json", code=1).stdout)["code"] == "conflict"

    @pytest.mark.parametrize(("wanted", "kept"), [(True, LORA), (False, b"another LoRA")])
    def test_a_person_is_asked(
        self, call: Any, another: Path, monkeypatch: pytest.MonkeyPatch, *, wanted: bool, kept: bytes
    ) -> None:
        asked: list[str] = []

        def confirm(text: str, **_: Any) -> bool:
            asked.append(text)
            return wanted

        monkeypatch.setattr("typer.confirm", confirm)
        monkeypatch.setattr("lorapod.client.commands.arrivals.is_interactive", lambda: True)

        call(ID, code=0 if wanted else 1)

        assert asked == ["cat.safetensors is another file. Replace it?"]
        assert another.read_bytes() == kept

    def test_it_is_replaced_if_that_is_asked_for(self, call: Any, another: Path) -> None:
        call(ID, "--overwrite")

        assert another.read_bytes() == LORA


def test_the_same_file_is_not_asked_about(call: Any, queue: FakeQueue, tmp_path: Path) -> None:
    (tmp_path / "cat.safetensors").write_bytes(LORA)

    assert call(ID).stdout == "cat.safetensors\n"
    assert [wish.get("length") for wish in queue.inputs] == [1]


def test_a_folder_is_not_a_file(call: Any, tmp_path: Path) -> None:
    (tmp_path / "z.zip").mkdir()
    (tmp_path / "new" / "cat.safetensors").mkdir(parents=True)

    assert call(ID, "--zip", "--to", "z.zip").stdout == "z.zip/all.zip\n"
    assert "is a folder" in call(ID, "--to", "new/", code=1).stderr
