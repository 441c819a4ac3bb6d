"""Commands whose worker's part is tested elsewhere, against a queue in memory: what they ask, and what they keep."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from tests.report_worker import ReportWorker
from typer.testing import CliRunner

from lorapod.client import Client
from lorapod.client.cli import app
from lorapod.client.commands import watch
from lorapod.client.commands.session import Connection
from lorapod.client.commands.train_options import complete_preset
from lorapod.client.report_page.live import LiveServer
from lorapod.client.report_page.page import ReportPage
from lorapod.testing.fake_queue import FakeQueue
from lorapod.wire.presets import PRESET_NAMES


@pytest.fixture
def call(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs a command against the fake queue, in a folder of its own."""
    monkeypatch.setattr(Connection, "client", lambda _self: client)
    # Each command closes its client; this one is used by several.
    monkeypatch.setattr(client, "close", lambda: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
        assert done.exit_code == code, (done.output, done.exception)
        return str(done.output)

    return run


def generated(*outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = {"process_id": "generate_0123456789ab", "engine": "diffusers", "warnings": [], "timings": {}}
    return {**answer, "images": list(outputs), "videos": [], "other": [], **more}


def picture(name: str = "1.png", content: bytes = b"picture") -> dict[str, Any]:
    return {
        "filename": name,
        "type": "base64",
        "data": base64.b64encode(content).decode(),
        "path": f"output/{name}",
    }


class TestGenerate:
    def test_pictures_are_kept_where_asked(self, call: Any, queue: FakeQueue, tmp_path: Path) -> None:
        queue.actions["generate"] = lambda _: generated(picture("a.png"), picture("b.png", b"other"))

        told = call("generate", "a cat", "--to", "out", "--seed", "7", "--num-images", "2")

        assert told.split() == ["out/a.png", "out/b.png"]
        assert (tmp_path / "out" / "b.png").read_bytes() == b"other"
        (asked,) = queue.inputs
        assert asked.pop("idempotency_key")
        assert asked == {
            "type": "generate",
            "prompt": "a cat",
            "seed": 7,
            "num_images": 2,
            "wait": True,
        }

    def test_loras_are_trainings_or_files_with_a_weight(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["generate"] = lambda _: generated()

        call("generate", "x", "--lora", "train_0123456789ab:0.8", "--lora", "models/loras/a.safetensors")

        assert queue.inputs[-1]["loras"] == [
            {"process_id": "train_0123456789ab", "weight": 0.8},
            {"path": "models/loras/a.safetensors", "weight": 1.0},
        ]

    def test_an_input_picture_and_a_workflow_travel_with_it(
        self, call: Any, queue: FakeQueue, tmp_path: Path
    ) -> None:
        queue.actions["generate"] = lambda _: generated()
        (tmp_path / "in.png").write_bytes(b"pixels")
        (tmp_path / "flow.json").write_text('{"1": {"class_type": "SaveImage"}}')

        call("generate", "--image", "in.png", "--workflow", "flow.json")

        asked = queue.inputs[-1]
        assert base64.b64decode(asked["image"]) == b"pixels"
        assert asked["workflow"] == {"1": {"class_type": "SaveImage"}}

    def test_files_travel_under_their_names(self, call: Any, queue: FakeQueue, tmp_path: Path) -> None:
        queue.actions["generate"] = lambda _: generated()
        for name in ("fox.png", "speech.wav", "mask.png"):
            (tmp_path / name).write_bytes(name.encode())

        call("generate", "x", "--input", "fox.png", "--input", "speech.wav", "--mask", "mask.png")

        asked = queue.inputs[-1]
        assert {each["name"]: base64.b64decode(each["image"]) for each in asked["images"]} == {
            "fox.png": b"fox.png",
            "speech.wav": b"speech.wav",
        }
        assert base64.b64decode(asked["mask"]) == b"mask.png"

    @pytest.mark.parametrize("flags", [(), ("--json",)])
    def test_progress_is_shown_beside_the_result(
        self, flags: tuple[str, ...], queue: FakeQueue, call: Any
    ) -> None:
        def update(node: str, done: int) -> dict[str, Any]:
            progress = {"step": 0, "node": node, "node_id": "3", "nodes_done": done, "total_nodes": 9}
            shown = {"process_id": "generate_0123456789ab", "status": "running", "phase": "generating"}
            return {"status": "IN_PROGRESS", "output": {**shown, "progress": progress}}

        queue.slow = True
        queue.states = [
            update("Sample", 4),
            update("Sample", 4),
            {"status": "IN_PROGRESS", "output": {"build": "of the environment"}},
            update("Decode", 5),
            {"status": "COMPLETED", "output": generated(picture("a.png"))},
        ]

        told = call("generate", "x", *flags)

        lines = told.splitlines()
        if flags:
            assert json.loads(lines[0])["files"] == ["a.png"]
        else:
            assert lines == [
                "generate_0123456789ab running generating Sample (node 3)  4/9 nodes",
                "generate_0123456789ab running generating Decode (node 3)  5/9 nodes",
                "a.png",
            ]
        assert json.loads(queue.requests[0].content)["input"]["type"] == "generate"
        assert queue.requests[0].url.params["wait"] == "1000"

    def test_a_name_in_the_answer_leads_nowhere_else(
        self, call: Any, queue: FakeQueue, tmp_path: Path
    ) -> None:
        queue.actions["generate"] = lambda _: generated(picture("../../evil.png"))

        call("generate", "x", "--to", "out")

        assert [path.name for path in tmp_path.rglob("*.png")] == ["evil.png"]
        assert (tmp_path / "out" / "evil.png").exists()

    def test_a_script_gets_no_bytes(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["generate"] = lambda _: generated(picture())

        answer = json.loads(call("generate", "x", "--json"))

        assert answer["files"] == ["1.png"]
        assert "data" not in answer["images"][0]

    @pytest.mark.parametrize("arguments", [("--lora", "a.safetensors:much"), ("--workflow", "list.json")])
    def test_what_cannot_be_meant_is_refused_here(
        self, call: Any, queue: FakeQueue, tmp_path: Path, arguments: tuple[str, ...]
    ) -> None:
        (tmp_path / "list.json").write_text("[1, 2]")

        call("generate", "x", *arguments, code=2)

        assert not queue.requests


class TestSmoke:
    def test_it_keeps_the_picture_and_tells_the_times(
        self, call: Any, queue: FakeQueue, tmp_path: Path
    ) -> None:
        queue.actions["ping"] = lambda _: {"pong": True, "worker_id": "w"}
        queue.actions["generate"] = lambda _: generated(picture())

        assert "image after" in call("smoke")
        assert (tmp_path / "1.png").read_bytes() == b"picture"

    def test_an_answer_without_a_picture_fails(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["ping"] = lambda _: {"pong": True, "worker_id": "w"}
        queue.actions["generate"] = lambda _: generated()

        assert "without an image" in call("smoke", code=1)


class TestModels:
    def test_every_page_is_listed(self, call: Any, queue: FakeQueue) -> None:
        def page(wish: dict[str, Any]) -> dict[str, Any]:
            first = "cursor" not in wish
            model = {
                "name": "a" if first else "b",
                "path": "models/x",
                "size_bytes": 2_000_000,
                "kind": "lora",
            }
            return {"models": [model], **({"next_cursor": "more"} if first else {})}

        queue.actions["list_models"] = page

        assert [model["name"] for model in json.loads(call("models", "list", "--json"))["models"]] == [
            "a",
            "b",
        ]
        assert "2.0 MB" in call("models", "list", "--kind", "lora")
        assert queue.inputs[-1]["kind"] == "lora"

    def test_an_edit_sends_what_is_named_and_nothing_else(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["edit_model"] = lambda wish: {"name": wish["model"], "title": wish["title"]}

        call("models", "edit", "a.safetensors", "title=My = style", 'tags=["x", "y"]', "author=null")

        assert queue.inputs[-1] == {
            "type": "edit_model",
            "model": "a.safetensors",
            "title": "My = style",
            "tags": ["x", "y"],
        }

    def test_a_model_is_published_in_private_with_its_samples(self, call: Any, queue: FakeQueue) -> None:
        told = {
            "url": "https://huggingface.co/me/cat",
            "file": "cat.safetensors",
            "samples": ["samples/1.png"],
        }
        queue.actions["publish_model"] = lambda _: {
            **told,
            "repo_id": "me/cat",
            "size_bytes": 1,
            "card": True,
        }

        shown = call("models", "publish", "cat", "me/cat")

        assert shown.splitlines() == [
            "cat.safetensors",
            "samples/1.png",
            "are at https://huggingface.co/me/cat",
        ]
        assert queue.inputs[-1]["huggingface"] == {"repo_id": "me/cat", "private": True}
        assert queue.inputs[-1]["samples"] is True
        assert "would be at" in call("models", "publish", "cat", "me/cat", "--public", "--dry-run")
        assert queue.inputs[-1]["huggingface"]["private"] is False

    def test_a_card_is_shown(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["describe_model"] = lambda wish: {"name": wish["model"], "rank": 16}

        assert json.loads(call("models", "describe", "a", "--json"))["rank"] == 16

    def test_a_worker_is_held(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["keep_alive"] = lambda wish: {"kept_alive_s": wish["duration_s"], "processes": []}

        assert "held for 30 s" in call("keep-alive", "--for", "30")


class TestWhereTheEndpointIs:
    @pytest.mark.parametrize(
        ("environment", "url"),
        [
            ({"RUNPOD_ENDPOINT_ID": "abc", "RUNPOD_API_KEY": "k"}, "https://api.runpod.ai/v2/abc"),
            ({"RUNPOD_ENDPOINT_ID": "abc", "RUNPOD_API_TOKEN": "k"}, "https://api.runpod.ai/v2/abc"),
            (
                {"LORAPOD_URL": "http://127.0.0.1:1/v2/local", "RUNPOD_ENDPOINT_ID": "abc"},
                "http://127.0.0.1:1/v2/local",
            ),
        ],
    )
    def test_the_environment_names_it(
        self, environment: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []
        built = Connection.client

        def remember(self: Connection) -> Client:
            client = built(self)
            seen.append(client.url)
            raise SystemExit

        monkeypatch.setattr(Connection, "client", remember)
        CliRunner().invoke(app, ["ping"], env=environment)

        assert seen == [url]

    def test_the_key_is_not_in_what_is_shown(self) -> None:
        connection = Connection(endpoint_id="abc", api_key="rpa_secret")

        assert "rpa_secret" not in repr(connection.client())


class TestRm:
    @pytest.fixture(autouse=True)
    def answer(self, queue: FakeQueue) -> None:
        queue.actions["delete"] = lambda fields: {
            "deleted": [f"output/{fields.get('process_id', 'other')}"],
            "freed_bytes": 2_000_000,
            "dry_run": fields.get("dry_run", False),
        }

    def test_each_target_is_shown_and_deleted(self, call: Any, queue: FakeQueue) -> None:
        told = call(
            "rm",
            "train_0123456789ab",
            "--dataset",
            "cats",
            "--path",
            "a",
            "--path",
            "b",
            "--keep",
            "final",
            "--yes",
        )
        asked = [{key: value for key, value in one.items() if key != "type"} for one in queue.inputs]
        wanted: list[dict[str, Any]] = [
            {"process_id": "train_0123456789ab", "keep": "final"},
            {"training_name": "cats"},
            {"paths": ["a", "b"]},
        ]
        assert asked == [*({**one, "dry_run": True} for one in wanted), *wanted]
        assert told == "Deleted 3 files and folders: 6.0 MB.\n"

    def test_a_dry_run_only_shows(self, call: Any, queue: FakeQueue) -> None:
        told = call("rm", "train_0123456789ab", "--dry-run")
        assert told.splitlines() == ["output/train_0123456789ab", "1 file or folder: 2.0 MB"]
        assert [one["dry_run"] for one in queue.inputs] == [True]

    def test_nothing_is_deleted_without_an_answer_on_a_terminal(self, call: Any, queue: FakeQueue) -> None:
        assert "--yes" in call("rm", "train_0123456789ab", code=2)
        assert not queue.inputs

    def test_a_target_must_be_named(self, call: Any, queue: FakeQueue) -> None:
        assert "--dataset" in call("rm", "--yes", code=2)
        assert not queue.inputs

    def test_a_target_that_is_named_twice_is_deleted_once(self, call: Any, queue: FakeQueue) -> None:
        call("rm", "--dataset", "cats", "--dataset", "cats", "--path", "a", "--path", "a", "--yes")
        asked = [one for one in queue.inputs if not one.get("dry_run")]
        assert [one.get("training_name", one.get("paths")) for one in asked] == ["cats", ["a"]]

    def test_an_error_tells_what_was_deleted_before_it(self, call: Any, queue: FakeQueue) -> None:
        delete = queue.actions["delete"]

        def refuse_dogs(fields: dict[str, Any]) -> Any:
            if fields.get("training_name") == "dogs" and not fields.get("dry_run"):
                return {"error": "The dataset 'dogs' is being read.", "code": "conflict"}
            return delete(fields)

        queue.actions["delete"] = refuse_dogs
        told = call("rm", "--dataset", "cats", "--dataset", "dogs", "--yes", code=1)
        assert "Deleted before the error: output/other." in told

    def test_what_to_keep_needs_a_process(self, call: Any, queue: FakeQueue) -> None:
        assert "--keep" in call("rm", "--dataset", "cats", "--keep", "final", "--yes", code=2)
        assert not queue.inputs

    def test_a_script_gets_the_whole(self, call: Any) -> None:
        answer = json.loads(call("rm", "--model", "old", "--yes", "--json"))
        whole = {"deleted": ["output/other"], "freed_bytes": 2_000_000, "dry_run": False, "warnings": []}
        assert answer == whole

    @pytest.mark.parametrize("options", [("--dry-run",), ("--yes",)])
    def test_a_person_reads_what_is_lost(self, call: Any, queue: FakeQueue, options: tuple[str, ...]) -> None:
        plain = queue.actions["delete"]
        queue.actions["delete"] = lambda fields: {
            **cast("dict[str, Any]", plain(fields)),
            "warnings": ["The optimizer's state goes."],
        }
        told = call("rm", "train_0123456789ab", "--keep", "steps:5", *options)
        assert told.count("warning: The optimizer's state goes.") == 1


def test_datasets_are_listed_over_all_pages(call: Any, queue: FakeQueue) -> None:
    def page(asked: dict[str, Any]) -> dict[str, Any]:
        name = "b" if "cursor" in asked else "a"
        entry = {"training_name": name, "images": 3, "videos": 0, "captions": 2, "total_bytes": 2_000_000}
        more = {} if "cursor" in asked else {"next_cursor": "a"}
        return {"datasets": [entry | {"modified_at": "2026-01-31T12:00:00.000Z"}], **more}

    queue.actions["datasets"] = page
    assert [line.split()[:2] for line in call("datasets").splitlines()[1:]] == [["a", "3"], ["b", "3"]]


def test_a_dataset_is_shown_with_what_is_odd(call: Any, queue: FakeQueue) -> None:
    tokens = {
        "tokenizer": "x/tokenizer",
        "limit": 77,
        "min": 4,
        "median": 12.5,
        "max": 90,
        "cut_count": 1,
        "cut": ["1.png"],
    }
    queue.actions["dataset"] = lambda asked: {
        "images": 1,
        "videos": 0,
        "captions": 1,
        "total_bytes": 10,
        "items": [{"name": "1.png", "width": 64, "height": 32, "caption": "a cat", "flags": ["small"]}],
        "problems": [{"code": "small", "message": "It is small.", "names": ["1.png"]}],
        "caption_statistics": {
            "without_trigger_word": ["1.png"] if "trigger_word" in asked else [],
            **({"no_tokens": "Lengths are in words: it is away."} if "arch" in asked else {}),
            **({"tokens": tokens} if "preset" in asked else {}),
        },
    }
    told = call("dataset", "cats", "--trigger", "mycat", "--resolution", "512")
    assert queue.inputs[-1]["resolution"] == [512]
    for words in ("1.png", "64x32", "a cat", "small", "It is small.", "trigger word 'mycat': 1.png"):
        assert words in told
    assert "tokens" not in told
    assert "Lengths are in words: it is away." in call("dataset", "cats", "--arch", "sdxl")
    told = call("dataset", "cats", "--preset", "sdxl")
    assert queue.inputs[-1]["preset"] == "sdxl"
    assert "captions of 4 to 90 tokens, 12.5 in the middle (x/tokenizer, the trainer reads 77)" in told
    assert "1 captions are longer than that, and the rest of them is not learnt: 1.png." in told


def test_a_dataset_is_drawn_on_a_contact_sheet(
    call: Any, queue: FakeQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = {"images": 2, "videos": 0, "captions": 0, "total_bytes": 10, "problems": []}

    def page(asked: dict[str, Any]) -> dict[str, Any]:
        name, more = ("2.png", {}) if "cursor" in asked else ("1.png", {"next_cursor": "1.png"})
        return {**totals, "items": [{"name": name, "caption": "", "flags": [], "thumbnail": "data:"}], **more}

    queue.actions["dataset"] = page
    assert "Drawn: out/a.png" in call("dataset", "cats", "--contact-sheet", "out/a.png")
    assert queue.inputs[-1]["thumbnail_px"] == 256
    assert (tmp_path / "out" / "a.png").read_bytes().startswith(b"\x89PNG")
    answer = json.loads(call("dataset", "cats", "--contact-sheet", "a.webp", "--json"))
    assert answer["contact_sheets"] == ["a.webp"]
    assert [item["name"] for item in answer["items"]] == ["1.png", "2.png"]
    assert "thumbnail" not in answer["items"][0]
    asked = len(queue.inputs)
    assert "must end with .png" in call("dataset", "cats", "--contact-sheet", "a.gif", code=2)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "pip install Pillow" in call("dataset", "cats", "--contact-sheet", "a.png", code=1)
    assert len(queue.inputs) == asked


def test_an_edit_asks_for_what_its_options_say(call: Any, queue: FakeQueue) -> None:
    queue.actions["edit_dataset"] = lambda asked: {
        "training_name": "cats",
        "changed": [{"name": "1.png", "before": "a", "after": "x, a"}],
        "changed_count": 1,
        "deleted": ["2.png"],
        "renamed": {"3.png": "c.png"},
        **({"dry_run": True} if asked.get("dry_run") else {"edit_id": "edit_1"}),
    }
    options = (
        "--prepend",
        "x",
        "--regex",
        "a+",
        "b",
        "--only",
        "1.png",
        "--delete",
        "2.png",
        "--rename",
        "3.png=c.png",
    )
    told = call("edit", "cats", *options, "--caption", "4.png=new = text")
    assert {key: value for key, value in queue.inputs[-1].items() if key != "type"} == {
        "training_name": "cats",
        "operations": [
            {"op": "prepend", "text": "x", "names": ["1.png"]},
            {"op": "regex", "find": "a+", "text": "b", "names": ["1.png"]},
        ],
        "captions": {"4.png": "new = text"},
        "rename": {"3.png": "c.png"},
        "delete_names": ["2.png"],
    }
    for words in (
        "1.png: 'a' -> 'x, a'",
        "2.png: deleted",
        "renamed to c.png",
        "lorapod edit cats --undo edit_1",
    ):
        assert words in told
    assert "nothing was changed" in call("edit", "cats", "--remove", "x", "--dry-run")
    assert "--caption" in call("edit", "cats", "--caption", "no text", code=2)


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_captioning_says_what_became_of_the_images(
    call: Any, queue: FakeQueue, flags: tuple[str, ...]
) -> None:
    queue.actions["caption_dataset"] = lambda _: {
        "process_id": "caption_0123456789ab",
        "status": "completed",
        "progress": {"image": 3, "total_images": 3},
        "outcome": {"captioned": 2, "skipped": 1, "failed": [{"name": "3.png", "error": "It is gone."}]},
        "warnings": [],
    }
    options = ("--style", "tags", "--trigger", "ohwx", "--only", "1.png", "--only", "3.png", "--overwrite")
    told = call("caption", "cats", *options, *flags)
    asked = dict(queue.inputs[-1])
    assert asked.pop("idempotency_key")
    assert asked == {
        "type": "caption_dataset",
        "training_name": "cats",
        "style": "tags",
        "trigger_word": "ohwx",
        "limit_names": ["1.png", "3.png"],
        "overwrite": "all",
        "wait": True,
    }
    if flags:
        assert json.loads(told[told.index("{") :])["outcome"]["captioned"] == 2
    else:
        assert "2 captioned, 1 skipped, 1 failed" in told
        assert "3.png: It is gone." in told


def test_a_captioning_that_failed_ends_the_command_with_1(call: Any, queue: FakeQueue) -> None:
    queue.actions["caption_dataset"] = lambda _: {
        "process_id": "caption_0123456789ab",
        "status": "failed",
        "failure": {"code": "out_of_memory", "message": "Memory does not suffice.", "hint": "Less."},
    }
    assert "Memory does not suffice. Less." in call("caption", "cats", code=1)


def test_the_space_is_shown_by_kind_and_by_folder(call: Any, queue: FakeQueue) -> None:
    queue.actions["disk_usage"] = lambda _: {
        "measured_at": "2026-01-31T12:00:00.000Z",
        "complete": False,
        "parts": [{"name": "outputs", "size_bytes": 2_000_000, "files": 3}],
        "largest": [{"path": "output/train_0123456789ab", "size_bytes": 2_000_000}],
        "total_bytes": 9_000_000,
        "free_bytes": 7_000_000,
    }
    told = call("du", "--fresh")
    assert queue.inputs[-1]["max_age_s"] == 0
    for words in ("outputs", "output/train_0123456789ab", "2.0 MB", "7.0 MB free", "more than this"):
        assert words in told


def test_completion_and_version_are_there() -> None:
    runner = CliRunner()

    assert "--install-completion" in runner.invoke(app, ["--help"]).output
    assert runner.invoke(app, ["--version"]).output.strip()


def test_a_resume_may_ask_for_more_steps(call: Any, queue: FakeQueue) -> None:
    started = {"process_id": "train_0123456789ab", "status": "queued"}
    queue.states = [{"status": "COMPLETED", "output": started}]
    assert call("resume", "train_0123456789ab", "--steps", "3000").strip() == "train_0123456789ab"
    call("resume", "train_0123456789ab")
    assert queue.inputs == [
        {"type": "resume", "process_id": "train_0123456789ab", "steps": 3000},
        {"type": "resume", "process_id": "train_0123456789ab"},
    ]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("train_0123456789ab", {"process_id": "train_0123456789ab"}),
        ("train_0123456789ab:500", {"process_id": "train_0123456789ab", "step": 500}),
        ("models/loras/mine.safetensors", {"path": "models/loras/mine.safetensors"}),
    ],
)
def test_a_training_may_begin_with_a_lora(call: Any, queue: FakeQueue, given: str, sent: Any) -> None:
    queue.states = [
        {"status": "COMPLETED", "output": {"process_id": "train_0123456789ac", "status": "queued"}}
    ]
    call("train", "--preset", "sd15", "--dataset", "cat", "--start-from", given)
    assert queue.inputs[0]["start_from"] == sent


def test_a_report_of_something_else_than_a_training_is_refused(
    call: Any, queue: FakeQueue, tmp_path: Path
) -> None:
    queue.actions["process_status"] = lambda wish: {"process_id": wish["process_id"], "type": "generate"}

    told = call("report", "generate_0123456789ab", code=1)

    assert "is not a training but of type generate" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "train_0123456789ab.html"),
        (("--to", "out/cat.html"), "out/cat.html"),
        (("--to", "out"), "out/report.html"),
    ],
)
def test_a_report_is_written_where_asked(
    call: Any, queue: FakeQueue, tmp_path: Path, options: tuple[str, ...], expected: str
) -> None:
    ReportWorker(queue).add_training(steps=(0, 100))

    assert call("report", "train_0123456789ab", *options).strip() == expected
    told = json.loads(call("report", "train_0123456789ab", *options, "--json"))

    assert told == {"page": expected, "size_bytes": (tmp_path / expected).stat().st_size}


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 3)])
def test_watching_ends_with_the_training(
    call: Any, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    monkeypatch.setattr(watch, "LAST_LOOK_S", 0.0)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    ReportWorker(queue).add_training(steps=(0, 100), status=status, failure=None)

    told = call("watch", "train_0123456789ab", "--open", code=code)

    (url,) = opened
    assert url.startswith("http://127.0.0.1:")
    assert url in told
    assert "Ctrl-C" in told
    assert "rpa_made_up_key" not in told


def test_watching_a_comparison_ends_with_its_last_cells(
    call: Any, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LAST_LOOK_S", 0.0)
    monkeypatch.setattr(watch, "INTERVAL_S", 0.01)
    monkeypatch.setattr(watch, "UNSEEN_INTERVAL_S", 0.01)
    worker = ReportWorker(queue)
    worker.add_training(steps=(0, 100), side=24, points=9)
    process = worker.add_comparison(side=24)
    cells, process["cells"], process["status"] = process["cells"], process["cells"][:2], "running"
    pages: list[str] = []
    publish = LiveServer.publish

    def draw_on(server: LiveServer, page: ReportPage, *, ended: bool) -> None:
        publish(server, page, ended=ended)
        pages.append(page.html())
        done = len(process["cells"]) + 3
        process.update(cells=cells[:done], status="running" if done < len(cells) else "completed")

    monkeypatch.setattr(LiveServer, "publish", draw_on)
    call("watch", process["process_id"])

    # The base model is drawn with each prompt.
    assert [page.count("drawn by") for page in pages] == [2, 5, 8]


def test_watching_what_is_no_training_opens_no_port(call: Any, queue: FakeQueue) -> None:
    queue.actions["process_status"] = lambda wish: {"process_id": wish["process_id"], "type": "generate"}

    assert "http://" not in call("watch", "generate_0123456789ab", code=1)


def test_a_report_of_an_unknown_training_leaves_nothing(call: Any, queue: FakeQueue, tmp_path: Path) -> None:
    ReportWorker(queue)

    assert "There is no process" in call("report", "train_0123456789ab", code=1)
    assert list(tmp_path.iterdir()) == []


REFUSED = [
    {"field": "dataset.training_name", "error": "there is no dataset 'cat'"},
    {"field": "config.process[0].model.name_or_path", "error": "there is no model 'x'"},
    {"field": "config.process[0].train.lr", "error": "is not a number"},
    {"error": "two of them"},
]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_refused_training_names_the_options(call: Any, queue: FakeQueue, *, dry_run: bool) -> None:
    refused = {"warnings": [], "accepted": False, "refused": REFUSED}
    error = {"error": "The request is not valid.", "code": "invalid_input", "details": REFUSED}
    queue.actions["train"] = lambda _: refused if dry_run else error
    queue.states = [{"status": "FAILED", "error": error["error"], "output": error}]
    arguments = ["train", "--preset", "sd15", "--dataset", "cat", *(["--dry-run"] if dry_run else [])]

    told = call(*arguments, code=2)

    assert "--dataset: there is no dataset 'cat'" in told
    assert "--model: there is no model 'x'" in told
    assert "config.process[0].train.lr: is not a number" in told
    assert "training_name" in call(*arguments, "--json", code=2)


def test_a_dry_run_says_what_happened_and_what_to_do_in_options(call: Any, queue: FakeQueue) -> None:
    refused = [
        {
            "field": "dataset.training_name",
            "error": "is not there",
            "message": "There is no dataset 'cat'.",
            "hint": "Upload it with `upload_training_data`, or take `tier: 24gb`.",
        },
        {"field": "network.type", "error": "must be 'lora'"},
        {"field": "quantize.str-enum[WeightFormat]", "error": "must be 'uint4'"},
        {"field": "datasets[1]", "error": "is empty"},
        {"field": "input", "error": "is too much"},
    ]
    queue.actions["train"] = lambda _: {"warnings": [], "accepted": False, "refused": refused}
    told = call("train", "--preset", "sd15", "--dataset", "cat", "--dry-run", code=2)
    assert told.splitlines() == [
        "The worker would refuse this training.",
        "  There is no dataset 'cat'.",
        "  --dataset: is not there",
        "  --network: must be 'lora'",
        "  --quantize: must be 'uint4'",
        "  --dataset, --reg-dataset: is empty",
        "  is too much",
        "Upload it with `lorapod upload`, or take `--tier 24gb`.",
    ]


def test_a_dry_run_prints_the_config(call: Any, queue: FakeQueue) -> None:
    config = {"job": "extension", "config": {"name": "käse", "process": [{"train": {"steps": 20}}]}}
    answer = {"warnings": [], "accepted": True, "refused": [], "trainer": "builtin", "config": config}
    queue.actions["train"] = lambda _: answer
    told = call("train", "--preset", "sd15", "--dataset", "cat", "--dry-run")
    first, _, printed = told.partition("\n")
    assert first == "The request is valid; builtin would train it, with this config:"
    assert json.loads(printed) == config
    assert '"name": "käse"' in printed


def test_an_edit_of_nothing_names_the_options(call: Any, queue: FakeQueue) -> None:
    told = call("edit", "cats", code=2)
    assert all(option in told for option in ("--caption", "--prepend", "--delete", "--rename", "--undo"))
    assert not queue.inputs


def test_names_without_an_operation_are_refused(call: Any, queue: FakeQueue) -> None:
    assert "--prepend" in call("edit", "cats", "--only", "1.png", "--delete", "2.png", code=2)
    assert not queue.inputs


def test_a_copy_alone_is_an_edit(call: Any, queue: FakeQueue) -> None:
    queue.actions["edit_dataset"] = lambda _: {
        "training_name": "cats2",
        "changed": [],
        "changed_count": 0,
        "deleted": [],
        "renamed": {},
        "edit_id": "edit_1",
    }
    call("edit", "cats", "--copy", "cats2")
    assert queue.inputs[-1]["copy"] == "cats2"


def test_a_refusal_names_the_command_that_lists_a_dataset_and_an_argument_of_many(
    call: Any, queue: FakeQueue
) -> None:
    output = {
        "error": "'9.png' is not in the dataset.",
        "code": "not_found",
        "hint": "`dataset` lists the names, `datasets` the datasets.",
    }
    queue.actions["edit_dataset"] = lambda _: output
    told = call("edit", "cats", "--delete", "9.png", code=1)
    assert "`lorapod dataset` lists the names, `lorapod datasets` the datasets." in told
    queue.actions["delete"] = lambda _: {
        "error": "process_id: is not a process id.",
        "code": "invalid_input",
        "details": [{"field": "process_id", "error": "is not a process id"}],
    }
    assert call("rm", "train_x", "--dry-run", code=2).startswith("PROCESS_ID: is not a process id.")


def test_a_refusal_speaks_of_options_and_commands_and_says_nothing_twice(call: Any, queue: FakeQueue) -> None:
    output = {
        "code": "invalid_input",
        "hint": "`processes` lists them.",
        "details": [{"field": "process_id", "error": "is not a process id"}],
    }
    error = "process_id: is not a process id."
    queue.actions["process_status"] = lambda _: {"error": error, **output}
    queue.states = [{"status": "FAILED", "error": error, "output": output}]

    told = call("status", "nonsense", code=2)

    assert told.splitlines() == ["PROCESS_ID: is not a process id.", "`lorapod processes` lists them."]


def test_several_problems_are_listed_once(call: Any, queue: FakeQueue) -> None:
    problems = [("status", "is wrong"), ("limit", "is too large")]
    error = "; ".join(f"{field}: {text}" for field, text in problems) + "."
    output = {
        "code": "invalid_input",
        "details": [{"field": field, "error": text} for field, text in problems],
    }
    queue.actions["processes"] = lambda _: {"error": error, **output}
    queue.states = [{"status": "FAILED", "error": error, "output": output}]

    told = call("processes", code=2)

    assert told.splitlines() == [
        "The request has 2 problems:",
        "  --status: is wrong",
        "  --limit: is too large",
    ]


def test_what_does_not_fit_is_said_with_options(call: Any, queue: FakeQueue) -> None:
    error = {
        "error": "This training needs about 40 GB of GPU memory, and this worker's GPU has 25 GB.",
        "code": "insufficient_memory",
        "hint": "Set `tier: 24gb` (low_vram), or `config.process[0].train.batch_size: 1`; `force: true` starts it anyway.",
        "details": [{"field": "tier", "error": "24gb would fit"}],
    }
    queue.actions["train"] = lambda _: error
    queue.states = [{"status": "FAILED", "error": error["error"], "output": error}]
    told = call("train", "--preset", "flux-dev", "--tier", "48gb", "--dataset", "cat", code=1)
    assert queue.inputs[-1]["tier"] == "48gb"
    assert "force" not in queue.inputs[-1]
    assert "--tier 24gb" in told
    assert "`--force` starts it anyway" in told
    assert "`config.process[0].train.batch_size: 1`" in told

    call("train", "--preset", "flux-dev", "--force", "--dataset", "cat", code=1)
    assert queue.inputs[-1]["force"] is True


def test_knobs_are_options(call: Any, queue: FakeQueue) -> None:
    queue.actions["train"] = lambda _: {"accepted": True, "trainer": "ai-toolkit", "warnings": []}
    call(
        *("train", "--preset", "flux2-dev", "--dataset", "cat", "--reg-dataset", "animals", "--dry-run"),
        *("--optimizer", "prodigy", "--scheduler", "cosine", "--batch-size", "2", "--quantize", "uint4"),
        *("--gradient-accumulation", "4", "--caption-dropout", "0.1", "--network", "lokr", "--alpha", "8"),
        *("--low-vram", "--no-ema", "--timestep-type", "shift", "--num-frames", "1", "--control", "before"),
        *("--validation", "0.2", "--class-word", "dog"),
    )
    assert queue.inputs[-1] == {
        "type": "train",
        "dry_run": True,
        "preset": "flux2-dev",
        "datasets": [{"training_name": "cat"}, {"training_name": "animals", "is_reg": True}],
        "optimizer": "prodigy",
        "scheduler": "cosine",
        "batch_size": 2,
        "gradient_accumulation": 4,
        "caption_dropout": 0.1,
        "network": {"type": "lokr", "alpha": 8.0},
        "quantize": "uint4",
        "low_vram": True,
        "ema": False,
        "timestep_type": "shift",
        "num_frames": 1,
        "control": ["before"],
        "validation": {"share": 0.2},
        "class_word": "dog",
    }
    call("train", "--preset", "sdxl", "--dataset", "cat", "--quantize", "no", "--dry-run")
    assert queue.inputs[-1]["quantize"] is False
    assert "--reg-dataset" in call("train", "--preset", "sdxl", "--reg-dataset", "animals", code=2)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--patience", "5"], {"patience": 5}),
        (["--stop-when", "validation_loss"], {"no_better": "validation_loss"}),
        (
            ["--stop-when", "likeness", "--patience", "2", "--embedding-model", "models/dino"],
            {"no_better": "likeness", "patience": 2, "embedding_model": "models/dino"},
        ),
    ],
)
def test_an_early_stop_is_an_option(
    call: Any, queue: FakeQueue, options: list[str], field: dict[str, Any]
) -> None:
    queue.actions["train"] = lambda _: {"accepted": True, "trainer": "builtin", "warnings": []}
    call("train", "--preset", "sdxl", "--dataset", "cat", "--dry-run", *options)
    assert queue.inputs[-1]["stop_when"] == field


def test_what_an_early_stop_lacks_is_said_with_options(call: Any, queue: FakeQueue) -> None:
    wrong = call("train", "--preset", "sdxl", "--dataset", "cat", "--embedding-model", "x", code=2)
    assert "--stop-when likeness" in wrong
    hint = (
        "Send `embedding_model: facebook/dinov2-base`, or a folder in the workspace; or set EMBEDDING_MODEL."
    )
    error = {
        "error": "stop_when.embedding_model: this worker has no embedding model.",
        "code": "unsupported",
        "hint": hint,
        "details": [{"field": "stop_when.embedding_model", "error": "names no model"}],
    }
    queue.actions["train"] = lambda _: error
    queue.states = [{"status": "FAILED", "error": error["error"], "output": error}]
    told = call("train", "--preset", "sdxl", "--dataset", "cat", "--stop-when", "likeness", code=1)
    assert "--embedding-model: this worker has no embedding model." in told
    assert "--embedding-model facebook/dinov2-base" in told
    assert "stop_when" not in told


def test_unknown_keys_of_a_config(call: Any, queue: FakeQueue, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("job: extension\n")
    error = {"error": "train.stepz: unknown key.", "code": "invalid_input"}
    queue.actions["train"] = lambda _: error
    queue.states = [{"status": "FAILED", "error": error["error"], "output": error}]
    call("train", "--config", str(path), code=2)
    assert "strict" not in queue.inputs[-1]
    call("train", "--config", str(path), "--no-strict", code=2)
    assert queue.inputs[-1]["strict"] is False


def test_a_training_needs_a_preset_or_a_config(call: Any, queue: FakeQueue) -> None:
    assert "--preset" in call("train", "--dataset", "cat", code=2)
    assert not queue.inputs


def test_a_table_in_a_pipe_has_a_line_for_each_row(call: Any, queue: FakeQueue) -> None:
    path = f"output/{'long' * 60}.safetensors"
    file = {
        "path": path,
        "name": "long",
        "size_bytes": 1,
        "kind": "model",
        "modified_at": "2026-01-31T18:05:59.123Z",
    }
    queue.actions["list_files"] = lambda _: {"files": [file]}

    told = call("files")

    assert told.splitlines()[1].split() == [path, "1", "B", "model", "2026-01-31", "18:05:59"]


def test_an_empty_folder_is_named_in_one_sentence(call: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert call("upload", "empty", "cat", code=1) == "empty has no image, caption, video or zip.\n"


def test_a_config_that_is_not_text_is_named(call: Any, queue: FakeQueue, tmp_path: Path) -> None:
    (tmp_path / "cat.yaml").write_bytes(b"\x89PNG")
    told = call("train", "--config", "cat.yaml", "--dataset", "cat", code=2)
    assert "cat.yaml is not text in UTF-8" in told
    assert not queue.inputs


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_config_may_have_a_byte_order_mark(
    call: Any, queue: FakeQueue, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "cat.yaml").write_text("name: käse", encoding)
    queue.states = [{"status": "COMPLETED", "output": {"process_id": "train_0123456789ab"}}]
    call("train", "--config", "cat.yaml", "--dataset", "cat")
    assert queue.inputs[-1]["config"] == "name: käse"


@pytest.mark.parametrize(
    ("status", "told"), [("stopping", "is being stopped"), ("cancelled", "is cancelled.")]
)
def test_a_cancel_says_whether_it_is_over(call: Any, queue: FakeQueue, status: str, told: str) -> None:
    queue.actions["cancel"] = lambda _: {"process_id": "train_0123456789ab", "status": status}

    assert told in call("cancel", "train_0123456789ab")


class TestPresets:
    ANSWER: ClassVar = {
        "presets": [
            {
                "name": "flux-dev",
                "description": "FLUX.1 dev",
                "base_model": "black-forest-labs/FLUX.1-dev",
                "gated": True,
                "licence": "Non-Commercial",
                "learns": ["images"],
                "tiers": [{"name": "24gb", "gpu_memory_bytes": 24_000_000_000}],
                "trainers": ["ai-toolkit"],
                "available": False,
                "reason": "This worker has no GPU.",
            }
        ]
    }

    def test_a_table_shows_them_and_why_one_cannot_be_trained(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["list_presets"] = lambda _: self.ANSWER
        told = call("presets", "--trainer", "ai-toolkit", "--gpu-memory", "16")
        assert queue.inputs[-1] == {
            "type": "list_presets",
            "trainer": "ai-toolkit",
            "gpu_memory_bytes": 16_000_000_000,
        }
        row = next(line for line in told.splitlines() if "flux-dev" in line)
        for part in ("images", "24gb", "no", "FLUX.1 dev", "Non-Commercial (gated)"):
            assert part in row
        assert "Not here: flux-dev. This worker has no GPU." in told

    def test_a_script_gets_the_answer(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["list_presets"] = lambda _: self.ANSWER
        assert json.loads(call("presets", "--json")) == self.ANSWER

    def test_the_shell_completes_them_without_a_worker(self, queue: FakeQueue) -> None:
        assert complete_preset("flux-d") == ["flux-dev"]
        assert len(complete_preset("")) == len(PRESET_NAMES)
        assert not queue.inputs


TRANSPARENT = "1 image has transparency, which trainers see as black: a.png."
SEND_AGAIN = "Send these images again with `fix` to have copies of them converted."


def uploaded(**more: Any) -> dict[str, Any]:
    return {
        "training_name": "cat",
        "path": "training_data/cat",
        "files": [{"filename": "a.png", "received_bytes": 1}],
        "images": 1,
        "captions": 0,
        "images_without_caption": ["a.png"],
        "total_bytes": 1,
        "rejected": [],
        **more,
    }


class TestWarningsReachThePerson:
    @pytest.fixture(autouse=True)
    def _pictures(self, tmp_path: Path) -> None:
        (tmp_path / "cat").mkdir()
        (tmp_path / "cat" / "a.png").write_bytes(b"picture")

    def test_an_upload_prints_each_once_and_ends_well(self, call: Any, queue: FakeQueue) -> None:
        queue.actions["upload_training_data"] = lambda _: uploaded(
            warnings=["Folders were joined."], dataset_warnings=[TRANSPARENT, SEND_AGAIN, TRANSPARENT]
        )
        told = call("upload", "cat", "cat")
        assert told.count(TRANSPARENT) == 1
        assert "warning: Folders were joined." in told
        assert "Send these images again with `--fix`" in told

    def test_fix_is_asked_for_and_what_was_done_is_said(self, call: Any, queue: FakeQueue) -> None:
        fixed = [
            {"name": "a.png", "what": "laid on white"},
            {"name": "b.jpg", "what": "converted from HEIC", "sent_as": "b.heic"},
        ]
        queue.actions["upload_training_data"] = lambda _: uploaded(fixed=fixed)
        told = call("upload", "cat", "cat", "--fix")
        assert queue.inputs[-1]["fix"] is True
        assert "a.png: laid on white" in told
        assert "b.heic: converted from HEIC" in told

    @pytest.mark.parametrize(
        ("filename", "code"), [("b.png", 1), ("b.heic", 1), ("b.zip", 1), ("b.mp4", 1), ("b.txt", 0)]
    )
    def test_an_upload_ends_with_one_if_pictures_were_refused(
        self, call: Any, queue: FakeQueue, filename: str, code: int
    ) -> None:
        bad = {"filename": filename, "code": "invalid_input", "error": f"{filename} is damaged."}
        queue.actions["upload_training_data"] = lambda _: uploaded(rejected=[bad])
        told = call("upload", "cat", "cat", code=code)
        assert f"warning: refused: {filename} is damaged." in told
        assert "cat: 1 images" in told

    def test_a_training_prints_those_of_its_dataset(self, call: Any, queue: FakeQueue) -> None:
        dataset = {"path": "training_data/cat", "warnings": [TRANSPARENT], "fixed": []}
        answer = {"process_id": "train_0123456789ab", "status": "queued", "dataset": dataset}
        queue.states = [{"status": "COMPLETED", "output": answer}]
        assert call("train", "--preset", "sd15", "--dataset", "cat").count(TRANSPARENT) == 1

    def test_so_does_a_dry_run(self, call: Any, queue: FakeQueue) -> None:
        dataset = {"path": "training_data/cat", "warnings": [TRANSPARENT]}
        answer = {"accepted": True, "trainer": "builtin", "warnings": [TRANSPARENT], "dataset": dataset}
        queue.actions["train"] = lambda _: answer
        assert call("train", "--preset", "sd15", "--dataset", "cat", "--dry-run").count(TRANSPARENT) == 1

    def test_those_of_a_fetched_dataset_come_while_it_is_followed(self, call: Any, queue: FakeQueue) -> None:
        fixed = [{"name": "b.png", "what": "converted from GIF", "sent_as": "b.gif"}]
        process = {
            "process_id": "train_0123456789ab",
            "status": "completed",
            "progress": {"step": 1},
            "dataset": {"path": "training_data/x", "warnings": [TRANSPARENT], "fixed": fixed},
        }
        started = {"process_id": "train_0123456789ab", "status": "queued", "dataset": {"path": "x"}}
        queue.states = [{"status": "COMPLETED", "output": started}]
        queue.actions["process_status"] = lambda _: process
        arguments = ("--dataset-url", "https://example.com/cat.zip", "--fix", "--follow")
        told = call("train", "--preset", "sd15", *arguments)
        assert queue.inputs[0]["dataset"] == {"urls": ["https://example.com/cat.zip"], "fix": True}
        assert told.count(TRANSPARENT) == 1
        assert told.count("b.gif: converted from GIF") == 1

    def test_fix_of_a_dataset_on_the_worker_says_what_to_do_instead(self, call: Any) -> None:
        told = call("train", "--preset", "sd15", "--dataset", "cat", "--fix", code=2)
        assert "lorapod upload --fix" in told

    def test_inspect_prints_them_with_the_counts(self, call: Any, queue: FakeQueue) -> None:
        problem = {"code": "transparent", "message": TRANSPARENT, "names": ["a.png"]}
        looked = {**uploaded(), "videos": 2, "items": [], "problems": [problem, problem]}
        queue.actions["dataset"] = lambda _: looked
        told = call("inspect", "cat", "--resolution", "512")
        wanted = {"training_name": "cat", "thumbnail_px": 0, "limit": 1, "resolution": [512]}
        assert queue.inputs[-1] == {"type": "dataset", **wanted}
        assert told.count(TRANSPARENT) == 1
        assert "training_data/cat: 1 images, 2 videos, 0 captions, 1 B" in told

    def test_inspect_ends_with_one_if_a_file_prevents_a_training(self, call: Any, queue: FakeQueue) -> None:
        problem = {"code": "unreadable", "message": "b.png is cut off.", "names": ["b.png"]}
        queue.actions["dataset"] = lambda _: {**uploaded(), "videos": 0, "items": [], "problems": [problem]}
        assert "b.png is cut off." in call("inspect", "cat", code=1)


COMPARED = {
    "process_id": "compare_0123456789ab",
    "status": "completed",
    "progress": {"image": 2, "total_images": 2},
    "cells": [
        {"lora": "cat", "step": step, "weight": 1.0, "prompt": "a cat", "seed": 1, "path": f"{step}.png"}
        for step in (500, 1000)
    ],
    "kept": 1,
    "grid_path": "output/compare_0123456789ab/grid.png",
    "ranking": [
        {"step": 500, "weight": 1.0, "place": 1, "score": 0.5, "reasons": ["most like the dataset"]},
        {"step": 1000, "weight": 1.0, "place": 2, "score": -0.1, "reasons": ["least", "tied"]},
    ],
    "recommended": {"step": 500, "weight": 1.0},
    "warnings": ["One LoRA is left out."],
}


def test_a_comparison_asks_for_what_its_options_say_and_downloads_the_grid(
    call: Any, queue: FakeQueue, tmp_path: Path
) -> None:
    queue.actions["compare"] = lambda _: COMPARED
    queue.actions["download_file"] = lambda asked: {
        "filename": "grid.png",
        "file_path": asked["file_path"],
        "size_bytes": 4,
        "offset": 0,
        "length": 4,
        "next_offset": 4,
        "eof": True,
        "content_type": "image/png",
        "sha256": hashlib.sha256(b"grid").hexdigest(),
        "data": base64.b64encode(b"grid").decode(),
    }
    sources = ("train_0123456789ab", "models/loras/style.safetensors")
    options = (
        "--steps",
        "500,1000",
        "--prompt",
        "a cat",
        "--prompt",
        "a dog",
        "--weights",
        "0,0.8",
        "--seeds",
        "1,2",
    )

    told = call("compare", *sources, *options, "--grid", "out/cats.png")

    asked = next(dict(one) for one in queue.inputs if one["type"] == "compare")
    assert asked.pop("idempotency_key")
    assert asked == {
        "type": "compare",
        "process_ids": ["train_0123456789ab"],
        "loras": [{"path": "models/loras/style.safetensors"}],
        "steps": [500, 1000],
        "prompts": ["a cat", "a dog"],
        "weights": [0.0, 0.8],
        "seeds": [1, 2],
        "wait": True,
    }
    assert (tmp_path / "out" / "cats.png").read_bytes() == b"grid"
    for words in (
        "2 cells",
        "1 of them drawn before",
        "1. step 500",
        "most like the dataset",
        "recommended: step 500, weight 1",
        "left out",
        "cats.png",
    ):
        assert words in told

    answer = json.loads(
        call("compare", sources[0], "--steps", "last:2", "--no-score", "--json").splitlines()[-1]
    )
    assert (answer["grid"], answer["cells"]) == ("compare_0123456789ab.png", COMPARED["cells"])
    asked = [one for one in queue.inputs if one["type"] == "compare"][-1]
    assert (asked["steps"], asked["score"]) == ("last:2", False)
    assert "loras" not in asked
    assert "--weights" in call("compare", sources[0], "--weights", "much", code=2)


def test_a_comparison_that_failed_ends_with_1(call: Any, queue: FakeQueue) -> None:
    failure = {"code": "conflict", "message": "The LoRA does not fit.", "hint": "Name another model."}
    ended = {"status": "failed", "failure": failure, "cells": [], "warnings": []}
    queue.actions["compare"] = lambda _: {"process_id": COMPARED["process_id"], "progress": {}, **ended}
    assert "does not fit. Name another model." in call("compare", "train_0123456789ab", code=1)


class TestLoraTools:
    @pytest.fixture
    def asked(self, queue: FakeQueue) -> Callable[[], list[dict[str, Any]]]:
        """Each tool ends at once with a LoRA; returns what the tools were asked for."""
        process = {
            "process_id": "merge_0123456789ab",
            "type": "merge",
            "name": "new",
            "status": "completed",
            "progress": {"step": 0},
            "created_at": "2026-01-01T00:00:00Z",
            "path": "models/loras/new.safetensors",
            "rank": 8,
            "size_bytes": 2_000_000,
            "kept_energy": 0.973,
            "warnings": [],
        }
        queue.states = [{"status": "COMPLETED", "output": process}]
        queue.actions["process_status"] = lambda _: process

        def requests() -> list[dict[str, Any]]:
            asked = [request for request in queue.inputs if request["type"] != "process_status"]
            assert all(request.pop("idempotency_key") for request in asked)
            return asked

        return requests

    def test_a_merge_takes_trainings_and_files_with_weights(
        self, call: Any, asked: Callable[[], list[dict[str, Any]]]
    ) -> None:
        told = call(
            "merge",
            "train_0123456789ab:0.8",
            "models/loras/ink.safetensors",
            "--name",
            "new",
            "--method",
            "svd",
        )

        (request,) = asked()
        assert request == {
            "type": "merge_loras",
            "loras": [
                {"process_id": "train_0123456789ab", "weight": 0.8},
                {"path": "models/loras/ink.safetensors", "weight": 1.0},
            ],
            "name": "new",
            "method": "svd",
        }
        assert "models/loras/new.safetensors: rank 8, 2.0 MB, 97.3% of the change kept" in told

    def test_a_new_name_is_made_of_the_old_one(
        self, call: Any, asked: Callable[[], list[dict[str, Any]]]
    ) -> None:
        call("resize", "models/loras/ink.safetensors", "--rank", "8")
        call("resize", "train_0123456789ab", "--energy", "0.95")
        call("convert", "models/loras/ink.safetensors", "--format", "kohya")

        assert [(request["type"], request["name"]) for request in asked()] == [
            ("resize_lora", "ink-rank8"),
            ("resize_lora", "train_0123456789ab-energy0.95"),
            ("convert_lora", "ink-kohya"),
        ]

    def test_what_is_missing_is_said_by_its_option(self, call: Any) -> None:
        told = call("resize", "train_0123456789ab", code=2)
        assert "either --rank or --energy" in told
        assert "is not a number" in call("merge", "a:b", "--name", "new", code=2)


def test_a_dry_run_and_a_start_say_how_long_it_takes(call: Any, queue: FakeQueue) -> None:
    estimate = {"duration_s": 2519.0, "steps_per_s": 0.5, "basis": "measured on this GPU", "explanation": "x"}
    rehearsed = {
        "warnings": [],
        "accepted": True,
        "trainer": "ai-toolkit",
        "refused": [],
        "estimate": estimate,
    }
    queue.actions["train"] = lambda _: rehearsed
    told = call("train", "--preset", "sd15", "--dataset", "cat", "--dry-run")
    unpriced = (
        "takes about 42 min (measured on this GPU). No price is known. No endpoint of RunPod is named. Give one with "
        "--price-per-hour DOLLARS."
    )
    assert told.splitlines()[-1] == unpriced

    unknown = {**rehearsed, "estimate": {"explanation": "No training of sd1 was measured on X yet."}}
    queue.actions["train"] = lambda _: unknown
    told = call("train", "--preset", "sd15", "--dataset", "cat", "--dry-run")
    assert told.splitlines()[-1] == "no estimate: No training of sd1 was measured on X yet."

    started = {"process_id": "train_0123456789ab", "status": "queued", "estimate": estimate}
    queue.states = [{"status": "COMPLETED", "output": started}]
    told = call("train", "--preset", "sd15", "--dataset", "cat")
    assert set(told.splitlines()) == {"train_0123456789ab", unpriced}
