from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
from tests.error_log import error_log

from lorapod.client import Client, EndpointUnreachable, JobFailed
from lorapod.client.retrying import RetryPolicy
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

HANDLER = """
import runpod

def handler(event):
    wish = event["input"]
    if wish["type"] == "ping":
        return {"pong": True, "big": "x" * wish.get("size", 0)}
    return {"error": f"There is no {wish['type']}.", "code": "unknown_type", "hint": "Try ping.", "details": []}

runpod.serverless.start({"handler": handler})
"""


@pytest.fixture
def config(tmp_path: Path) -> EndpointConfig:
    script = tmp_path / "handler.py"
    script.write_text(HANDLER)
    return EndpointConfig(
        command=[sys.executable, str(script)], log_folder=error_log.watch(tmp_path / "logs"), api_key="k"
    )


def test_a_script_calls_a_worker_through_an_endpoint_of_its_own(config: EndpointConfig) -> None:
    with serving(config) as endpoint, Client(endpoint.url, "k") as client:
        assert client.call("ping")["pong"] is True
        with pytest.raises(JobFailed, match=r"There is no dance\. Try ping\.") as caught:
            client.call("dance")
        assert caught.value.code == "unknown_type"
        assert client.health()["jobs"]["completed"] == 1
        with pytest.raises(JobFailed):
            client.call("ping", size=21_000_000)
        url = endpoint.url
        pids = [worker.pid for worker in endpoint.workers if worker.pid]
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with Client(url, "k", retries=RetryPolicy(attempts=1)) as late, pytest.raises(EndpointUnreachable):
        late.health()


def test_an_error_in_the_script_ends_the_endpoint_too(config: EndpointConfig) -> None:
    with pytest.raises(KeyboardInterrupt), serving(config) as endpoint:  # noqa: PT012 -- the block is what is left
        with Client(endpoint.url, "k") as client:
            client.call("ping")
        pids = [worker.pid for worker in endpoint.workers if worker.pid]
        raise KeyboardInterrupt
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_command_that_does_not_exist_is_told() -> None:
    with (
        pytest.raises(FileNotFoundError, match="no-such-command"),
        serving(EndpointConfig(command=["no-such-command"])),
    ):
        pass
