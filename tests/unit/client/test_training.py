from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from lorapod.actions.registry import ACTIONS
from lorapod.client import Client, EndpointError, InvalidInputError, ProcessEnded, WaitTimeout
from lorapod.testing.fake_queue import FakeQueue

PROCESS = "train_0123456789ab"


def process(status: str, **more: Any) -> dict[str, Any]:
    """A process as the first release of the worker answered it."""
    return {
        "process_id": PROCESS,
        "type": "train",
        "name": "cat",
        "status": status,
        "progress": {"step": 1},
        "created_at": "2026-01-31T12:00:00.000Z",
        "worker_id": "w",
        "output_path": f"output/{PROCESS}",
        "log_path": f"logs/{PROCESS}.log",
        "resumable": False,
    } | more


def test_an_attached_training_is_known_by_its_first_progress_update(client: Client, queue: FakeQueue) -> None:
    queue.states = [
        {"status": "IN_QUEUE"},
        {"status": "IN_PROGRESS"},
        {"status": "IN_PROGRESS", "output": "warming up"},
        {"status": "IN_PROGRESS", "output": {"process_id": PROCESS, "sequence": 0}},
    ]

    training = client.train(preset="sd1", dataset={"training_name": "d"}, name=None)

    assert (training.process_id, training.job_id, training.attached) == (PROCESS, "job-1", True)
    wish = queue.inputs[0]
    assert wish.pop("idempotency_key")
    assert wish == {"type": "train", "preset": "sd1", "dataset": {"training_name": "d"}}


def test_where_artifacts_go_and_a_bucket_of_ones_own_are_sent_with_it(queue: FakeQueue) -> None:
    queue.states = [{"status": "COMPLETED", "output": {"process_id": PROCESS, "status": "queued"}}]
    own = {"endpointUrl": "https://s3", "accessId": "i", "accessSecret": "planted", "bucketName": "b"}
    http = queue
    with Client("https://runpod.test/v2/fake", http=http, s3_config=own) as client:
        client.train(preset="sd1", upload={"s3": {"prefix": "loras"}})
        assert "planted" not in repr(client)
    assert queue.inputs[0]["upload"] == {"s3": {"prefix": "loras"}}
    assert json.loads(queue.requests[0].content)["s3Config"] == own


def test_a_detached_training_is_known_by_its_answer(client: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "COMPLETED", "output": {"process_id": PROCESS, "status": "queued"}}]

    training = client.train(preset="sd1", idempotency_key="mine")

    assert not training.attached
    assert training.answer["status"] == "queued"
    assert queue.inputs[0]["idempotency_key"] == "mine"


def test_a_training_may_run_longer_than_the_queue_allows_by_default(client: Client, queue: FakeQueue) -> None:
    import json

    queue.states = [{"status": "COMPLETED", "output": {"process_id": PROCESS}}]
    client.train(preset="sd1")
    client.train(preset="sd1", execution_timeout_s=6.9 * 86_400, start_timeout_s=86_400)

    policies = [json.loads(request.content)["policy"] for request in queue.requests if request.content]
    assert policies[0] == {"executionTimeout": 86_400_000, "ttl": 87_300_000}
    assert policies[1]["ttl"] == 7 * 86_400_000


def test_a_refused_training_is_an_error(client: Client, queue: FakeQueue) -> None:
    queue.states = [
        {"status": "FAILED", "error": "steps: unknown field.", "output": {"code": "invalid_input"}}
    ]
    with pytest.raises(InvalidInputError, match="steps"):
        client.train(preset="sd1")


def test_a_training_that_no_worker_takes_up_names_its_job(client: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "IN_QUEUE"}]
    with pytest.raises(WaitTimeout, match="job-1 is IN_QUEUE") as caught:
        client.train(preset="sd1", start_timeout_s=0.05)
    assert caught.value.job_id == "job-1"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "the training"),
        ({"variants": [{"rank": 4}]}, "the sweep"),
        ({"type": "resume", "process_id": PROCESS}, "the training"),
        ({"type": "resume", "process_id": "sweep_0123456789ab"}, "the sweep"),
        ({"type": "merge_loras"}, "the merge of LoRAs"),
        ({"type": "download_model"}, "the download"),
        ({"type": "an_action_of_tomorrow"}, "the process"),
    ],
)
def test_what_no_worker_takes_up_is_named_by_its_kind(
    client: Client, queue: FakeQueue, asked: dict[str, Any], words: str
) -> None:
    queue.states = [{"status": "IN_QUEUE"}]
    with pytest.raises(WaitTimeout, match=f"No worker started {words} within"):
        client.start(asked.pop("type", "train"), start_timeout_s=0.0, **asked)


def test_whatever_may_have_a_key_gets_one(client: Client, queue: FakeQueue) -> None:
    keyed = [one.type for one in ACTIONS.values() if "idempotency_key" in one.request.model_fields]
    for type_ in [*keyed, "resume"]:
        queue.states = [{"status": "COMPLETED", "output": process("queued")}]
        client.start(type_)
    sent = [json.loads(request.content)["input"] for request in queue.requests if request.content]
    assert [one["type"] for one in sent if one.get("idempotency_key")] == keyed


def test_an_answer_without_a_process_is_no_training(client: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "COMPLETED", "output": {"dry_run": True}}]
    with pytest.raises(EndpointError, match="has no process_id"):
        client.train(preset="sd1", dry_run=True)  # type: ignore[call-arg]


