from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from lorapod.client import Client, RetryPolicy
from lorapod.testing.fake_queue import FakeQueue

KEY = "rpa_made_up_key"


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def client(queue: FakeQueue) -> Iterator[Client]:
    retries = RetryPolicy(attempts=4, first_wait_s=0.001, longest_wait_s=0.005)
    with Client(
        "https://runpod.test/v2/fake/", KEY, retries=retries, http=httpx.MockTransport(queue)
    ) as client:
        yield client


@pytest.fixture
def free_port_url() -> str:
    """The address of a port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v2/local"
