"""The console's server over HTTP: who gets in, what is refused, and that a GET asks no worker."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.report_worker import ReportWorker
from tests.running_console import RunningConsole, page_key_of, running_console
from tests.unit.client.conftest import KEY

from lorapod.client import Client
from lorapod.client.console import listening
from lorapod.testing.fake_queue import Answer, FakeQueue

TRAINING = "train_0123456789ab"
COMPARISON = "compare_0123456789ab"


@dataclass(kw_only=True)
class HttpCaller:
    """Calls the console as a browser does, and as others could."""

    console: RunningConsole
    cookie: str | None = None
    #: What the page knows, and no other port of this machine.
    page_key: str | None = None
    #: The body of the newest answer.
    content: bytes = b""
    #: Every answer: its text, and its headers.
    answers: list[tuple[str, str]] = field(default_factory=list)

    def send(
        self, path: str, *, method: str = "GET", body: Any = None, raw: bytes | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        address = self.console.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=10)
        sent = {"Cookie": self.cookie} if self.cookie else {}
        if self.page_key:
            sent["X-Console-Key"] = self.page_key
        if method == "POST":
            sent["Origin"] = self.console.url
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = raw if body is None else json.dumps(body).encode()
        connection.request(method, path, body=content, headers=sent)
        with closing(connection):
            response = connection.getresponse()
            self.content = response.read()
        text = self.content.decode(errors="replace")
        self.answers.append((text, str(response.headers)))
        return response

    def json(self, path: str) -> Any:
        assert self.send(path).status == 200, self.text
        return json.loads(self.text)

    @property
    def text(self) -> str:
        return self.answers[-1][0]

    def open(self) -> None:
        response = self.send(self.console.server.link.removeprefix(self.console.url))
        assert response.status == 200
        self.cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
        self.page_key = page_key_of(self.text)

    def ask(self, path: str) -> None:
        """Ask a worker, and wait for the end of the question."""
        assert self.send(path, method="POST", body={}).status == 202
        self.console.wait_for_asks()


@pytest.fixture(scope="module")
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture(scope="module")
def worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    worker.add_training(TRAINING, steps=(0, 100), prompts=("a cat",))
    worker.add_comparison(COMPARISON, training=TRAINING)
    worker.processes[COMPARISON]["created_at"] = "2026-01-31T19:00:00Z"
    return worker


@pytest.fixture(scope="module")
def console(
    queue: FakeQueue, worker: ReportWorker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningConsole]:
    client = Client("https://runpod.test/v2/fake/", KEY, http=queue)
    with running_console(client, tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture(autouse=True)
def same_queue(queue: FakeQueue, console: RunningConsole) -> Iterator[None]:
    """Let each test begin with a queue that was asked nothing."""
    actions = dict(queue.actions)
    queue.requests.clear()
    yield
    queue.actions = actions


@pytest.fixture
def stranger(console: RunningConsole) -> HttpCaller:
    return HttpCaller(console=console)


@pytest.fixture
def caller(console: RunningConsole) -> HttpCaller:
    caller = HttpCaller(console=console)
    caller.open()
    return caller


class TestAccess:
    def test_a_link_opens_one_browser(self, stranger: HttpCaller) -> None:
        link = stranger.console.server.link.removeprefix(stranger.console.url)
        first = stranger.send(link)
        cookie = first.getheader("Set-Cookie") or ""

        assert first.status == 200
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        again = stranger.send(link)
        assert again.status == 403
        assert again.getheader("Set-Cookie") is None
        assert "lorapod console" in stranger.text

    def test_the_next_link_opens_another_browser(self, stranger: HttpCaller) -> None:
        first = stranger.console.server.link
        stranger.open()
        stranger.cookie = None

        assert stranger.console.server.link != first
        stranger.open()
        assert stranger.send("/api/home").status == 200

    @pytest.mark.parametrize(
        "path", ["/", "/trainings", "/api/home", "/api/endpoint", "/api/contents/" + "0" * 64]
    )
    def test_without_a_session_nothing_is_told(self, stranger: HttpCaller, path: str) -> None:
        assert stranger.send(path).status == 401
        stranger.cookie = f"lorapod_console_{stranger.console.url.rpartition(':')[2]}=made-up"
        assert stranger.send(path).status == 401

    def test_a_cookie_that_another_port_has_seen_is_not_enough(
        self, caller: HttpCaller, queue: FakeQueue
    ) -> None:
        key, caller.page_key = caller.page_key, None
        for stolen in (None, "made-up", f"{key}x"):
            caller.page_key = stolen
            assert caller.send("/api/home").status == 401
            assert caller.send("/api/processes/ask", method="POST", body={}).status == 401
        other = HttpCaller(console=caller.console)
        other.open()
        caller.page_key = other.page_key
        assert caller.send("/api/home").status == 401
        caller.page_key = key
        assert caller.send("/api/home").status == 200
        assert queue.inputs == []

    @pytest.mark.parametrize("path", ["/open/", "/open/a/b", "/open", "/assets"])
    def test_beside_a_link_there_is_no_page(self, stranger: HttpCaller, path: str) -> None:
        assert stranger.send(path).status in {401, 403, 404}

    def test_scripts_and_styles_are_public_and_nothing_beside_them(self, stranger: HttpCaller) -> None:
        assert stranger.send("/assets/js/app.js").status == 200
        for path in (
            "/assets/../__init__.py",
            "/assets/%2e%2e/__init__.py",
            "/assets/vendor/manifest.json",
            "/assets/",
        ):
            assert stranger.send(path).status in {401, 404}


class TestRequests:
    @pytest.mark.parametrize(
        "host",
        [
            *("evil.example", "127.0.0.1.evil.example", "127.0.0.1", "127.0.0.1:1", "[::1", "", "0.0.0.0"),
            *(
                "{}/",
                "{}#",
                "{}?",
                "{}@evil.example",
                "evil.example@{}",
                "{} evil.example",
                "127.0.0.1.:PORT",
            ),
            *(
                "127.1:PORT",
                "2130706433:PORT",
                "localhost.:PORT",
                "[::ffff:127.0.0.1]:PORT",
                "127.0.0.1:0PORT",
            ),
        ],
    )
    def test_another_name_is_refused(self, caller: HttpCaller, host: str) -> None:
        own = caller.console.url.removeprefix("http://")
        host = host.format(own).replace("PORT", own.partition(":")[2])
        for path in ("/", "/api/home", "/assets/js/app.js"):
            assert caller.send(path, Host=host).status in {400, 403}

    def test_localhost_is_this_machine(self, caller: HttpCaller) -> None:
        port = caller.console.url.rpartition(":")[2]
        assert caller.send("/api/home", Host=f"localhost:{port}").status == 200

    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1:1"]
    )
    def test_another_origin_is_refused(self, caller: HttpCaller, queue: FakeQueue, origin: str) -> None:
        assert caller.send("/api/home", Origin=origin).status == 403
        assert caller.send("/api/processes/ask", method="POST", body={}, Origin=origin).status == 403
        assert queue.inputs == []

    def test_a_post_without_an_origin_is_refused(self, caller: HttpCaller) -> None:
        address = caller.console.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("POST", "/api/processes/ask", headers={"Cookie": caller.cookie or ""})
        assert connection.getresponse().status == 403
        connection.close()

    def test_another_site_may_link_but_not_read(self, caller: HttpCaller) -> None:
        assert caller.send("/api/home", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
        assert caller.send("/trainings", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200

    @pytest.mark.parametrize(
        "path", ["/", "/api/home", "/assets/js/app.js", "/api/nothing", "/api/trainings/x"]
    )
    def test_every_answer_has_the_strict_headers(self, caller: HttpCaller, path: str) -> None:
        response = caller.send(path)
        policy = response.getheader("Content-Security-Policy") or ""
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.getheader("X-Frame-Options") == "DENY"
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        assert response.getheader("Access-Control-Allow-Origin") is None


class TestOddRequests:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/api/new-training/check", '{"request": ' + "[" * 100_000 + "]" * 100_000 + "}"),
            ("/api/new-training/check", '{"request": {"steps": ' + "9" * 6_000 + "}}"),
            ("/api/datasets/x/upload/plan", '{"files": [{"path": "\\ud800.png", "size_bytes": 1}]}'),
            ("/api/datasets/x/upload/plan", '{"files": [{"path": "a.png", "size_bytes": 1e400}]}'),
            (f"/api/trainings/{TRAINING}/log", '{"offset": 1e400}'),
            (f"/api/trainings/{TRAINING}/keep", '{"steps": [true]}'),
            ("/api/doctor/fix", "[]"),
        ],
        ids=[
            "deep",
            "long number",
            "half a character",
            "infinite size",
            "infinite offset",
            "no step",
            "a list",
        ],
    )
    def test_what_cannot_be_meant_is_refused_in_words(
        self, caller: HttpCaller, queue: FakeQueue, path: str, body: str
    ) -> None:
        response = caller.send(path, method="POST", raw=body.encode())
        assert response.status == 400
        assert json.loads(caller.text)["error"].endswith(".")
        assert queue.inputs == []

    def test_half_a_request_is_not_waited_for(
        self, console: RunningConsole, stranger: HttpCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "FIRST_REQUEST_S", 0.2)
        address = ("127.0.0.1", int(console.url.rpartition(":")[2]))
        with closing(socket.create_connection(address, timeout=20)) as slow:
            slow.sendall(b"GET /assets/js/app.js HTTP/1.1\r\nHost: x\r\nX-A: b")
            assert slow.recv(1000) == b""
        # One that was answered in time stays open.
        with closing(http.client.HTTPConnection(*address, timeout=20)) as quick:
            for _ in range(2):
                quick.request("GET", "/assets/icon.svg")
                assert quick.getresponse().read()
                time.sleep(0.3)


class TestPages:
    def test_opening_everything_asks_no_worker(self, caller: HttpCaller, queue: FakeQueue) -> None:
        caller.console.learn(TRAINING, COMPARISON)
        before = len(queue.inputs)
        queue.requests.clear()
        for path in (
            *("/", "/trainings", f"/trainings/{TRAINING}", "/comparisons", f"/comparisons/{COMPARISON}"),
            *("/api/home", "/api/endpoint", "/api/trainings", f"/api/trainings/{TRAINING}"),
            *("/api/comparisons", f"/api/comparisons/{COMPARISON}"),
        ):
            assert caller.send(path).status == 200

        assert before
        assert queue.inputs == []
        assert {request.url.path.rpartition("/")[2] for request in queue.requests} == {"health"}

    def test_what_was_asked_once_is_there_offline(self, caller: HttpCaller, queue: FakeQueue) -> None:
        caller.ask(f"/api/trainings/{TRAINING}/ask")
        queue.actions.clear()

        view = caller.json(f"/api/trainings/{TRAINING}")

        assert view["process"]["name"] == "cat"
        assert view["ask"]["problem"] is None
        assert [sample["step"] for sample in view["samples"]] == [0, 100]
        for sample in view["samples"]:
            picture = caller.send(f"/api/contents/{sample['picture']}")
            assert picture.getheader("Content-Type") == "image/png"
            assert "immutable" in (picture.getheader("Cache-Control") or "")
        assert view["curves"]["loss/loss"]["points"] > 10

    def test_no_answer_holds_the_key(self, caller: HttpCaller, worker: ReportWorker) -> None:
        worker.processes[TRAINING]["log_tail"] = ["token: hf_abcdefghijklmnopqrstuvwxyz", f"Bearer {KEY}"]
        caller.ask("/api/processes/ask")
        caller.ask(f"/api/trainings/{TRAINING}/ask")
        for path in (
            "/",
            "/api/home",
            "/api/endpoint",
            "/api/trainings",
            f"/api/trainings/{TRAINING}",
            "/nothing",
        ):
            caller.send(path)

        assert KEY not in str(caller.answers)
        assert "hf_abcdefghijklmnopqrstuvwxyz" not in str(caller.answers)

    def test_an_unknown_training_says_what_to_do(self, caller: HttpCaller) -> None:
        response = caller.send("/api/trainings/train_ffffffffffff")
        assert response.status == 404
        assert "Ask the worker" in caller.text
        assert caller.send("/api/trainings/..%2f..%2fetc").status == 404

    @pytest.mark.parametrize("noun", ["trainings", "comparisons"])
    def test_a_refusal_of_the_worker_is_told(self, caller: HttpCaller, noun: str) -> None:
        caller.ask(f"/api/{noun}/train_ffffffffffff/ask")

        assert caller.send(f"/api/{noun}/train_ffffffffffff").status == 404
        told = json.loads(caller.text)["ask"]
        assert told["ended"]
        assert told["problem"]["error"] == "There is no process train_ffffffffffff."


class TestDeletedElsewhere:
    def test_what_is_listed_no_more_is_forgotten(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        gone, later = "train_0123456789d0", "train_0123456789d1"
        worker.add_training(gone, steps=(0,), prompts=("x",), name="deleted elsewhere")
        caller.ask("/api/processes/ask")
        assert "deleted elsewhere" in str(caller.json("/api/trainings"))
        del worker.processes[gone]

        def listed(asked: dict[str, Any]) -> Any:
            # While the worker answers, the console hears of a training that began after the list was made.
            told = {
                "process_id": later,
                "type": "train",
                "status": "queued",
                "created_at": "x",
                "name": "begun now",
            }
            caller.console.parts.processes.learn(told, whole=False)
            return queue_lists(asked)

        queue_lists = queue.actions["processes"]
        queue.actions["processes"] = listed
        caller.ask("/api/processes/ask")

        names = str(caller.json("/api/trainings"))
        assert "deleted elsewhere" not in names
        assert "begun now" in names

    def test_a_list_that_is_cut_off_says_nothing_of_older_ones(
        self, caller: HttpCaller, queue: FakeQueue
    ) -> None:
        known = caller.console.parts.processes
        for number in range(3):
            old = {
                "process_id": f"train_00000000000{number}",
                "type": "train",
                "status": "completed",
                "created_at": "x",
            }
            known.learn(old, whole=False)
        first = {
            "process_id": "train_000000000002",
            "type": "train",
            "status": "completed",
            "created_at": "x",
        }

        known.forget_missing([first["process_id"]], complete=False, before="9")
        assert {one.process["process_id"] for one in known.all()} >= {
            f"train_00000000000{n}" for n in range(3)
        }
        known.forget_missing([first["process_id"]], complete=True, before="9")
        assert [one.process["process_id"] for one in known.all()] == ["train_000000000002"]


class TestSteering:
    def test_a_training_is_stopped_with_a_checkpoint(self, caller: HttpCaller, queue: FakeQueue) -> None:
        queue.actions["cancel"] = lambda _: {"process_id": TRAINING, "status": "stopping"}
        caller.send(f"/api/trainings/{TRAINING}/cancel", method="POST", body={"save": True})
        caller.console.wait_for_asks()

        assert {"type": "cancel", "process_id": TRAINING, "save": True} in queue.inputs
        assert queue.inputs[-1]["type"] in {"process_status", "metrics"}

    @pytest.mark.parametrize(
        ("action", "body"), [("delete", {}), ("cancel", {"callback_url": "x"}), ("train", {}), ("cancel", [])]
    )
    def test_nothing_else_can_be_sent(
        self, caller: HttpCaller, queue: FakeQueue, action: str, body: Any
    ) -> None:
        response = caller.send(f"/api/trainings/{TRAINING}/{action}", method="POST", body=body)
        assert response.status == 400
        assert queue.inputs == []


class TestOpenJob:
    def test_the_progress_of_an_open_job_is_shown_without_a_worker(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        running = "train_0123456789cc"
        worker.add_training(
            running,
            steps=(0,),
            status="running",
            ended_at=None,
            progress={"step": 100, "total_steps": 400},
            runpod_job_id="job-7",
        )
        caller.console.learn(running)
        update = {"process_id": running, "status": "running", "progress": {"step": 250, "total_steps": 400}}
        queue.states = [{"status": "IN_PROGRESS", "output": update}]
        queue.requests.clear()

        view = caller.json(f"/api/trainings/{running}")

        assert view["process"]["progress"]["step"] == 250
        assert view["process"]["trigger_word"] == "mycat"
        assert [request.url.path for request in queue.requests] == ["/v2/fake/status/job-7"]

    def test_an_older_update_and_anothers_change_nothing(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        running = "train_0123456789cd"
        fields: dict[str, Any] = {"status": "running", "ended_at": None, "runpod_job_id": "job-8"}
        worker.add_training(running, steps=(0,), progress={"step": 100, "total_steps": 400}, **fields)
        caller.console.learn(running)
        for output in (
            {"process_id": running, "status": "running", "progress": {"step": 50}},
            {"process_id": "train_ffffffffffff", "status": "running", "progress": {"step": 300}},
            {"build": "of the environment"},
            None,
        ):
            queue.states = [{"status": "IN_PROGRESS", "output": output}]
            assert caller.json(f"/api/trainings/{running}")["process"]["progress"]["step"] == 100


class TestTroubleOnTheWay:
    def test_an_endpoint_that_refuses_in_the_middle_is_told(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        other = "train_0123456789ce"
        worker.add_training(other, steps=(0, 10), prompts=("a dog", "two dogs"))
        queue.actions["download_file"] = lambda _: httpx.Response(401, json={"error": "the key has ended"})

        caller.ask(f"/api/trainings/{other}/ask")

        view = caller.json(f"/api/trainings/{other}")
        assert "the key has ended" in view["ask"]["problem"]["error"]
        assert view["process"]["status"] == "completed"

    def test_an_image_that_the_worker_does_not_give_is_left_out(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        other = "train_0123456789cf"
        worker.add_training(other, steps=(0, 10), prompts=("a bird",))
        queue.actions["download_file"] = lambda _: {"error": "It is gone.", "code": "not_found"}

        caller.ask(f"/api/trainings/{other}/ask")

        view = caller.json(f"/api/trainings/{other}")
        assert view["ask"]["problem"] is None
        assert [sample["picture"] for sample in view["samples"]] == [None, None]


class TestCheckpoints:
    PATH = f"output/{TRAINING}/cat/cat.safetensors"

    def download(self, caller: HttpCaller) -> http.client.HTTPResponse:
        caller.console.learn(TRAINING)
        caller.send(f"/api/trainings/{TRAINING}/download", method="POST", body={"path": self.PATH})
        return caller.send(json.loads(caller.text)["url"])

    def test_a_checkpoint_is_downloaded_in_parts_once(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        content = bytes(range(256)) * 40
        worker.files[self.PATH] = content
        queue.actions["download_file"] = in_parts(queue.actions["download_file"], 3000)

        response = self.download(caller)

        assert response.status == 200
        assert hashlib.sha256(caller.content).digest() == hashlib.sha256(content).digest()
        assert response.getheader("Content-Disposition") == "attachment; filename*=UTF-8''cat.safetensors"
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        assert "default-src 'none'" in (response.getheader("Content-Security-Policy") or "")
        assert sum(asked["type"] == "download_file" for asked in queue.inputs) >= 4

    def test_a_link_for_a_download_works_once(self, caller: HttpCaller, worker: ReportWorker) -> None:
        worker.files[self.PATH] = b"weights"
        caller.console.learn(TRAINING)
        caller.send(f"/api/trainings/{TRAINING}/download", method="POST", body={"path": self.PATH})
        link = json.loads(caller.text)["url"]

        assert caller.send(link).status == 200
        assert caller.send(link).status == 404

    @pytest.mark.parametrize("part", [{"sha256": "0" * 64}, {"offset": 1}])
    def test_a_file_that_changes_on_the_way_ends_the_download_early(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker, part: dict[str, Any]
    ) -> None:
        worker.files[self.PATH] = b"w" * 5000
        whole = in_parts(queue.actions["download_file"], 2000)
        queue.actions["download_file"] = lambda asked: (
            dict(whole(asked)) | (part if (asked.get("offset") or 0) >= 4000 else {})
        )
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            self.download(caller)

    def test_only_checkpoints_are_downloaded(self, caller: HttpCaller, queue: FakeQueue) -> None:
        caller.console.learn(TRAINING)
        queue.requests.clear()
        for path in ("training_data/cat/1.png", "../etc/passwd", None):
            response = caller.send(f"/api/trainings/{TRAINING}/download", method="POST", body={"path": path})
            assert response.status == 404
        assert queue.inputs == []

    def test_what_would_be_deleted_is_told_before_it_is(self, caller: HttpCaller, queue: FakeQueue) -> None:
        queue.actions["delete"] = lambda asked: {
            "deleted": ["output/x/a_000000500.safetensors"],
            "freed_bytes": 7,
            "dry_run": asked.get("dry_run", False),
            "warnings": [],
        }
        for body in ({"steps": [1000]}, {"steps": [1000], "dry_run": False}):
            assert caller.send(f"/api/trainings/{TRAINING}/keep", method="POST", body=body).status == 200

        asked = [one for one in queue.inputs if one["type"] == "delete"]
        assert [one["dry_run"] for one in asked] == [True, False]
        assert {one["keep"] for one in asked} == {"steps:[1000]"}
        assert (
            caller.send(f"/api/trainings/{TRAINING}/keep", method="POST", body={"steps": "all"}).status == 400
        )

    def test_a_comparison_is_started_and_named(
        self, caller: HttpCaller, queue: FakeQueue, worker: ReportWorker
    ) -> None:
        queue.states = [
            {"status": "IN_QUEUE"},
            {"status": "IN_PROGRESS", "output": {"process_id": COMPARISON, "status": "running"}},
        ]
        assert worker.processes[COMPARISON]

        caller.send(f"/api/trainings/{TRAINING}/compare", method="POST", body={})
        caller.console.wait_for_asks()

        asked = next(one for one in queue.inputs if one["type"] == "compare")
        assert asked["process_ids"] == [TRAINING]
        assert asked["idempotency_key"]
        assert caller.json(f"/api/trainings/{TRAINING}")["ask"]["made"] == COMPARISON


def in_parts(answer: Answer, length: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the worker's answer for a file in parts."""

    def part(asked: dict[str, Any]) -> dict[str, Any]:
        found = answer(asked)
        assert isinstance(found, dict)
        data = base64.b64decode(found["data"])[:length]
        return {**found, "data": base64.b64encode(data).decode(), "length": len(data)}

    return part