def test_wait_follows_to_the_end_and_tells_every_look(client: Client, queue: FakeQueue) -> None:
    looks = [process("queued"), process("running"), process("completed")]
    queue.actions["process_status"] = lambda _: looks.pop(0)
    seen: list[str] = []

    end = client.wait(PROCESS, on_progress=lambda look: seen.append(look.status), interval_s=0.001)

    assert end.status == "completed"
    assert seen == ["queued", "running", "completed"]


def test_wait_outlives_a_lost_worker_and_an_endpoint_in_trouble(client: Client, queue: FakeQueue) -> None:
    looks: list[dict[str, Any] | httpx.Response] = [
        process("running"),
        {"error": "The worker was lost."},
        *[httpx.Response(503)] * 4,
        {"error": "No answer from the trainer.", "code": "timeout"},
        process("completed"),
    ]
    queue.actions["process_status"] = lambda _: looks.pop(0)

    assert client.wait(PROCESS, interval_s=0.001).status == "completed"
    assert looks == []


def test_wait_does_not_insist_where_the_answer_is_final(client: Client, queue: FakeQueue) -> None:
    queue.actions["process_status"] = lambda _: {"error": "No such process.", "code": "not_found"}
    with pytest.raises(Exception, match="No such process"):
        client.wait(PROCESS, interval_s=0.001)
    assert len(queue.requests) == 1


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted"])
def test_another_end_than_completed_is_an_error_unless_unchecked(
    client: Client, queue: FakeQueue, status: str
) -> None:
    failure = {"code": "out_of_memory", "message": "The GPU ran out of memory.", "hint": "Lower the rank."}
    queue.actions["process_status"] = lambda _: process(status, failure=failure)

    with pytest.raises(ProcessEnded, match=f"{PROCESS} ended {status}: The GPU ran out of memory") as caught:
        client.wait(PROCESS)
    assert (caught.value.code, caught.value.hint) == ("out_of_memory", "Lower the rank.")
    assert caught.value.process.status == status
    assert client.wait(PROCESS, check=False).status == status


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("limit", "It has reached its limit"),
        ("no_improvement", "It got no better"),
        ("sweep", "Its sweep was cancelled"),
        (None, "It was cancelled"),
        ("a_reason_of_tomorrow", "a_reason_of_tomorrow"),
    ],
)
def test_an_early_end_says_its_reason(
    client: Client, queue: FakeQueue, reason: str | None, words: str
) -> None:
    queue.actions["process_status"] = lambda _: process("cancelled", reason=reason)
    with pytest.raises(ProcessEnded, match=f"{PROCESS} ended cancelled: {words}"):
        client.wait(PROCESS)


def test_wait_with_a_timeout_names_the_process(client: Client, queue: FakeQueue) -> None:
    queue.actions["process_status"] = lambda _: process("running")
    with pytest.raises(WaitTimeout, match=f"The training {PROCESS} is still running") as caught:
        client.wait(PROCESS, interval_s=0.001, timeout_s=0.02)
    assert caught.value.process_id == PROCESS


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        ("sweep", "sweep"),
        ("caption", "captioning"),
        ("compare", "comparison"),
        ("resize", "resizing of a LoRA"),
    ],
)
def test_a_wait_names_the_kind_of_its_process(
    client: Client, queue: FakeQueue, type_: str, words: str
) -> None:
    process_id = f"{type_}_0123456789ab"
    queue.actions["process_status"] = lambda _: process("running", process_id=process_id, type=type_)
    with pytest.raises(WaitTimeout, match=f"The {words} {process_id} is still running"):
        client.wait(process_id, interval_s=0.001, timeout_s=0.0)


def test_logs_are_read_to_their_present_end(client: Client, queue: FakeQueue) -> None:
    text = "one\ntwo\nthree\n"

    def logs(wish: dict[str, Any]) -> dict[str, Any]:
        piece = text[wish["offset"] : wish["offset"] + 5]
        # A process that runs has no end of file.
        return {
            "text": piece,
            "offset": wish["offset"],
            "next_offset": wish["offset"] + len(piece),
            "eof": False,
        }

    queue.actions["logs"] = logs
    assert client.logs(PROCESS) == text
    assert client.logs(PROCESS, offset=4) == "two\nthree\n"


def test_metrics_are_pairs(client: Client, queue: FakeQueue) -> None:
    queue.actions["metrics"] = lambda _: {"series": {"loss/loss": [[1, 0.5], [2, 0.25]]}, "last_step": 2}
    assert client.metrics(PROCESS) == {"loss/loss": [(1, 0.5), (2, 0.25)]}


def test_the_handle_asks_for_its_own_process(client: Client, queue: FakeQueue) -> None:
    queue.states = [{"status": "COMPLETED", "output": {"process_id": PROCESS}}]
    training = client.train(preset="sd1")
    queue.actions |= {
        "process_status": lambda _: process("completed"),
        "cancel": lambda _: process("stopping"),
        "logs": lambda _: {"text": "a", "offset": 0, "next_offset": 1, "eof": True},
        "metrics": lambda _: {"series": {}},
    }

    assert training.status(log_tail=3).status == "completed"
    assert training.wait().status == "completed"
    assert training.cancel(save=False).status == "stopping"
    assert training.logs() == "a"
    assert training.metrics() == {}
    assert {wish["process_id"] for wish in queue.inputs[1:]} == {PROCESS}
    assert queue.inputs[1]["log_tail"] == 3
    assert queue.inputs[3]["save"] is False
