"""How the worker asks SwarmUI, against a stand-in that is as strict as the real one."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from tests.servers.ports import free_port
from tests.servers.swarmui import Fault, SwarmStandIn

from lorapod.clock import SystemClock
from lorapod.engines.swarmui import connection as connection_module
from lorapod.engines.swarmui.connection import NoSocket, SocketDropped, SwarmUnreachable, connected
from lorapod.engines.swarmui.inventory import inventory
from lorapod.engines.swarmui.readiness import backends, ready
from lorapod.engines.swarmui.session import SwarmCaller, SwarmSession
from lorapod.errors import InvalidInput, TooLarge, Unsupported, UpstreamError, WorkerTimeout


@pytest.fixture
def server() -> Iterator[SwarmStandIn]:
    stand_in = SwarmStandIn()
    with stand_in.running():
        yield stand_in


class TestTheStandInIsAsStrictAsTheRealOne:
    def test_a_body_without_length_or_content_is_refused(self, server: SwarmStandIn) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"{}"

        headers = {"Content-Type": "application/json"}
        for content in (pieces(), b""):
            answer = httpx.post(f"{server.url}/API/GetNewSession", content=content, headers=headers)
            assert answer.status_code == 400
            assert answer.json() == {"error_id": "basic_api", "error": "bad content length"}

    def test_only_json_is_read(self, server: SwarmStandIn) -> None:
        answer = httpx.post(f"{server.url}/API/GetNewSession", content=b"{}")

        assert answer.json()["error"] == "Wrong content type"

    def test_every_other_route_wants_a_session(self, server: SwarmStandIn) -> None:
        without = httpx.post(f"{server.url}/API/GetCurrentStatus", json={})
        unknown = httpx.post(f"{server.url}/API/GetCurrentStatus", json={"session_id": "x"})

        assert (without.status_code, without.json()["error_id"]) == (400, "basic_api")
        assert (unknown.status_code, unknown.json()["error_id"]) == (401, "invalid_session_id")

    def test_a_session_may_come_in_a_header(self, server: SwarmStandIn) -> None:
        session = httpx.post(f"{server.url}/API/GetNewSession", json={}).json()["session_id"]

        answer = httpx.post(f"{server.url}/API/GetCurrentStatus", json={}, headers={"X-Session-ID": session})

        assert answer.json()["backend_status"]["status"] == "running"

    def test_errors_of_routes_come_in_a_200(self, server: SwarmStandIn) -> None:
        session = httpx.post(f"{server.url}/API/GetNewSession", json={}).json()["session_id"]

        answer = httpx.post(f"{server.url}/API/ListModels", json={"session_id": session, "path": ""})

        assert answer.status_code == 200
        assert answer.json() == {"error": "Missing required parameter 'depth'"}

    def test_a_websocket_route_wants_a_websocket(self, server: SwarmStandIn) -> None:
        session = httpx.post(f"{server.url}/API/GetNewSession", json={}).json()["session_id"]

        answer = httpx.post(f"{server.url}/API/DoModelDownloadWS", json={"session_id": session})

        assert (answer.status_code, answer.json()["error_id"]) == (400, "bad_request_method")


class TestSessions:
    async def test_one_session_serves_many_requests(self, server: SwarmStandIn) -> None:
        session = SwarmSession()
        for _ in range(3):
            async with connected(server.url) as connection:
                await backends(SwarmCaller(connection, session))

        assert server.sessions_given == 1
        assert session.granted is not None
        assert session.granted.version == server.version

    async def test_a_forgotten_session_is_renewed_and_the_request_repeated(
        self, server: SwarmStandIn
    ) -> None:
        session = SwarmSession()
        async with connected(server.url) as connection:
            caller = SwarmCaller(connection, session)
            await backends(caller)
            server.forget_sessions()

            assert (await backends(caller)).status == "running"

        assert server.sessions_given == 2

    def test_callers_in_many_threads_renew_it_once(self, server: SwarmStandIn) -> None:
        session = SwarmSession()

        async def ask(times: int) -> None:
            async with connected(server.url) as connection:
                await asyncio.gather(*(backends(SwarmCaller(connection, session)) for _ in range(times)))

        asyncio.run(ask(1))
        server.forget_sessions()
        threads = [threading.Thread(target=lambda: asyncio.run(ask(4))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert server.sessions_given == 2

    async def test_a_caller_that_is_cancelled_while_it_waits_blocks_nobody(
        self, server: SwarmStandIn
    ) -> None:
        session = SwarmSession()
        server.faults["GetNewSession"] = [Fault(hang_s=0.3, drop=True)]
        async with connected(server.url) as connection:
            slow = asyncio.create_task(session.get(connection))
            await asyncio.sleep(0.05)
            waiting = asyncio.create_task(session.get(connection))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(SwarmUnreachable):
                await slow

            assert (await session.get(connection)).session_id

    async def test_a_server_that_refuses_its_own_session_is_told(self, server: SwarmStandIn) -> None:
        unknown = json.dumps({"error": "no", "error_id": "invalid_session_id"}).encode()
        # A fault is answered only once the session has been found good.
        server.faults["GetCurrentStatus"] = [Fault(status=401, body=unknown)] * 2
        async with connected(server.url) as connection:
            with pytest.raises(UpstreamError, match="refuses the session"):
                await backends(SwarmCaller(connection, SwarmSession()))

    async def test_a_forgotten_session_is_renewed_for_a_websocket_too(self, server: SwarmStandIn) -> None:
        session = SwarmSession()
        async with connected(server.url) as connection:
            caller = SwarmCaller(connection, session)
            await backends(caller)
            server.forget_sessions()
            fields = {"prompt": "x", "model": "tiny", "seed": 1, "images": 1}
            async with caller.converse("GenerateText2ImageWS", fields) as talk:
                messages = [message async for message in talk.messages()]

        assert any("image" in message for message in messages)
        assert server.sessions_given == 2

    async def test_an_answer_without_session_is_no_session(self, server: SwarmStandIn) -> None:
        server.faults["GetNewSession"] = [Fault(body=b'{"session_id": null}')]
        async with connected(server.url) as connection:
            with pytest.raises(UpstreamError, match="gave no session"):
                await SwarmSession().get(connection)


class TestFaults:
    async def test_nobody_there(self) -> None:
        async with connected(f"http://127.0.0.1:{free_port()}") as connection:
            with pytest.raises(SwarmUnreachable, match="nothing answers there"):
                await backends(SwarmCaller(connection, SwarmSession()))
            with pytest.raises(SwarmUnreachable, match="nothing answers there"):
                async with connection.socket("GenerateText2ImageWS"):
                    pass

    async def test_an_address_that_is_none(self) -> None:
        with pytest.raises(Unsupported, match="SWARMUI_API_URL"):
            async with connected("swarmui:7801"):
                pass

    async def test_its_password_is_not_told(self) -> None:
        async with connected(f"http://user:hidden-password@127.0.0.1:{free_port()}") as connection:
            with pytest.raises(SwarmUnreachable) as refused:
                await backends(SwarmCaller(connection, SwarmSession()))

        assert "hidden-password" not in refused.value.message

    async def test_a_frozen_server(self, server: SwarmStandIn) -> None:
        server.faults["GetCurrentStatus"] = [Fault(hang_s=1.0, drop=True)]
        async with connected(server.url) as connection:
            with pytest.raises(WorkerTimeout, match="GetCurrentStatus within 0 s"):
                await backends(SwarmCaller(connection, SwarmSession()), timeout_s=0.1)

    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            (Fault(drop=True), "the connection broke"),
            (Fault(status=502, body=b"<html>bad gateway</html>"), "the proxy in front of it answers 502"),
        ],
    )
    async def test_a_server_that_goes_away(self, server: SwarmStandIn, fault: Fault, sentence: str) -> None:
        server.faults["GetCurrentStatus"] = [fault]
        async with connected(server.url) as connection:
            with pytest.raises(SwarmUnreachable, match=sentence):
                await backends(SwarmCaller(connection, SwarmSession()))

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>"])
    async def test_what_is_no_answer(self, server: SwarmStandIn, body: bytes) -> None:
        server.faults["GetCurrentStatus"] = [Fault(body=body)]
        async with connected(server.url) as connection:
            with pytest.raises(UpstreamError, match="not a JSON object"):
                await backends(SwarmCaller(connection, SwarmSession()))

    async def test_an_error_in_a_200(self, server: SwarmStandIn) -> None:
        async with connected(server.url) as connection:
            with pytest.raises(InvalidInput, match="Missing required parameter 'path'"):
                await SwarmCaller(connection, SwarmSession()).call("ListModels", {"depth": 1})

    async def test_a_route_that_it_has_not(self, server: SwarmStandIn) -> None:
        async with connected(server.url) as connection:
            with pytest.raises(Unsupported, match="no route Whatever"):
                await SwarmCaller(connection, SwarmSession()).call("Whatever")

    async def test_an_answer_without_end(self, server: SwarmStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection_module, "ANSWER_MAX_BYTES", 500)
        async with connected(server.url) as connection:
            with pytest.raises(TooLarge, match="ListT2IParams"):
                await inventory(SwarmCaller(connection, SwarmSession()))

    async def test_a_message_without_end(self, server: SwarmStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection_module, "ANSWER_MAX_BYTES", 600)
        server.work.content = b"x" * 1000
        fields = {"prompt": "x", "model": "tiny", "images": 1, "donotsave": True}
        with pytest.raises(TooLarge, match="message in GenerateText2ImageWS"):
            await self.generate(server, fields)

    async def test_no_websockets(self, server: SwarmStandIn) -> None:
        server.no_sockets = True
        async with connected(server.url) as connection:
            with pytest.raises(NoSocket):
                async with connection.socket("GenerateText2ImageWS"):
                    pass

    async def test_a_websocket_that_is_never_opened(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection_module, "HANDSHAKE_S", 0.1)
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            async with connected(f"http://127.0.0.1:{silent.getsockname()[1]}") as connection:
                with pytest.raises(SwarmUnreachable, match="does not answer"):
                    async with connection.socket("GenerateText2ImageWS"):
                        pass

    async def test_a_websocket_that_breaks(self, server: SwarmStandIn) -> None:
        server.work.drop_after_images = 1
        fields = {"prompt": "x", "model": "tiny", "images": 2}
        with pytest.raises(SocketDropped):
            await self.generate(server, fields)

    @staticmethod
    async def generate(server: SwarmStandIn, fields: dict[str, object]) -> None:
        async with (
            connected(server.url) as connection,
            SwarmCaller(connection, SwarmSession()).converse("GenerateText2ImageWS", fields) as talk,
        ):
            async for _ in talk.messages():
                pass


class TestReadiness:
    async def wait(self, server: SwarmStandIn, *, patience_s: float = 5.0) -> list[str]:
        told: list[str] = []
        async with connected(server.url) as connection:
            await ready(
                SwarmCaller(connection, SwarmSession()),
                patience_s=patience_s,
                clock=SystemClock(),
                report=told.append,
            )
        return told

    async def test_a_server_that_runs_is_not_waited_for(self, server: SwarmStandIn) -> None:
        assert await self.wait(server) == []

    async def test_a_server_that_starts_slowly_is_waited_for(self) -> None:
        server = SwarmStandIn(port=free_port())

        async def start_later() -> None:
            await asyncio.sleep(0.7)
            with server.running():
                await asyncio.to_thread(until_asked, server)

        starting = asyncio.create_task(start_later())
        told = await self.wait(server)
        await starting

        assert told == ["waiting for SwarmUI: it does not answer"]

    async def test_a_server_that_never_starts_is_given_up(self) -> None:
        with pytest.raises(WorkerTimeout, match=r"not ready within 1 s: it does not answer") as gave_up:
            await self.wait(SwarmStandIn(port=free_port()), patience_s=0.6)

        assert "STARTUP_TIMEOUT" in gave_up.value.hint

    @pytest.mark.parametrize("status", ["empty", "all_disabled", "disabled"])
    async def test_one_that_will_never_generate_is_not_waited_for(
        self, server: SwarmStandIn, status: str
    ) -> None:
        server.backend_status = status

        with pytest.raises(UpstreamError, match="cannot generate"):
            await self.wait(server)

    @pytest.mark.parametrize("status", ["running", "loading", "some_loading", "errored"])
    async def test_one_that_queues_by_itself_is_asked(self, server: SwarmStandIn, status: str) -> None:
        server.backend_status = status

        assert await self.wait(server) == []

    async def test_one_of_several_backends_may_still_come(self, server: SwarmStandIn) -> None:
        server.backend_status, server.any_loading = "errored", True

        with pytest.raises(WorkerTimeout, match="one of its backends has failed"):
            await self.wait(server, patience_s=0.1)

    async def test_idle_backends_are_waited_for(self, server: SwarmStandIn) -> None:
        server.backend_status = "idle"

        with pytest.raises(WorkerTimeout, match="its backends are idle"):
            await self.wait(server, patience_s=0.1)

    async def test_a_state_of_a_later_version_is_shown(self, server: SwarmStandIn) -> None:
        server.backend_status = "dreaming"

        with pytest.raises(WorkerTimeout, match="'dreaming'"):
            await self.wait(server, patience_s=0.1)


def until_asked(server: SwarmStandIn) -> None:
    deadline = threading.Event()
    for _ in range(200):
        if "GetCurrentStatus" in server.routes_asked():
            # Let the answer go out before the server ends.
            deadline.wait(0.1)
            return
        deadline.wait(0.05)
