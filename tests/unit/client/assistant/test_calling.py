from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from tests.unit.client.conftest import KEY

from lorapod.client import Client, JobFailed, RetryPolicy
from lorapod.client.assistant import calling
from lorapod.client.assistant.calling import ToolCalls, error_text
from lorapod.client.assistant.tool_list import action_tools, chosen_tools
from lorapod.testing.fake_queue import FakeQueue

PNG = base64.b64encode(b"\x89PNG made up").decode()
TOOLS = action_tools()
PROCESS = {"process_id": "train_0123456789ab", "status": "running", "progress": {}}


@pytest.fixture
def both(queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of an endpoint and its front door, without waits."""
    for name in ("_POLL_FIRST_S", "INTERVAL_S"):
        monkeypatch.setattr(calling, name, 0.001)
    queue.actions["download_file"] = lambda asked: {
        "file_path": asked["file_path"],
        "content_type": "image/png",
        "data": PNG,
        "eof": True,
    }
    with Client(
        "https://runpod.test/v2/gpu",
        KEY,
        front_door="https://runpod.test/v2/door",
        retries=RetryPolicy(attempts=1),
        http=queue,
    ) as client:
        yield client


async def quiet(_percent: float, _message: str) -> None:
    """Report nothing."""


def samples(step: int) -> list[dict[str, Any]]:
    return [
        {"path": f"output/s{step}_{index}.{suffix}", "step": step, "index": index}
        for index, suffix in enumerate(("png", "jpg", "mp4"))
    ]


async def test_the_newest_samples_come_as_images_each_once(both: Client, queue: FakeQueue) -> None:
    calls = ToolCalls(both)
    states = [samples(100) + samples(200), samples(100) + samples(200), samples(300)]
    queue.actions["process_status"] = lambda _: {**PROCESS, "samples": states.pop(0)}

    first, again, later = [
        await calls.call(TOOLS["process_status"], {"process_id": "train_0123456789ab"}, quiet)
        for _ in range(3)
    ]

    assert [len(each.images) for each in (first, again, later)] == [2, 0, 2]
    asked = [wish["file_path"] for wish in queue.inputs if wish["type"] == "download_file"]
    assert asked == ["output/s200_0.png", "output/s200_1.jpg", "output/s300_0.png", "output/s300_1.jpg"]
    assert all("/v2/door/" in request.url.path for request in queue.requests)


async def test_a_comparison_shows_its_grid(both: Client, queue: FakeQueue) -> None:
    queue.actions["process_status"] = lambda _: {**PROCESS, "grid_path": "output/grid.png"}

    shown = await ToolCalls(both).call(TOOLS["process_status"], {"process_id": "compare_0123456789ab"}, quiet)

    assert [image.data for image in shown.images] == [PNG]


async def test_an_image_that_cannot_be_fetched_costs_no_answer(both: Client, queue: FakeQueue) -> None:
    queue.actions["process_status"] = lambda _: {**PROCESS, "grid_path": "output/gone.png"}
    queue.actions["download_file"] = lambda _: {"error": "gone", "code": "not_found"}

    shown = await ToolCalls(both).call(TOOLS["process_status"], {"process_id": "compare_0123456789ab"}, quiet)

    assert shown.images == []
    assert shown.answer["grid_path"] == "output/gone.png"


async def test_a_start_keeps_its_job_open_and_answers_at_once(both: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "IN_QUEUE"}, {"status": "IN_PROGRESS", "output": PROCESS}]

    shown = await ToolCalls(both).call(TOOLS["train"], {"preset": "sdxl", "wait": False}, quiet)

    assert shown.answer.items() >= PROCESS.items()
    (sent,) = queue.inputs
    assert "wait" not in sent, "RunPod's workers end soon after their last job"
    assert sent["idempotency_key"]
    body = json.loads(queue.requests[0].content)
    assert body["policy"]["executionTimeout"] >= 86_400_000
    assert queue.requests[0].url.path == "/v2/gpu/run"


async def test_with_wait_it_answers_at_the_end_with_progress(both: Client, queue: FakeQueue) -> None:
    told: list[tuple[float, str]] = []

    async def note(percent: float, message: str) -> None:
        told.append((percent, message))

    queue.states = [{"status": "IN_PROGRESS", "output": PROCESS}]
    percents = [10.0, 10.0, 5.0, 60.0]

    def status(_: dict[str, Any]) -> dict[str, Any]:
        if not percents:
            return {
                **PROCESS,
                "status": "failed",
                "failure": {"code": "out_of_memory", "message": "Too large."},
            }
        progress = {"percent": percents.pop(0), "step": 6, "total_steps": 10, "loss": 0.12345}
        return {**PROCESS, "phase": "training", "progress": progress}

    queue.actions["process_status"] = status

    shown = await ToolCalls(both).call(TOOLS["train"], {"preset": "sdxl", "wait": True}, note)

    assert told == [
        (10.0, "training, step 6 of 10, loss 0.1235"),
        (60.0, "training, step 6 of 10, loss 0.1235"),
    ]
    assert shown.answer["failure"]["code"] == "out_of_memory"


async def test_a_dry_run_starts_nothing(both: Client, queue: FakeQueue) -> None:
    queue.actions["train"] = lambda _: {"accepted": True}

    shown = await ToolCalls(both).call(TOOLS["train"], {"preset": "sdxl", "dry_run": True}, quiet)

    assert shown.answer == {"accepted": True}
    assert queue.requests[0].url.path == "/v2/gpu/runsync"


async def test_a_job_without_an_end_yet_is_asked_for_again(both: Client, queue: FakeQueue) -> None:
    queue.slow = True
    queue.states = [{"status": "IN_PROGRESS"}, {"status": "COMPLETED", "output": {"processes": []}}]

    shown = await ToolCalls(both).call(TOOLS["processes"], {}, quiet)

    assert shown.answer == {"processes": []}


async def test_what_the_volume_can_answer_asks_no_worker(queue: FakeQueue) -> None:
    class Reading(Client):
        """Stands for a client with the volume's keys."""

        def needs_no_worker(self, action: str, _fields: Mapping[str, Any]) -> bool:
            return action == "logs"

        def call(self, action: str, /, **fields: Any) -> dict[str, Any]:
            return {"read": action, **fields}

    with Reading("https://runpod.test/v2/gpu", http=queue) as client:
        shown = await ToolCalls(client).call(TOOLS["logs"], {"process_id": "train_0123456789ab"}, quiet)

    assert shown.answer == {"read": "logs", "process_id": "train_0123456789ab"}
    assert queue.requests == []


async def test_an_argument_is_no_setting_of_the_queue(both: Client, queue: FakeQueue) -> None:
    queue.actions["logs"] = lambda wish: {"got": wish}

    shown = await ToolCalls(both).call(TOOLS["logs"], {"policy": {"ttl": 1}, "timeout_s": 0}, quiet)

    assert shown.answer == {"got": {"type": "logs", "policy": {"ttl": 1}, "timeout_s": 0}}
    assert "policy" not in json.loads(queue.requests[0].content)


async def test_an_error_has_code_hint_and_every_problem(both: Client, queue: FakeQueue) -> None:
    details = [{"field": "stesp", "error": "unknown field, did you mean 'steps'?"}]
    queue.trouble = [
        httpx.Response(
            200,
            json={
                "id": "job-1",
                "status": "FAILED",
                "error": "Wrong.",
                "output": {"code": "invalid_input", "hint": "Look.", "details": details},
            },
        )
    ]

    with pytest.raises(JobFailed) as caught:
        await ToolCalls(both).call(TOOLS["edit_model"], {"model": "cat", "type": "delete"}, quiet)

    assert queue.inputs[0]["type"] == "edit_model", "an argument cannot choose another action"
    assert json.loads(error_text(caught.value)) == {
        "error": "Wrong.",
        "code": "invalid_input",
        "hint": "Look.",
        "details": details,
    }


def test_what_may_end_or_overwrite_work_is_marked() -> None:
    assert {name for name, tool in TOOLS.items() if tool.destroys} == {
        *("delete", "cancel", "edit_dataset", "edit_model", "upload_training_data", "download_model"),
        *("caption_dataset", "publish_model"),
    }
    assert not [
        name for name, tool in TOOLS.items() if tool.reads_only and (tool.destroys or tool.starts_process)
    ]
    assert {"train", "resume", "delete"}.isdisjoint(tool.name for tool in chosen_tools(read_only=True))
    assert {"health", "process_status", "dataset"} <= {tool.name for tool in chosen_tools(read_only=True)}


def test_a_tool_takes_the_action_s_fields_without_its_type() -> None:
    schema = TOOLS["process_status"].input_schema

    assert schema["required"] == ["process_id"]
    assert "type" not in schema["properties"]
    assert schema["properties"]["log_tail"]["description"]
