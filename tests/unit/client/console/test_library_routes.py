"""The library and the playground over HTTP: what a look costs, what a press asks, and what stays on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.report_worker import ReportWorker
from tests.running_console import RunningConsole, running_console
from tests.unit.client.conftest import KEY
from tests.unit.client.console.test_console_server import HttpCaller

from lorapod.client import Client
from lorapod.client.console import known_generations
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.known_generations import KnownGenerations
from lorapod.testing.fake_queue import FakeQueue

TRAINING = "train_0123456789ab"
FINAL = f"output/{TRAINING}/cat/cat.safetensors"
MERGED = "models/loras/cat-in-ink.safetensors"
GETS = (
    "/library",
    "/playground",
    "/api/library",
    f"/api/library/model?path={MERGED}",
    "/api/playground",
    "/api/playground/history",
)


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    worker.add_training(TRAINING, steps=(0, 500, 1500), prompts=("a cat",))
    worker.add_models()
    return worker


@pytest.fixture
def console(queue: FakeQueue, worker: ReportWorker, tmp_path: Path) -> Iterator[RunningConsole]:
    with running_console(Client("https://runpod.test/v2/fake/", KEY, http=queue), tmp_path) as console:
        console.learn(*worker.processes)
        queue.requests.clear()
        yield console


@pytest.fixture
def caller(console: RunningConsole) -> HttpCaller:
    caller = HttpCaller(console=console)
    caller.open()
    return caller


def post(caller: HttpCaller, path: str, /, **body: Any) -> dict[str, Any]:
    """Press a button, and wait until nothing is under way."""
    response = caller.send(path, method="POST", body=body)
    answer: dict[str, Any] = json.loads(caller.text)
    assert response.status in {200, 202}, answer
    caller.console.wait_for_asks()
    return answer


def drawn(queue: FakeQueue, worker: ReportWorker, **fields: Any) -> None:
    """Let the next job that is looked at be a generation that ended."""
    queue.states = [
        {
            "status": "COMPLETED",
            "output": worker.generation(side=32, **fields),
            "delayTime": 9000,
            "executionTime": 21000,
        }
    ]


class TestLibrary:
    def test_a_look_asks_no_worker_and_no_answer_holds_the_key(
        self, caller: HttpCaller, queue: FakeQueue
    ) -> None:
        post(caller, "/api/library/list")
        queue.requests.clear()

        for path in GETS:
            assert caller.send(path).status == 200
        assert queue.requests == []
        assert KEY not in str(caller.answers)

    def test_a_card_tells_what_the_training_told(self, caller: HttpCaller, worker: ReportWorker) -> None:
        worker.models[FINAL]["base_model"] = "sdxl_base_v1-0"
        post(caller, "/api/library/list")
        shown = {one["path"]: one for one in caller.json("/api/library")["models"]}

        assert shown[FINAL]["training"] == "cat"
        assert shown[FINAL]["base_model"] == "stabilityai/stable-diffusion-xl-base-1.0"
        assert (shown[FINAL]["rank"], shown[FINAL]["step"]) == (16, 1500)
        assert shown[FINAL]["trigger_words"] == ["mycat"]
        early = shown[FINAL.replace("cat.safetensors", "cat_000000500.safetensors")]
        # A checkpoint is shown by a sample that it, or an earlier one, has drawn.
        assert early["picture"]
        assert early["picture"] != shown[FINAL]["picture"]
        assert shown[MERGED]["picture"] is None

    def test_a_card_is_read_and_edited(self, caller: HttpCaller, worker: ReportWorker) -> None:
        post(caller, "/api/library/list")
        post(caller, "/api/library/ask", model=MERGED)
        post(caller, "/api/library/edit", model=MERGED, title="<b>New</b>", tags=["x"])

        view = caller.json(f"/api/library/model?path={MERGED}")
        assert view["card"]["training"]["images"] == 24
        assert (view["model"]["title"], view["model"]["tags"]) == ("<b>New</b>", ["x"])
        assert worker.models[MERGED]["title"] == "<b>New</b>"
        assert (
            caller.send("/api/library/edit", method="POST", body={"model": MERGED, "path": "x"}).status == 400
        )

    def test_a_deleted_model_is_gone_from_the_list(self, caller: HttpCaller, worker: ReportWorker) -> None:
        post(caller, "/api/library/list")
        post(caller, "/api/library/delete", model=MERGED)

        assert MERGED not in worker.models
        assert MERGED not in {one["path"] for one in caller.json("/api/library")["models"]}
        assert caller.send(f"/api/library/model?path={MERGED}").status == 404

    def test_a_new_lora_is_followed_to_its_end_and_appears(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        made = {
            "process_id": "merge_0123456789ab",
            "status": "completed",
            "path": "models/loras/new.safetensors",
        }
        queue.states = [
            {"status": "IN_PROGRESS", "output": {**made, "status": "running", "progress": {"step": 1}}},
            {"status": "COMPLETED", "output": made},
        ]
        post(caller, "/api/library/list")
        worker.add_model(made["path"], name="new", kind="lora")
        post(caller, "/api/library/merge_loras", name="new", loras=[{"path": MERGED, "weight": 0.5}])

        view = caller.json("/api/library")
        assert view["making"]["answer"]["path"] == made["path"]
        assert made["path"] in {one["path"] for one in view["models"]}
        sent = next(one for one in queue.inputs if one["type"] == "merge_loras")
        assert sent["loras"] == [{"path": MERGED, "weight": 0.5}]

    def test_a_tool_that_fails_says_why(self, caller: HttpCaller, queue: FakeQueue) -> None:
        failure = {
            "code": "invalid_input",
            "message": "The LoRAs have other base models.",
            "hint": "Take others.",
        }
        ended = {"process_id": "resize_0123456789ab", "status": "failed", "failure": failure}
        queue.states = [{"status": "COMPLETED", "output": ended}]
        post(caller, "/api/library/resize_lora", name="new", path=MERGED, rank=4)

        problem = caller.json("/api/library")["making"]["problem"]
        assert (problem["error"], problem["hint"]) == (failure["message"], failure["hint"])

    @pytest.mark.parametrize("action", ["train", "delete_all", "download_file"])
    def test_no_other_action_passes(self, caller: HttpCaller, queue: FakeQueue, action: str) -> None:
        assert caller.send(f"/api/library/{action}", method="POST", body={"model": MERGED}).status in {
            404,
            405,
        }
        assert queue.inputs == []

    def test_a_download_is_of_a_known_model_and_good_once(
        self, caller: HttpCaller, worker: ReportWorker
    ) -> None:
        worker.files |= {MERGED: b"weights", "processes/secret": b"no"}
        post(caller, "/api/library/list")
        url = post(caller, "/api/library/download", model=MERGED)["url"]

        assert caller.send(url).status == 200
        assert caller.content == b"weights"
        assert caller.send(url).status == 404
        assert (
            caller.send("/api/library/download", method="POST", body={"model": "processes/secret"}).status
            == 404
        )


class TestPlayground:
    def test_it_offers_the_checkpoints_and_the_models(self, caller: HttpCaller) -> None:
        post(caller, "/api/library/list")
        form = caller.json("/api/playground")

        (training,) = form["trainings"]
        assert [saved["step"] for saved in training["checkpoints"]] == [500, 1000, 1500]
        assert training["base_model"] == "stabilityai/stable-diffusion-xl-base-1.0"
        assert MERGED in {one["path"] for one in form["models"]}

    def test_what_was_drawn_stays_with_its_images(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker, tmp_path: Path
    ) -> None:
        drawn(queue, worker, count=2)
        wanted = {"prompt": "a mycat", "num_images": 2, "loras": [{"path": FINAL, "weight": 0.8}]}
        post(caller, "/api/playground/generate", **wanted, seed="", negative_prompt="")
        (sent,) = [one for one in queue.inputs if one["type"] == "generate"]
        queue.actions.clear()
        assert {name: sent[name] for name in wanted} == wanted
        assert "seed" not in sent

        with running_console(Client("https://runpod.test/v2/fake/", KEY, http=queue), tmp_path) as again:
            other = HttpCaller(console=again)
            other.open()
            (entry,) = other.json("/api/playground/history")["history"]
            assert (entry["status"], entry["seed"], entry["took_s"]) == ("completed", 7, 30.0)
            assert entry["request"] == wanted
            assert [image["seed"] for image in entry["images"]] == [7, 8]
            for image in entry["images"]:
                assert (
                    other.send(f"/api/contents/{image['picture']}").getheader("Content-Type") == "image/png"
                )

    @pytest.mark.parametrize(
        ("field", "value", "problem"),
        [
            ("steps", "many", "must be a valid integer"),
            ("width", 3, "greater than or equal to 16"),
            ("prompt", "  ", "is empty"),
            ("workflow", {}, "is not a field of the playground"),
            ("loras", [{"path": FINAL, "weight": 99}], "less than or equal to 10"),
        ],
    )
    def test_what_is_wrong_is_said_here_and_asks_no_worker(
        self, caller: HttpCaller, queue: FakeQueue, field: str, value: Any, problem: str
    ) -> None:
        body = {"prompt": "a cat", field: value}
        assert caller.send("/api/playground/generate", method="POST", body=body).status == 200

        (detail,) = json.loads(caller.text)["problems"]
        assert detail["field"].split(".")[0] == field
        assert problem in detail["error"]
        assert queue.inputs == []

    def test_a_generation_that_failed_stays_with_its_reason(
        self, caller: HttpCaller, queue: FakeQueue
    ) -> None:
        queue.states = [{"status": "FAILED", "error": "The GPU's memory does not suffice."}]
        post(caller, "/api/playground/generate", prompt="a cat")

        view = caller.json("/api/playground/history")
        assert view["ask"]["problem"]["error"] == "The GPU's memory does not suffice."
        (entry,) = view["history"]
        assert (entry["status"], entry["problem"]["error"]) == (
            "failed",
            "The GPU's memory does not suffice.",
        )
        post(caller, "/api/playground/forget", job_id=entry["job_id"])
        assert caller.json("/api/playground/history")["history"] == []

    def test_one_that_was_under_way_is_taken_up_without_a_new_job(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        caller.console.parts.generations.begin("job-1", {"prompt": "a cat"})
        drawn(queue, worker)
        caller.json("/api/playground/history")
        caller.console.wait_for_asks()

        (entry,) = caller.json("/api/playground/history")["history"]
        assert (entry["status"], len(entry["images"])) == ("completed", 1)
        assert queue.inputs == []

    def test_stop_cancels_the_job(self, caller: HttpCaller, queue: FakeQueue) -> None:
        queue.states = [{"status": "IN_PROGRESS", "output": {"progress": {"percent": 40.4}}}]
        assert caller.send("/api/playground/generate", method="POST", body={"prompt": "a cat"}).status == 202
        caller.console.wait_until(lambda: caller.json("/api/playground/history")["ask"]["done"] == 40)
        assert post_only(caller, "/api/playground/stop") == {"stopped": True}
        queue.states = [{"status": "CANCELLED"}]
        caller.console.wait_for_asks()

        assert queue.requests[-1].url.path.endswith("/status/job-1")
        assert any(request.url.path.endswith("/cancel/job-1") for request in queue.requests)
        assert caller.json("/api/playground/history")["history"][0]["status"] == "failed"
        assert post_only(caller, "/api/playground/stop") == {"stopped": False}

    def test_the_history_is_bounded(self, tmp_path: Path) -> None:
        kept = KnownGenerations(DiskCache(tmp_path / "cache"))
        for number in range(known_generations.MOST + 3):
            kept.begin(f"job-{number:04}", {"prompt": str(number)})

        assert len(kept.all()) == known_generations.MOST
        assert kept.get("job-0000") is None
        kept.add("job-0000", status="completed")
        assert kept.get("job-0000") is None


def post_only(caller: HttpCaller, path: str) -> dict[str, Any]:
    assert caller.send(path, method="POST", body={}).status == 200
    answer: dict[str, Any] = json.loads(caller.text)
    return answer
