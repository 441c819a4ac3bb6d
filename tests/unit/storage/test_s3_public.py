from __future__ import annotations

import socket
from contextlib import closing

import pytest
from pydantic import SecretStr

from lorapod.errors import UnsafeUrl
from lorapod.storage import s3_public
from lorapod.storage.port import StoreUnavailable
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3 import S3Objects
from lorapod.storage.s3_access import S3Access

RETRIES = RetryBudget(total_s=0.1, first_wait_s=0.05, longest_wait_s=0.05)


def objects(port: int, *, scheme: str = "http", host: str = "localhost") -> S3Objects:
    access = S3Access(
        key_id="id",
        secret_key=SecretStr("secret"),
        endpoint_url=f"{scheme}://{host}:{port}",
        public_only=True,
    )
    return S3Objects(access, bucket="b", retries=RETRIES)


@pytest.fixture
def listener() -> socket.socket:
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    opened.listen()
    opened.setblocking(False)  # noqa: FBT003 - the socket's own way
    return opened


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_into_a_private_network_is_not_connected_to(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
    with closing(listener), closing(objects(listener.getsockname()[1], scheme=scheme)) as store:
        with pytest.raises(UnsafeUrl, match="public internet"):
            store.stat("a.bin")
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_it_connects_to_the_very_address_that_was_judged(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    asked: list[str] = []

    def look_up(host: str, port: int) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(s3_public, "_look_up", look_up)
    monkeypatch.setattr(s3_public, "is_public", lambda _: True)
    monkeypatch.setattr("lorapod.storage.s3_client.READ_S", 0.2)
    with closing(listener), closing(objects(port, host="bucket.example")) as store:
        with pytest.raises(StoreUnavailable):
            store.stat("a.bin")
        connected, _ = listener.accept()
        with closing(connected):
            connected.settimeout(5)
            assert b"bucket.example" in connected.recv(4096)
    assert set(asked) == {"bucket.example"}
