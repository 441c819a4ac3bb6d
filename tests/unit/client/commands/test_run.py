"""`lorapod run`: every stage once, wherever it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.unit.client.commands.run_worker import RunWorker
from typer.testing import CliRunner

from lorapod.client import Client, RetryPolicy
from lorapod.client.cli import app
from lorapod.client.commands import run_results
from lorapod.client.commands.session import Connection
from lorapod.client.lora_run.state import RunProgress
from lorapod.client.money.price_book import PriceLookup

#: Made once: it takes longer than most of these calls.
COMMAND = typer.main.get_command(app)
RUN = ("run", "my-pictures", "--trigger", "mycat", "--preset", "sdxl")
#: The number of the request that uploads the images.
UPLOAD = 2
ALL = ["upload my-pictures", "caption", "train", "compare"]


@pytest.fixture
def worker() -> RunWorker:
    return RunWorker()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command is called in, with images of which one has no caption."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "my-pictures").mkdir()
    for name in ("1.png", "2.png", "1.txt"):
        (tmp_path / "my-pictures" / name).write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def call(worker: RunWorker, here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the command; what it printed. It must end with `code`."""

    def client(_self: Connection) -> Client:
        retries = RetryPolicy(attempts=2, first_wait_s=0.001)
        return Client("https://runpod.test/v2/fake/", "key", retries=retries, http=worker)

    def draw(_client: Client, ids: Sequence[str], target: Path, _prices: PriceLookup) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(" ".join(ids))

    monkeypatch.setattr("typer.testing._get_command", lambda _app: COMMAND)
    monkeypatch.setattr(Connection, "client", client)
    monkeypatch.setattr(run_results, "write_report", draw)

    def run(*more: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, [*RUN, *more], env={"COLUMNS": "200"})
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def results(folder: Path) -> Mapping[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_becomes_a_lora(call: Any, worker: RunWorker, here: Path) -> None:
    done = call()

    assert worker.begun == ALL
    assert done.stdout == f"{here}/my-pictures-lora/cat_4.safetensors\n"
    assert "step 4 (recommended: most like the dataset)" in done.stderr
    training, comparison = worker.processes["train_000000000001"], worker.processes["compare_000000000001"]
    assert results(here / "my-pictures-lora") == {
        "cat_4.safetensors": f"the content of {training['checkpoints'][1]['path']}",
        "comparison.png": f"the content of {comparison['grid_path']}",
        "report.html": "train_000000000001 compare_000000000001",
    }
    sent = next(wish for wish in worker.inputs if wish["type"] == "train" and not wish.get("dry_run"))
    assert sent["dataset"] == {"training_name": "my-pictures"}
    assert (sent["preset"], sent["trigger_word"]) == ("sdxl", "mycat")


def test_it_is_done_once_wherever_it_was_stopped(
    call: Any, worker: RunWorker, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call()
    requests = len(worker.requests)
    expected = results(here / "my-pictures-lora")
    assert requests > 10

    begins = {"upload_training_data", "caption_dataset", "train", "compare"}
    stops = [(number, False) for number in range(1, requests + 1)]
    # The worker has begun it, and the answer does not arrive.
    stops += [(number, True) for number, wish in enumerate(worker.inputs, 1) if wish["type"] in begins]
    for number, after in stops:
        # With notes of its own, as if for the first time.
        worker.__init__()  # type: ignore[misc]
        worker.stop_at, worker.stop_after = number, after
        place = here / f"to-{number}-{after}"
        monkeypatch.setenv("XDG_STATE_HOME", str(here / f"state-{number}-{after}"))
        stopped = call("--to", str(place), code=130)
        call("--to", str(place))

        assert "Run the same command again to continue" in stopped.stderr
        assert [each for each in worker.begun if not each.startswith("upload")] == ALL[1:]
        # An upload whose answer was not read is sent again; it has the same files.
        assert worker.begun.count("upload my-pictures") == (2 if (number, after) == (UPLOAD, True) else 1)
        assert results(place) == expected


def test_it_asks_no_worker_once_all_is_done(call: Any, worker: RunWorker, here: Path) -> None:
    first = call()
    asked = len(worker.requests)

    again = call()

    assert again.stdout == first.stdout
    assert len(worker.requests) == asked


def test_it_goes_on_without_its_own_notes(call: Any, worker: RunWorker, here: Path) -> None:
    """Another machine, or a file that was deleted: the worker's records say what was done."""
    call()
    for path in (here / "state" / "lorapod" / "runs").iterdir():
        path.write_text("{ not json")

    call()

    assert [each for each in worker.begun if not each.startswith("upload")] == ALL[1:]


class TestWhatHappenedMeanwhile:
    def test_a_training_that_was_deleted_is_trained_again(
        self, call: Any, worker: RunWorker, here: Path
    ) -> None:
        worker.stop_at = 12
        call(code=130)
        (gone,) = [each for each in worker.processes if each.startswith("train_")]
        del worker.processes[gone]

        done = call()

        assert f"{gone} is gone from the worker" in done.stderr
        assert worker.begun.count("train") == 2
        assert worker.begun.count("caption") == 1

    @pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted"])
    def test_a_training_that_ended_early_is_resumed(self, call: Any, worker: RunWorker, status: str) -> None:
        worker.status = status

        ended = call(code=3)
        call()

        assert "Run the same command again to continue." in ended.stderr
        assert worker.begun == [*ALL[:3], "resume train", "compare"]

    def test_a_training_that_reached_its_limit_is_done(self, call: Any, worker: RunWorker) -> None:
        begin = worker._process

        def limited(kind: str, process_id: str, wish: dict[str, Any]) -> dict[str, Any]:
            early = {"status": "cancelled", "reason": "limit"} if kind == "train" else {}
            return begin(kind, process_id, wish) | early

        worker._process = limited  # type: ignore[method-assign]

        call()

        assert worker.begun == ALL

    def test_a_dataset_that_was_deleted_is_sent_again(self, call: Any, worker: RunWorker) -> None:
        worker.stop_at = 5
        call(code=130)
        worker.datasets.clear()

        call()

        assert worker.begun == [ALL[0], *ALL]


class TestTheFolderChanged:
    def test_new_images_are_added_and_trained_on(self, call: Any, worker: RunWorker, here: Path) -> None:
        call()
        (here / "my-pictures" / "3.png").write_bytes(b"3.png")

        done = call()

        assert set(worker.datasets) == {"my-pictures"}
        assert worker.begun == [*ALL, *ALL]
        assert done.stdout == f"{here}/my-pictures-lora-2/cat_4.safetensors\n"

    def test_a_dataset_never_keeps_images_that_are_gone(
        self, call: Any, worker: RunWorker, here: Path
    ) -> None:
        call()
        (here / "my-pictures" / "1.png").unlink()

        done = call()

        assert "that dataset is not changed" in done.stderr
        assert [name for name in worker.datasets["my-pictures-2"] if name.endswith(".png")] == ["2.png"]
        assert "1.png" in worker.datasets["my-pictures"]

    def test_another_persons_dataset_is_not_mixed_with_it(
        self, call: Any, worker: RunWorker, here: Path
    ) -> None:
        worker.datasets["my-pictures"] = {"dog.png": b"a dog"}

        call()
        refused = call("--dataset", "my-pictures", code=2)

        assert worker.datasets["my-pictures"] == {"dog.png": b"a dog"}
        assert set(worker.datasets["my-pictures-2"]) == {"1.png", "1.txt", "2.png", "2.txt"}
        assert "choose another name" in refused.stderr

    def test_other_options_are_another_training_of_the_same_dataset(
        self, call: Any, worker: RunWorker
    ) -> None:
        call()
        call("--steps", "100")
        call()

        assert worker.begun == [*ALL, "train", "compare"]


class TestCaptions:
    def test_they_can_be_left_out(self, call: Any, worker: RunWorker) -> None:
        done = call("--no-caption")

        assert worker.begun == [ALL[0], *ALL[2:]]
        assert "1 image has no caption, and gets none" in done.stderr

    def test_they_can_be_wanted_later(self, call: Any, worker: RunWorker) -> None:
        call("--no-caption")
        call("--caption")

        assert worker.begun.count("caption") == 1
        assert worker.begun.count("train") == 2

    @pytest.mark.parametrize(("typed", "captioned"), [("y\n", 1), ("n\n", 0)])
    def test_a_person_is_asked_once(
        self, call: Any, worker: RunWorker, monkeypatch: pytest.MonkeyPatch, typed: str, captioned: int
    ) -> None:
        asked: list[str] = []

        def confirm(text: str, **_: Any) -> bool:
            asked.append(text)
            return typed == "y\n"

        monkeypatch.setattr("typer.confirm", confirm)
        monkeypatch.setattr("lorapod.client.commands.run_screen.is_interactive", lambda: True)
        worker.stop_at = 8
        call(code=130)
        call()
        call()

        (question,) = asked
        assert "1 image has no caption" in question
        assert worker.begun.count("caption") == captioned

    def test_a_worker_without_a_model_says_how_to_go_on(self, call: Any, worker: RunWorker) -> None:
        worker.actions["caption_dataset"] = lambda _: {"error": "There is no model.", "code": "not_found"}

        refused = call(code=1)

        assert "There is no model." in refused.stderr
        assert "--no-caption" in refused.stderr
        assert "train" not in worker.begun


class TestWithoutScores:
    def test_the_last_checkpoint_is_taken_and_it_says_why(
        self, call: Any, worker: RunWorker, here: Path
    ) -> None:
        worker.scores = False

        done = call()

        assert done.stdout.endswith("cat_6.safetensors\n")
        assert "warning: The cells have no scores." in done.stderr
        assert "step 6 (the last" in done.stderr

    def test_an_engine_that_is_missing_ends_nothing(self, call: Any, worker: RunWorker) -> None:
        worker.actions["compare"] = lambda _: {"error": "There is no engine.", "code": "unsupported"}

        done = call()

        assert "the checkpoints are not compared: There is no engine." in done.stderr
        assert done.stdout.endswith("cat_6.safetensors\n")


def test_a_disk_that_takes_no_notes_ends_nothing(call: Any, worker: RunWorker, here: Path) -> None:
    (here / "state").write_text("a file in the place of the folder")

    done = call()
    call("--to", "elsewhere")

    assert done.stderr.count("what is done cannot be noted") == 1
    assert [each for each in worker.begun if not each.startswith("upload")] == ALL[1:]


class TestBudget:
    def test_it_is_kept_by_the_worker_and_is_the_same_run(self, call: Any, worker: RunWorker) -> None:
        worker.status = "interrupted"
        call("--max-cost", "5", "--price-per-hour", "2", code=3)
        call("--max-time", "3h")

        asked = [wish for wish in worker.inputs if wish["type"] == "train" and not wish.get("dry_run")]
        assert asked[0]["limits"]["duration_s"] == 9000.0
        assert worker.begun == [*ALL[:3], "resume train", "compare"]

    def test_an_end_by_the_budget_says_how_to_go_on(self, call: Any, worker: RunWorker) -> None:
        begin = worker._process

        def limited(kind: str, process_id: str, wish: dict[str, Any]) -> dict[str, Any]:
            early = {"status": "cancelled", "reason": "limit", "resumable": True} if kind == "train" else {}
            return begin(kind, process_id, wish) | early

        worker._process = limited  # type: ignore[method-assign]

        done = call("--max-time", "3h")

        assert "It has reached its limit. `lorapod resume train_000000000001` continues it." in done.stderr


@pytest.mark.parametrize(
    ("checkpoint", "named"),
    [
        ("output/train_1/my cat/my cat.safetensors", "train_1"),
        (
            "output/train_1/my cat/my cat_000000500.safetensors",
            "'output/train_1/my cat/my cat_000000500.safetensors'",
        ),
    ],
)
def test_the_next_command_names_the_chosen_checkpoint(checkpoint: str, named: str) -> None:
    assert run_results.as_lora(RunProgress(training="train_1", checkpoint=checkpoint)) == named


class TestOpening:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        urls: list[str] = []
        monkeypatch.setattr("webbrowser.open", urls.append)
        return urls

    def test_without_a_terminal_nothing_is_opened(self, call: Any, opened: list[str]) -> None:
        call()

        assert opened == []

    @pytest.mark.parametrize(("variables", "expected"), [({"DISPLAY": ":0"}, True), ({}, False)])
    def test_over_ssh_no_browser_takes_the_terminal(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, expected: bool
    ) -> None:
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.platform", "linux")

        assert run_results.has_browser() is expected


def test_a_script_gets_one_object(call: Any, here: Path) -> None:
    done = call("--json")

    answer = json.loads(done.stdout)
    assert (answer["process_id"], answer["step"], answer["recommended"]) == ("train_000000000001", 4, True)
    assert answer["lora"] == f"{here}/my-pictures-lora/cat_4.safetensors"


def test_results_in_the_folder_of_the_images_are_refused(call: Any, worker: RunWorker) -> None:
    refused = call("--to", "my-pictures/out", code=2)

    assert "--to" in refused.stderr
    assert worker.requests == []


def test_a_refused_training_costs_nothing(call: Any, worker: RunWorker) -> None:
    refusal = {
        "accepted": False,
        "warnings": [],
        "refused": [{"field": "preset", "error": "did you mean 'sdxl'?"}],
    }
    worker.actions["train"] = lambda _: refusal

    refused = call(code=2)

    assert "--preset: did you mean 'sdxl'?" in refused.stderr
    assert worker.begun == ALL[:1]
