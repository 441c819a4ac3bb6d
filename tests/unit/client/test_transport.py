from __future__ import annotations

import httpx
import pytest

from lorapod.client import (
    Busy,
    Client,
    EndpointError,
    EndpointUnreachable,
    JobNotFound,
    RequestTooLarge,
    RetryPolicy,
    Unauthorized,
)
from lorapod.testing.fake_queue import FakeQueue

PONG = {"pong": True}


@pytest.fixture(autouse=True)
def _ping(queue: FakeQueue) -> None:
    queue.actions["ping"] = lambda _: PONG


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(429, json={"error": "slow down"}),
        httpx.Response(429, headers={"Retry-After": "0.001"}),
        httpx.Response(500),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("closed"),
    ],
    ids=repr,
)
def test_passing_trouble_is_outlived(
    client: Client, queue: FakeQueue, trouble: httpx.Response | Exception
) -> None:
    queue.trouble = [trouble, trouble]
    assert client.call("ping") == PONG
    assert len(queue.requests) == 3


def test_lasting_trouble_ends_in_its_own_error(client: Client, queue: FakeQueue) -> None:
    queue.trouble = [httpx.Response(503)] * 9
    with pytest.raises(Busy, match="503"):
        client.call("ping")
    assert len(queue.requests) == 4


@pytest.mark.parametrize("trouble", [httpx.ReadError("reset"), httpx.Response(502)], ids=repr)
def test_what_must_happen_once_is_not_sent_again_when_its_fate_is_unknown(
    client: Client, queue: FakeQueue, trouble: httpx.Response | Exception
) -> None:
    queue.trouble = [trouble]
    with pytest.raises(EndpointError):
        client.run({"type": "train"})
    assert len(queue.requests) == 1


@pytest.mark.parametrize("trouble", [httpx.ConnectError("refused"), httpx.Response(429)], ids=repr)
def test_what_must_happen_once_is_sent_again_when_it_never_began(
    client: Client, queue: FakeQueue, trouble: httpx.Response | Exception
) -> None:
    queue.trouble = [trouble]
    client.run({"type": "train"})
    assert len(queue.requests) == 2


def test_an_idempotency_key_makes_it_safe_to_send_again(client: Client, queue: FakeQueue) -> None:
    queue.trouble = [httpx.ReadError("reset")]
    client.run({"type": "train", "idempotency_key": "k"})
    assert len(queue.requests) == 2


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.Response(401, text="no"), Unauthorized),
        (httpx.Response(403, text="no"), Unauthorized),
        (httpx.Response(404, json={"error": "not found"}), EndpointError),
        (httpx.Response(413, json={"error": "too large"}), RequestTooLarge),
        (httpx.Response(400, json={"error": "bad policy"}), EndpointError),
        (httpx.Response(302, headers={"Location": "https://elsewhere.test"}), EndpointError),
        (httpx.Response(200, text="<html>"), EndpointError),
        (httpx.Response(200, json=[1]), EndpointError),
    ],
    ids=repr,
)
def test_a_refusal_is_told_at_once(
    client: Client, queue: FakeQueue, response: httpx.Response, kind: type[EndpointError]
) -> None:
    queue.trouble = [response]
    with pytest.raises(EndpointError) as caught:
        client.call("ping")
    assert type(caught.value) is kind
    assert len(queue.requests) == 1


def test_no_message_holds_the_key_even_where_the_endpoint_repeats_it(
    client: Client, queue: FakeQueue
) -> None:
    queue.trouble = [httpx.Response(401, json={"error": "bad key rpa_made_up_key"})]
    with pytest.raises(Unauthorized, match=r"bad key \*\*\*") as caught:
        client.call("ping")
    assert "rpa_made_up_key" not in repr(caught.value) + repr(client) + repr(client._calls._routes.main)


def test_a_long_answer_is_cut(client: Client, queue: FakeQueue) -> None:
    queue.trouble = [httpx.Response(400, text="x" * 100_000)]
    with pytest.raises(EndpointError) as caught:
        client.call("ping")
    assert len(str(caught.value)) < 300


def test_404_is_about_the_endpoint_for_a_new_job_and_about_the_job_else(
    client: Client, queue: FakeQueue
) -> None:
    queue.trouble = [httpx.Response(404, text="Not Found"), httpx.Response(404, text="Not Found")]

    with pytest.raises(EndpointError, match="There is no endpoint at"):
        client.call("ping")
    with pytest.raises(JobNotFound):
        client.status("a")


def test_nobody_listening_is_unreachable(free_port_url: str) -> None:
    retries = RetryPolicy(attempts=2, first_wait_s=0.001)
    with (
        Client(free_port_url, retries=retries) as client,
        pytest.raises(EndpointUnreachable, match=r"Cannot connect to \S+: Connection refused\. Check"),
    ):
        client.health()
