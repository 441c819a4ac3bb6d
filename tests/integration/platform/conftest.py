"""The command line against a stand-in for RunPod, in an empty folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner
from tests.servers.platform import KEY, PlatformStandIn, standing_in
from tests.servers.ports import free_port
from typer.main import get_command

from lorapod.client.cli import app
from lorapod.client.commands import deploy_run, doctor_run, platform_session
from lorapod.client.doctor import diagnosis
from lorapod.client.retrying import RetryPolicy
from lorapod.platform import client as platform_client
from lorapod.platform.transport import PlatformRetries

IMAGE = "me/lorapod:1"

#: Built once, because that takes longer than a command.
COMMAND = get_command(app)


class RunCommand(Protocol):
    """Runs a command and returns what it printed, to stdout and stderr."""

    def __call__(self, *arguments: str, code: int = 0, typed: str | None = None, key: str = KEY) -> str: ...


@pytest.fixture
def account() -> Iterator[PlatformStandIn]:
    with standing_in() as account:
        yield account


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(account: PlatformStandIn, folder: Path, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    quick = PlatformRetries(attempts=3, first_wait_s=0.001, longest_wait_s=0.01)
    monkeypatch.setattr(platform_session, "_RETRIES", quick)
    once = RetryPolicy(attempts=1)
    monkeypatch.setattr(diagnosis, "_RETRIES", once)
    monkeypatch.setattr(doctor_run, "RETRIES", once)
    # The stand-in sends a log at once.
    monkeypatch.setattr(platform_client, "_QUIET_S", 0.2)
    for name in ("RUNPOD_ENDPOINT_ID", "LORAPOD_URL", "LORAPOD_FILE", "HF_TOKEN", "RUNPOD_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, code: int = 0, typed: str | None = None, key: str = KEY) -> str:
        env = {"RUNPOD_API_KEY": key, "RUNPOD_REST_URL": account.url, "COLUMNS": "250"}
        with monkeypatch.context() as patch:
            if typed is not None:
                # A terminal, at which a person types this.
                patch.setattr(deploy_run, "has_terminal", lambda: True)
            # Typer's own copy of click.
            done = CliRunner().invoke(COMMAND, arguments, env=env, input=typed)  # type: ignore[arg-type]
        assert done.exit_code == code, (done.output, done.exception)
        assert KEY not in done.output
        assert not (folder / "lorapod.toml").exists() or KEY not in (folder / "lorapod.toml").read_text()
        return str(done.output)

    return run


@pytest.fixture
def free_port_url() -> str:
    """The URL of a port where nobody listens."""
    return f"http://127.0.0.1:{free_port()}/v2/local"
