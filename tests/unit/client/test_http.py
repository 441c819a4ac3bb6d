"""The client's own HTTP, against real sockets."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lorapod.client import AsyncClient, Client, ClientClosed, Timeouts
from lorapod.client.asyncio_runtime import AsyncioRuntime
from lorapod.client.http import ConnectFailed, ConnectionBroken, HttpAnswer, HttpSender, PooledSender

PART_BYTES = 1_000_000
EXCHANGES = 5


class Server:
    """A server that answers as the test says, and keeps what came."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.connections: set[tuple[str, int]] = set()
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: reply(handler, 200, b"{}")
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.requests.append((self.command, self.path, body))
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                server.connections.add(self.client_address)
                server.answer(self)

            do_GET = do_POST = handle_any  # noqa: N815 -- the library's names

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


class LoopSender:
    """The requests of a program with an event loop."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._runner = asyncio.Runner()
        self._runtime = AsyncioRuntime(timeouts)

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        sent = self._runtime.send(method, url, headers=headers, body=body, wait_s=wait_s)
        return self._runner.run(sent)

    def close(self) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        await self._runtime.close()
        # A transport with bytes that no server takes ends when its socket does.
        sockets: Any = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while len(sockets._selector.get_map()) > 1:  # noqa: ASYNC110 -- the loop tells of no end of a transport
                await asyncio.sleep(0.001)


SENDERS: dict[str, Callable[[Timeouts], HttpSender]] = {"urllib3": PooledSender, "aiohttp": LoopSender}


@pytest.fixture(params=SENDERS)
def make(request: pytest.FixtureRequest) -> Callable[[Timeouts], HttpSender]:
    return SENDERS[request.param]


@pytest.fixture
def sender(make: Callable[[Timeouts], HttpSender]) -> Iterator[HttpSender]:
    with closing(make(Timeouts(connect_s=5, read_s=5, write_s=5))) as sender:
        yield sender


def test_requests_share_a_connection_and_arrive_whole(sender: HttpSender, server: Server) -> None:
    body = bytes(range(256)) * 2_000
    answers = [
        sender.send("POST", f"{server.url}/run?wait=1", headers={"X-A": "b"}, body=body, wait_s=0)
        for _ in range(3)
    ]

    assert [(answer.status, answer.is_success, answer.body) for answer in answers] == [(200, True, b"{}")] * 3
    assert server.requests == [("POST", "/run?wait=1", body)] * 3
    assert server.headers[0]["x-a"] == "b"
    assert len(server.connections) == 1


def test_a_compressed_answer_is_unpacked(sender: HttpSender, server: Server) -> None:
    server.answer = lambda handler: reply(handler, 200, gzip.compress(b"plain"), Content_Encoding="gzip")

    assert sender.send("GET", server.url, headers={}, body=None, wait_s=0).body == b"plain"


def test_a_redirect_is_an_answer(sender: HttpSender, server: Server) -> None:
    server.answer = lambda handler: reply(handler, 302, b"", Location="/elsewhere")

    answer = sender.send("GET", server.url, headers={}, body=None, wait_s=0)

    assert (answer.status, answer.headers["location"], len(server.requests)) == (302, "/elsewhere", 1)


def test_a_port_where_nobody_listens_has_seen_nothing(sender: HttpSender, free_port_url: str) -> None:
    with pytest.raises(ConnectFailed):
        sender.send("GET", free_port_url, headers={}, body=None, wait_s=0)


def test_a_name_that_nobody_has_is_no_connection(sender: HttpSender) -> None:
    with pytest.raises(ConnectFailed):
        sender.send("GET", "http://no-such-host.invalid/", headers={}, body=None, wait_s=0)


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


@pytest.mark.parametrize("answer", [cut, hang_up])
def test_an_answer_that_breaks_off_is_broken(
    sender: HttpSender, server: Server, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    server.answer = answer

    with pytest.raises(ConnectionBroken):
        sender.send("POST", server.url, headers={}, body=b"{}", wait_s=0)
    assert len(server.requests) == 1


def test_an_answer_that_does_not_come_is_broken(
    server: Server, make: Callable[[Timeouts], HttpSender]
) -> None:
    over = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        over.wait(60)
        handler.close_connection = True

    server.answer = silent

    with closing(make(Timeouts(read_s=0.05))) as hasty, pytest.raises(ConnectionBroken):
        hasty.send("GET", server.url, headers={}, body=None, wait_s=0)
    over.set()


def test_a_server_that_takes_nothing_is_given_up(make: Callable[[Timeouts], HttpSender]) -> None:
    with (
        closing(make(Timeouts(write_s=0.05, read_s=60))) as hasty,
        socket.create_server(("127.0.0.1", 0)) as deaf,
    ):
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(ConnectionBroken):
            hasty.send("POST", url, headers={}, body=b"x" * 50_000_000, wait_s=0)


def test_the_proxy_of_the_environment_is_used(
    sender: HttpSender, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://me:secret@"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    sender.send("GET", "http://elsewhere.test/health", headers={}, body=None, wait_s=0)
    sender.send("GET", f"{server.url}/health", headers={}, body=None, wait_s=0)

    assert [path for _, path, _ in server.requests] == ["http://elsewhere.test/health", "/health"]
    assert [("proxy-authorization" in one, one["host"]) for one in server.headers] == [
        (True, "elsewhere.test"),
        (False, server.url.removeprefix("http://")),
    ]


async def test_a_request_that_is_cancelled_ends_its_connection(server: Server) -> None:
    began, over = threading.Event(), threading.Event()
    ended: list[bytes] = []

    def silent(handler: BaseHTTPRequestHandler) -> None:
        began.set()
        ended.append(handler.connection.recv(1))
        handler.close_connection = True
        over.set()

    server.answer = silent
    async with AsyncClient(server.url) as client:
        calling = asyncio.create_task(client.call("ping"))
        await asyncio.to_thread(began.wait, 20)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert await asyncio.to_thread(over.wait, 20)
    assert ended == [b""]


async def test_a_client_that_is_closed_ends_a_request_on_its_way(server: Server) -> None:
    began, over = threading.Event(), threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        began.set()
        over.wait(60)
        handler.close_connection = True

    server.answer = silent
    client = AsyncClient(server.url)
    calling = asyncio.create_task(client.call("ping"))
    await asyncio.to_thread(began.wait, 20)
    await client.close()
    over.set()
    with pytest.raises(ClientClosed):
        await calling


def test_the_keys_of_netrc_are_not_sent(
    make: Callable[[Timeouts], HttpSender], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password planted")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with closing(make(Timeouts())) as sender:
        sender.send("GET", server.url, headers={"Authorization": "Bearer own"}, body=None, wait_s=0)
    assert server.headers[0]["authorization"] == "Bearer own"


def test_an_exchange_is_forgotten_at_once(server: Server) -> None:
    """A file of any size passes through in parts: none may wait for the garbage collector, which rarely comes."""
    body = json.dumps({"id": "job-1", "status": "IN_QUEUE", "output": "x" * PART_BYTES}).encode()
    server.answer = lambda handler: reply(handler, 200, body)
    client = Client(server.url)
    client.run({"data": "x" * PART_BYTES})
    server.requests.clear()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(EXCHANGES):
            client.run({"data": "x" * PART_BYTES})
            server.requests.clear()
        kept_bytes, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
        client.close()
    # The server's thread may still hold the last request and its answer; kept exchanges would be all of them.
    assert kept_bytes < EXCHANGES * PART_BYTES
