from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.ports import free_port

from lorapod.client import Client, RetryPolicy
from lorapod.testing.fake_queue import FakeQueue

KEY = "rpa_made_up_key"


@pytest.fixture(autouse=True)
def cache_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Commands keep names for the shell's completion, not among those of the person who runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def client(queue: FakeQueue) -> Iterator[Client]:
    retries = RetryPolicy(attempts=4, first_wait_s=0.001, longest_wait_s=0.005)
    with Client("https://runpod.test/v2/fake/", KEY, retries=retries, http=queue) as client:
        yield client


@pytest.fixture
def free_port_url() -> str:
    """The address of a port where nobody listens."""
    return f"http://127.0.0.1:{free_port()}/v2/local"
